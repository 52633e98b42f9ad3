"""How often tokens that are not valid may be tried, by address and altogether."""

from __future__ import annotations

from collections.abc import Callable

from intercept.refusals import Rule
from limits.limit import Limit, LimitKind, Of
from limits.windows import RateWindow

MAX_FAILURES = 3_000
"""Failures of all addresses in any minute. Beyond it every address counts as one that guesses."""

_MINUTE_NS = 60_000_000_000
_ALL = Limit(LimitKind.RATE, Rule.TOO_MANY_FAILURES, Of.SERVER, "server", MAX_FAILURES, _MINUTE_NS)


class Failures:
    """Counts only failures, so people behind one address do not use up its limit with valid requests.

    Args:
        limit: Failures of one address in any minute; 0 is any number.
    """

    def __init__(self, limit: int, now_ns: Callable[[], int]) -> None:
        self._limit = limit
        self._now_ns = now_ns
        self._window = RateWindow(_MINUTE_NS)

    def count(self, address: str) -> None:
        """Count a failure. Failures beyond the limit are not counted, so they make no wait longer."""
        now = self._now_ns()
        if self._limit and not self._window.state(_ALL, 0, now).retry_after_ns:
            self._window.start(_ALL, 0, now)
            limit = self._of(address)
            if not self._window.state(limit, 0, now).retry_after_ns:
                self._window.start(limit, 0, now)

    def wait_ns(self, address: Callable[[], str]) -> int:
        """How long until a failure is allowed again, in nanoseconds; 0 while it is.

        Args:
            address: Tells whose; it is not called while nobody failed.
        """
        now = self._now_ns()
        self._window.forget(now)
        if not self._window:
            return 0
        return max(self._window.state(limit, 0, now).retry_after_ns for limit in (_ALL, self._of(address())))

    def _of(self, address: str) -> Limit:
        return Limit(LimitKind.RATE, Rule.TOO_MANY_FAILURES, Of.ADDRESS, f"address:{address}", self._limit, _MINUTE_NS)
