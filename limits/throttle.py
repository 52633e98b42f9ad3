"""How often something is logged, however often it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import NamedTuple

LINE_NS = 10_000_000_000
"""Between two lines about the same thing, in nanoseconds."""


class Due(NamedTuple):
    """What a line has to say: how often it happened since the last line, and altogether."""

    new: int
    total: int


class Throttle:
    """Counts what happens by key. The first is due at once, the next ones together with the next line that is due.

    Keys are kept for ever: there must be a bounded number of them.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._total: Counter[Hashable] = Counter()
        self._now_ns = now_ns
        self._reported: dict[Hashable, tuple[int, int]] = {}

    def count(self, key: Hashable) -> Due | None:
        """Count one; what to say now, or None while the last line is less than `LINE_NS` old."""
        self._total[key] += 1
        now, total = self._now_ns(), self._total[key]
        due, reported = self._reported.get(key, (now, 0))
        if now < due:
            return None
        self._reported[key] = now + LINE_NS, total
        return Due(total - reported, total)
