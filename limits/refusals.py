"""How often each limit refused a request, told to the log at a bounded rate."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

LINE_NS = 10_000_000_000
"""Between two lines about one limit, in nanoseconds."""

_log = logging.getLogger(__name__)


class Refusals:
    """Counts refusals by limit. A line about the first is logged at once, about those that follow with the next due one.

    Args:
        now_ns: A monotonic clock, in nanoseconds.
        on_rejection: Told of every refusal.
    """

    def __init__(self, now_ns: Callable[[], int], on_rejection: Callable[[str], None]) -> None:
        self.total: Counter[str] = Counter()
        self._now_ns = now_ns
        self._on_rejection = on_rejection
        self._told: dict[str, tuple[int, int]] = {}

    def note(self, limit: str) -> None:
        """Count a refusal by a limit: `concurrency`, `rate` or `user_concurrency`."""
        self._on_rejection(limit)
        self.total[limit] += 1
        now, total = self._now_ns(), self.total[limit]
        due, told = self._told.get(limit, (now, 0))
        if now >= due:
            self._told[limit] = now + LINE_NS, total
            _log.info("requests refused: limit=%s new=%d total=%d", limit, total - told, total)
