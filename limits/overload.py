"""Overload protection: what a request needs before it may cost anything, and how it is refused.

Concurrency comes first, for it can be refused before anybody is identified; the user's own concurrency, the rate of the
token and that of the user are decided together, so that a refusal by one leaves the others as they were.

Where several processes have limits in common, they are asked first. What they admit is counted here as well: so this
process knows what it has admitted when it has to decide alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from intercept.refusals import Rule
from limits.admission import Rate, SharedAdmission, Slot, Undecided, Verdict
from limits.arriving import ArrivingBodies
from limits.concurrency import ConcurrencyLimit
from limits.refusals import Refusals
from limits.sliding_window import Decision, SlidingWindow

AT_CAPACITY = "AI Bridge is currently at capacity. Please try again later."
RATE_LIMITED = "You've been rate limited. Please try again later."
USER_RATE_LIMITED = "All your tokens together have reached the rate limit of your user. Please try again later."
USER_AT_CAPACITY = "You have too many requests in progress. Please try again when one of them has ended."

_MESSAGES = {"rate": RATE_LIMITED, "user_rate": USER_RATE_LIMITED, "user_concurrency": USER_AT_CAPACITY}

# Nobody knows when a running request ends.
SLOT_RETRY_NS = 1_000_000_000
# A client should not sit out a longer wait than this; the official SDKs honour at most 60 to 120 seconds.
MAX_RETRY_NS = 60_000_000_000
_NOBODY_ASKED = Undecided()


class OverloadedError(Exception):
    """A request may not start: which limit refuses it, an HTTP status, the message for the client, and the headers that tell it when to retry."""

    def __init__(self, rule: Rule, status: int, message: str, headers: dict[str, str]) -> None:
        super().__init__(message)
        self.rule = rule
        self.status = status
        self.message = message
        self.headers = headers


def at_capacity() -> OverloadedError:
    """What a request is told for which there is no slot."""
    return OverloadedError(Rule.CONCURRENCY, 503, AT_CAPACITY, retry_headers(SLOT_RETRY_NS))


class Usage(NamedTuple):
    """How much of the limits is used: slots; slots by user; what is left of a rate, by key and by user."""

    slots: int
    users: Mapping[str, int]
    rates: Mapping[str, Decision]
    user_rates: Mapping[str, Decision]


class OverloadProtection:
    """The limits of one server. A limit of 0 is off; slots are counted all the same.

    Args:
        max_concurrency: Requests that may run at the same time.
        rate_limit: Requests that a key may start per `rate_window`.
        rate_window: The window of the rate limit; any window of that length, exactly.
        user_rate_limit: Requests that a user may start per `rate_window`, with whatever tokens.
        user_max_concurrency: Requests of one user that may run at the same time.
        now_ns: A monotonic clock, in nanoseconds.
        on_rejection: Told of every refusal: `concurrency`, `rate`, `user_rate` or `user_concurrency`.
        shared: Who counts for several processes that have the same limits in common; None for one that is alone.
    """

    def __init__(
        self,
        *,
        max_concurrency: int = 0,
        rate_limit: int = 0,
        rate_window: timedelta = timedelta(seconds=1),
        user_rate_limit: int = 0,
        user_max_concurrency: int = 0,
        now_ns: Callable[[], int] = time.monotonic_ns,
        on_rejection: Callable[[str], None] = lambda _: None,
        shared: SharedAdmission | None = None,
    ) -> None:
        window_ns = rate_window // timedelta(microseconds=1) * 1000
        self.slots = ConcurrencyLimit(max_concurrency)
        self.user_slots = ConcurrencyLimit(user_max_concurrency)
        self.rate = SlidingWindow(rate_limit, window_ns, now_ns) if rate_limit else None
        self.user_rate = SlidingWindow(user_rate_limit, window_ns, now_ns) if user_rate_limit else None
        self.rate_window = rate_window
        self.refusals = Refusals(now_ns, on_rejection)
        self.arriving = ArrivingBodies(now_ns)
        self._shared = shared

    async def take_slot(self) -> tuple[Slot, ...]:
        """Take one of the server's slots.

        Raises:
            OverloadedError: 503, all are taken.
        """
        verdict: Verdict = _NOBODY_ASKED
        if self._shared is not None and self.slots.limit and not self.slots.is_full():
            verdict = await self._shared.take_slot()
        slot = None if verdict.refused_by else self.slots.acquire()
        if slot is None:
            _release(verdict.slot)
            self.refusals.note("concurrency")
            raise at_capacity()
        return _taken(slot, verdict.slot)

    async def count_request(self, key: str, user_key: str | None = None) -> tuple[tuple[Slot, ...], dict[str, str]]:
        """Count a request for the rate of `key`; with `user_key` also for that user's, and take one of the user's slots.

        All or nothing.

        Returns:
            What it holds of the user's slots, and the headers that tell the client how much is left of the tightest rate.

        Raises:
            OverloadedError: 429, by the user's concurrency or by a rate; carries those headers too.
        """
        verdict: Verdict = _NOBODY_ASKED
        if self._shared is not None:
            verdict = await self._shared.count_request(key, user_key)
        if verdict.refused_by is not None:
            raise self._refusal(verdict.refused_by, verdict.rates)
        windows = self._windows(key, user_key)
        slot = None
        if user_key is not None:
            slot = self.user_slots.acquire(user_key)
            if slot is None:
                _release(verdict.slot)
                raise self._refusal("user_concurrency", [window.check(key) for _, window, key in windows])
        if not windows:
            return _taken(slot, verdict.slot), {}
        refused_by, decisions = _admit(windows)
        if refused_by is not None and not verdict.rates:
            _release(slot, verdict.slot)
            raise self._refusal(refused_by, decisions)
        return _taken(slot, verdict.slot), _rate_headers(verdict.rates or decisions)

    def usage(self, most: int) -> Usage:
        """How much this process uses; of users and rate keys the `most` that use most, most first."""
        rates, user_rates = ({} if rate is None else rate.busiest(most) for rate in (self.rate, self.user_rate))
        return Usage(self.slots.in_use(), self.user_slots.busiest(most), rates, user_rates)

    def _windows(self, key: str, user_key: str | None) -> list[_Window]:
        """The rates for which a request counts."""
        windows = [] if self.rate is None else [_Window("rate", self.rate, key)]
        if self.user_rate is not None and user_key is not None:
            windows.append(_Window("user_rate", self.user_rate, user_key))
        return windows

    def _refusal(self, limit: str, rates: Sequence[Rate]) -> OverloadedError:
        self.refusals.note(limit)
        wait_ns = SLOT_RETRY_NS if limit == "user_concurrency" else 0
        wait_ns = max([wait_ns, *(rate.retry_after_ns for rate in rates)])
        return OverloadedError(Rule(limit), 429, _MESSAGES[limit], _rate_headers(rates) | retry_headers(wait_ns))


class _Window(NamedTuple):
    limit: str
    window: SlidingWindow
    key: str


def _admit(windows: Sequence[_Window]) -> tuple[str | None, list[Decision]]:
    """Count a request for every rate or for none; what refuses it, of several the one that takes longest to admit it."""
    if len(windows) > 1:
        decisions = [window.check(key) for _, window, key in windows]
        refusals = [
            (one.retry_after_ns, limit)
            for one, (limit, _, _) in zip(decisions, windows, strict=True)
            if not one.admitted
        ]
        if refusals:
            return max(refusals)[1], decisions
    decisions = [window.admit(key) for _, window, key in windows]
    return None if decisions[0].admitted else windows[0].limit, decisions


def _taken(*slots: Slot | None) -> tuple[Slot, ...]:
    return tuple([slot for slot in slots if slot is not None])


def _release(*slots: Slot | None) -> None:
    for slot in _taken(*slots):
        slot.release()


def _rate_headers(rates: Sequence[Rate]) -> dict[str, str]:
    """Of the rate with the least left, of several such the one that takes longest to have more.

    `X-RateLimit-Reset` is the number of whole seconds, rounded up, after which the whole limit is free again.
    """
    if not rates:
        return {}
    rate = min(rates, key=lambda rate: (rate.remaining, -rate.retry_after_ns))
    return {
        "X-RateLimit-Limit": str(rate.limit),
        "X-RateLimit-Remaining": str(rate.remaining),
        "X-RateLimit-Reset": str(_round_up(rate.reset_ns, 1_000_000_000)),
    }


def retry_headers(wait_ns: int) -> dict[str, str]:
    """`Retry-After` (RFC 9110, section 10.2.3) in seconds, and what the official SDKs read: `retry-after-ms` first."""
    headers = {
        "Retry-After": str(_round_up(wait_ns, 1_000_000_000)),
        "retry-after-ms": str(_round_up(wait_ns, 1_000_000)),
    }
    return headers | ({"x-should-retry": "false"} if wait_ns > MAX_RETRY_NS else {})


def _round_up(nanoseconds: int, unit: int) -> int:
    return -(-nanoseconds // unit)
