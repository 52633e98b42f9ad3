"""Counts refusals by limit, and logs them at a bounded rate."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from limits.protection.throttle import Throttle

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
