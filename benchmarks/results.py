"""What a run of the comparison found, as it is kept: one JSON file, from which all tables are written."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import msgspec

from benchmarks.samples import Summary, summary


class Results(msgspec.Struct, kw_only=True):
    """The machine, how many cores it has, the versions by gateway, and by gateway and figure the value of each round."""

    date: str
    machine: str
    cores: int
    seconds: int = 0
    versions: dict[str, str] = {}
    figures: dict[str, dict[str, list[float]]] = {}
    notes: list[str] = []

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read them from a file."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def save(self, path: Path) -> None:
        """Write them to a file."""
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")

    def add(self, gateway: str, figures: dict[str, float]) -> None:
        """Add a round, each figure to four digits."""
        kept = self.figures.setdefault(gateway, {})
        for name, value in figures.items():
            kept.setdefault(name, []).append(float(f"{value:.4g}"))

    def note(self, text: str) -> None:
        """Say something once."""
        if text not in self.notes:
            self.notes.append(text)

    def of(self, gateway: str, figure: str) -> Summary | None:
        """A figure over all rounds; None where it was not measured."""
        values = self.figures.get(gateway, {}).get(figure)
        return summary(values) if values else None
