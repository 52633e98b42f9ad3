"""Counts refusals by limit, and logs them at a bounded rate: how often something is said, however often it happens."""

from __future__ import annotations

import logging
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


_log = logging.getLogger(__name__)


class RefusalLog:
    """Counts refusals by limit. The first is logged at once; the next line includes those that followed."""

    def __init__(self, now_ns: Callable[[], int], on_refusal: Callable[[str], None]) -> None:
        self.total: Counter[str] = Counter()
        self._on_refusal = on_refusal
        self._throttle = Throttle(now_ns)

    def note(self, limit: str) -> None:
        """Count a refusal by a limit, named as `OverloadProtection` does."""
        self._on_refusal(limit)
        self.total[limit] += 1
        if due := self._throttle.count(limit):
            _log.info("requests refused: limit=%s new=%d total=%d", limit, due.new, due.total)
