"""The results of a run of the comparison, kept in a JSON file for each processor. All tables are made from these files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

import msgspec

from benchmarks.reports.samples import Summary, summary


class Results(msgspec.Struct, kw_only=True):
    """When the run began (UTC), the machine and its cores, versions by gateway, and figures by gateway and name.

    A figure has a value for each round.
    """

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

    @classmethod
    def load_all(cls, folder: Path) -> list[Self]:
        """Read all that are kept in a folder, the last ones first."""
        kept = [cls.load(path) for path in sorted(folder.glob("*.json"))]
        return sorted(kept, key=lambda one: one.date, reverse=True)

    def save(self, folder: Path) -> None:
        """Keep them, in place of those of the same processor."""
        folder.mkdir(exist_ok=True)
        name = re.sub(r"[^a-z0-9]+", "-", self.processor.lower()).strip("-")
        (folder / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")

    @property
    def processor(self) -> str:
        """The model of the machine's processor."""
        return self.machine.partition(",")[0]

    def add(self, gateway: str, figures: dict[str, float]) -> None:
        """Add a round, each figure to four digits."""
        kept = self.figures.setdefault(gateway, {})
        for name, value in figures.items():
            kept.setdefault(name, []).append(float(f"{value:.4g}"))

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def of(self, gateway: str, figure: str) -> Summary | None:
        """A figure over all rounds; None if it was not measured."""
        values = self.figures.get(gateway, {}).get(figure)
        return summary(values) if values else None
