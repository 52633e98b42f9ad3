"""Summaries of many measured values: percentiles of one run, median and range of several. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import linear_regression, median
from typing import NamedTuple


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value such that at least `percent` of all values are at most as large (nearest rank).

    Args:
        ordered: At least one value, in rising order.
        percent: Above 0, at most 100.
    """
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


class Summary(NamedTuple):
    """The median of several runs, and the least and the most of them."""

    median: float
    low: float
    high: float

    def less(self, base: float) -> Summary:
        """The same above a base."""
        return Summary(self.median - base, self.low - base, self.high - base)


def summary(values: Sequence[float]) -> Summary:
    """Summarise at least one run."""
    return Summary(median(values), min(values), max(values))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much y grows with x, by least squares; 0 for fewer than two different x."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return linear_regression([x for x, _ in points], [y for _, y in points]).slope


def short(value: float) -> str:
    """Three digits, or all digits of the integer part, with thousands separators: `0.123`, `1.23`, `12.3`, `1,234`."""
    decimals = next((decimals for least, decimals in ((99.95, 0), (9.995, 1), (0.9995, 2)) if abs(value) >= least), 3)
    return f"{value:,.{decimals}f}"


def with_range(values: Summary) -> str:
    """The median, and the range in brackets if there is one."""
    if values.low == values.high:
        return short(values.median)
    return f"{short(values.median)} ({short(values.low)} to {short(values.high)})"
