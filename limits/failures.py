"""How often tokens that are not valid may be tried, by address and altogether."""

from __future__ import annotations

from collections.abc import Callable

from limits.sliding_window import SlidingWindow

MAX_FAILURES = 3_000
"""Failures of all addresses in any minute. Beyond it every address counts as one that guesses."""

_MINUTE_NS = 60_000_000_000
_ALL = ""


class Failures:
    """Counts failures alone: whoever is right counts nowhere, so people behind one address do not use it up together.

    Args:
        limit: Failures of one address in any minute; 0 is any number.
        now_ns: A monotonic clock, in nanoseconds.
    """

    def __init__(self, limit: int, now_ns: Callable[[], int]) -> None:
        self._by_address = SlidingWindow(limit, _MINUTE_NS, now_ns) if limit else None
        self._altogether = SlidingWindow(MAX_FAILURES, _MINUTE_NS, now_ns)

    def count(self, address: str) -> None:
        """Count a failure. What is beyond a limit counts nowhere, so it makes nobody wait longer."""
        if self._by_address is not None and self._altogether.admit(_ALL).admitted:
            self._by_address.admit(address)

    def wait_ns(self, address: Callable[[], str]) -> int:
        """How long until a failure is allowed again, in nanoseconds; 0 while it is.

        Args:
            address: Tells whose; it is not called while nobody failed.
        """
        if self._by_address is None or not len(self._altogether):
            return 0
        waits = self._altogether.check(_ALL), self._by_address.check(address())
        return max(decision.retry_after_ns for decision in waits)
