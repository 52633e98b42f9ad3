"""From measured values to tables, verdicts, and the page of figures."""

from __future__ import annotations

import math
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression, median

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/performance.md"
DIRECT = "direct"
ADDED = "ms added"
"""Stands in the label of a figure that is shown as its difference from the figure without any gateway."""

Figures = dict[str, float]


@dataclass
class Results:
    """A run of the comparison: when it began (UTC), versions by gateway, and figures by gateway and label.

    A figure has a value for each round.
    """

    date: str
    seconds: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, gateway: str, figures: Figures) -> None:
        """Add a round."""
        kept = self.figures.setdefault(gateway, {})
        for label, value in figures.items():
            kept.setdefault(label, []).append(value)

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def median(self, gateway: str, label: str) -> float | None:
        """The median of a figure over all rounds; None if it was not measured."""
        values = self.figures.get(gateway, {}).get(label)
        return median(values) if values else None

    def report(self) -> str:
        """The part of the page: a row for each figure with a column for each gateway, and the notes."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        labels = dict.fromkeys(label for figures in self.figures.values() for label in figures)
        rows = ([label, *(self._cell(name, label) for name in self.figures)] for label in labels)
        return "\n\n".join(
            [
                f"{self.date}, {machine()}. {versions}. {self.seconds / 60:.0f} minutes.",
                markdown(["", *self.figures], rows),
                *(f"- {note}" for note in self.notes),
            ]
        )

    def _cell(self, gateway: str, label: str) -> str:
        values = self.figures[gateway].get(label)
        base = self.median(DIRECT, label) if ADDED in label else 0.0
        if not values or base is None or (ADDED in label and gateway == DIRECT):
            return ""
        least, most = short(min(values) - base), short(max(values) - base)
        return short(median(values) - base) + (f" ({least} to {most})" if least != most else "")


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value such that at least `percent` of all values are at most as large (nearest rank).

    Args:
        ordered: At least one value, in rising order.
        percent: Above 0, at most 100.
    """
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much y grows with x, by least squares; 0 for fewer than two different x."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return linear_regression([x for x, _ in points], [y for _, y in points]).slope


def short(value: float) -> str:
    """Three digits, or all digits of the integer part, with thousands separators: `0.123`, `1.23`, `12.3`, `1,234`."""
    decimals = next((decimals for least, decimals in ((99.95, 0), (9.995, 1), (0.9995, 2)) if abs(value) >= least), 3)
    return f"{value:,.{decimals}f}"


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_section(name: str, content: str) -> None:
    """Replace the text between the comments `<!-- NAME -->` and `<!-- end of NAME -->` of the page of figures.

    Raises:
        ValueError: the comments are not there.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = PAGE.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no section {name!r}")
    PAGE.write_text(f"{before}{begin}\n{content}\n\n{end}{after}")


def machine() -> str:
    """The processor, its cores, the memory and the system of this machine."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    cores = Path("/proc/cpuinfo").read_text().count("processor\t:")
    size = f", {int(memory[1]) / 2**20:.0f} GiB" if memory else ""
    return f"{model[1] if model else platform.machine()}, {cores} cores{size}, Linux {platform.release()}"
