"""Which of a provider's keys a call uses, and what the provider said about each of them.

A refusal never becomes a response of the bridge's own: it only makes another key come first. With a single key, or when
no other is left, a response of the provider is relayed and nothing cools down.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Generic, TypeVar

RATE_LIMITED = 429
UNAUTHORIZED = 401
REFUSALS = frozenset({RATE_LIMITED, UNAUTHORIZED})
SUCCESSES = range(200, 300)
# How long a refused key cools down when the provider does not say, and the longest that it may say, in seconds.
COOLDOWN_SECONDS = 60.0
MAX_COOLDOWN_SECONDS = 3600.0
# Clients name the models, so there may be any number. One more makes the oldest be forgotten.
MAX_COOLDOWNS = 1_000
_ALL_MODELS = None


@dataclass(frozen=True)
class KeyRefusal:
    """A key that the provider does not accept: the status of its responses, since when, and to how many calls."""

    status: int
    since: datetime
    calls: int


def merge_refusals(refusals: Iterable[KeyRefusal]) -> KeyRefusal | None:
    """Merge what several processes know of one key, in any order: refused since the earliest, to the calls of all.

    None where no process says that it is refused.
    """
    reports = list(refusals)
    if not reports:
        return None
    return KeyRefusal(
        status=max(one.status for one in reports),
        since=min(one.since for one in reports),
        calls=sum(one.calls for one in reports),
    )


class KeyChange(Enum):
    """What a response changed about a key."""

    REFUSED = "refused"
    ACCEPTED_AGAIN = "accepted again"


class KeyPool:
    """The keys of one provider, at least one, in order of preference."""

    def __init__(self, keys: tuple[str, ...], monotonic: Callable[[], float], now: Callable[[], datetime]) -> None:
        self.keys = tuple(dict.fromkeys(keys))
        self.refusals: dict[str, KeyRefusal] = {}
        self._now = now
        self._cooldowns: Cooldowns[tuple[str, str | None]] = Cooldowns(MAX_COOLDOWNS, monotonic)  # by key and model

    def pick(self, model: str) -> str:
        """The first key that is not cooling down for a model; if all are, the one that comes back first."""
        if not self._cooldowns:
            return self.keys[0]
        return min(self.keys, key=lambda key: self._seconds_left(key, model))

    def find_other(self, model: str, tried: Collection[str], status: int) -> str | None:
        """The key to try for a model after a key was refused with a status; None if there is none.

        It is the first key that the call has not tried and that is not cooling down. After a 401, which says nothing about
        limits, a key that is cooling down because of a 429 may be tried too: the one that comes back first.
        """
        untried = [key for key in self.keys if key not in tried]
        if (other := next((key for key in untried if not self._seconds_left(key, model)), None)) is not None:
            return other
        limited = [key for key in untried if not self._cooldowns.left((key, _ALL_MODELS))]
        if status != UNAUTHORIZED or not limited:
            return None
        return min(limited, key=lambda key: self._seconds_left(key, model))

    def cool_down(self, key: str, model: str, status: int, retry_after: float | None) -> float:
        """Start a cooldown of a key: after 429 for that model, after 401 for every model. Return its seconds.

        A 429 lasts as long as the provider says, at most `MAX_COOLDOWN_SECONDS`; without a word, and after a 401, it is
        `COOLDOWN_SECONDS`.
        """
        provider_seconds = retry_after if status == RATE_LIMITED else None
        seconds = (
            COOLDOWN_SECONDS if provider_seconds is None else min(max(provider_seconds, 0.0), MAX_COOLDOWN_SECONDS)
        )
        self._cooldowns.begin((key, model if status == RATE_LIMITED else _ALL_MODELS), seconds)
        return seconds

    def note(self, key: str, model: str, status: int) -> KeyChange | None:
        """Update the state of a key from the status of a response; return the change, if there is one.

        A success ends the refusal of the key. A 429 is no fault of the key, nor is any other status.
        """
        if status == UNAUTHORIZED:
            known = self.refusals.get(key)
            self.refusals[key] = replace(known, calls=known.calls + 1) if known else KeyRefusal(status, self._now(), 1)
            return None if known else KeyChange.REFUSED
        if status in SUCCESSES:
            for cooldown in (key, model), (key, _ALL_MODELS):
                self._cooldowns.end(cooldown)
            if self.refusals.pop(key, None):
                return KeyChange.ACCEPTED_AGAIN
        return None

    def count_cooldowns(self, key: str) -> int:
        """For how many models a key is cooling down; after a 401 that counts as one."""
        return sum(1 for cooling, _ in self._cooldowns.running() if cooling == key)

    def _seconds_left(self, key: str, model: str) -> float:
        return max(self._cooldowns.left((key, model)), self._cooldowns.left((key, _ALL_MODELS)))


def retry_after_seconds(retry_after_ms: str, retry_after: str, now: float) -> float | None:
    """How long a response says to wait, in seconds; None when it says nothing that can be read.

    Reads `retry-after-ms`, else `Retry-After` as seconds or as a date (RFC 9110 section 10.2.3); `now` is the time since
    the epoch in seconds.
    """
    for text, unit in ((retry_after_ms, 0.001), (retry_after, 1.0)):
        if text.isascii() and text.isdecimal():
            return int(text[:12]) * unit
    if not retry_after:
        return None
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    except (ValueError, OverflowError):
        return None


Key = TypeVar("Key", bound=Hashable)


class Cooldowns(Generic[Key]):
    """When the cooldown of each thing ends. So many as `max_keys`, at least 1, are remembered."""

    def __init__(self, max_keys: int, monotonic: Callable[[], float]) -> None:
        self._max_keys = max_keys
        self._monotonic = monotonic
        self._ends: dict[Key, float] = {}

    def __bool__(self) -> bool:
        """Whether any is remembered; it may be over."""
        return bool(self._ends)

    def begin(self, key: Key, seconds: float) -> None:
        """Start a cooldown, which replaces a running one."""
        self._ends.pop(key, None)
        if len(self._ends) >= self._max_keys:
            del self._ends[next(iter(self._ends))]
        self._ends[key] = self._monotonic() + seconds

    def end(self, key: Key) -> None:
        """End it, if there is one."""
        self._ends.pop(key, None)

    def left(self, key: Key) -> float:
        """The remaining seconds; 0 without one."""
        return max(0.0, self._ends[key] - self._monotonic()) if key in self._ends else 0.0

    def running(self) -> list[Key]:
        """The keys of those that are not over, in the order in which they began."""
        now = self._monotonic()
        return [key for key, end in self._ends.items() if end > now]
