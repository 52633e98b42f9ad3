"""How often each limit refused a request, told to the log at a bounded rate."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from limits.protection.throttle import Throttle

_log = logging.getLogger(__name__)


class Refusals:
    """Counts refusals by limit. A line about the first is logged at once, about those that follow with the next due one.

    Args:
        now_ns: A monotonic clock, in nanoseconds.
        on_rejection: Told of every refusal.
    """

    def __init__(self, now_ns: Callable[[], int], on_rejection: Callable[[str], None]) -> None:
        self.total: Counter[str] = Counter()
        self._on_rejection = on_rejection
        self._throttle = Throttle(now_ns)

    def note(self, limit: str) -> None:
        """Count a refusal by a limit, named as `OverloadProtection` does."""
        self._on_rejection(limit)
        self.total[limit] += 1
        if due := self._throttle.count(limit):
            _log.info("requests refused: limit=%s new=%d total=%d", limit, due.new, due.total)
