"""Figures of cells, added up and shown as the API does. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from intercept.records import EndReason
from storage.cells import NESTED, TOKENS, quantiles

COUNTS = ("interceptions", "completed", "priced", "unpriced", *TOKENS)
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

_SHARES = tuple(PERCENTILES.values())


class Total:
    """What cells add up to."""

    __slots__ = ("cost", "counts", "nested")

    def __init__(self) -> None:
        self.counts: dict[str, int] = dict.fromkeys(COUNTS, 0)
        self.nested: dict[str, dict[str, int]] = {name: {} for name in NESTED}
        self.cost = Decimal(0)

    def add_cell(self, cell: Mapping[str, Any]) -> None:
        """Add the document of a cell, which may be changed by this and what follows."""
        for name in COUNTS:
            if name in cell:
                self.counts[name] += cell[name]
        for name in NESTED:
            if not self.nested[name]:
                self.nested[name] = cell.get(name, {})
            elif name in cell:
                _add(self.nested[name], cell[name])
        if "cost" in cell:
            self.cost += cell["cost"].to_decimal()

    def add(self, other: Total, sign: int = 1) -> None:
        """Add another total, or take it away with the sign -1."""
        for name, number in other.counts.items():
            self.counts[name] += sign * number
        for name, numbers in other.nested.items():
            _add(self.nested[name], numbers, sign)
        self.cost += sign * other.cost

    @property
    def interceptions(self) -> int:
        """How many calls they are."""
        return self.counts["interceptions"]

    def shown(self) -> dict[str, Any]:
        """Show them as the API does."""
        counts, ends = self.counts, self.nested["ends"]
        return {
            "interceptions": counts["interceptions"],
            "completed": counts["completed"],
            "failures": {reason: number for reason, number in ends.items() if number and reason != EndReason.COMPLETED},
            "token_usage": {name: counts[name] for name in TOKENS},
            "cost_usd": float(self.cost) if counts["priced"] else None,
            "unpriced": counts["unpriced"],
            "duration_ms": _percentiles(self.nested["duration"]),
            "first_byte_ms": _percentiles(self.nested["first_byte"]),
        }


def _add(total: dict[str, int], numbers: Mapping[str, int], sign: int = 1) -> None:
    for key, number in numbers.items():
        total[key] = total.get(key, 0) + sign * number


def _percentiles(numbers: Mapping[str, int]) -> dict[str, float] | None:
    found = quantiles(numbers, _SHARES)
    if found is None:
        return None
    return {name: round(milliseconds, 1) for name, milliseconds in zip(PERCENTILES, found, strict=True)}
