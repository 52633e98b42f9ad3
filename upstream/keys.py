"""Which of a provider's keys to use: the first that the provider has not just refused."""

from __future__ import annotations

from collections.abc import Callable, Collection
from email.utils import parsedate_to_datetime

RATE_LIMITED = 429
UNAUTHORIZED = 401
REFUSALS = frozenset({RATE_LIMITED, UNAUTHORIZED})
# How long a refused key is left alone when the provider does not say, and the longest that it may say, in seconds.
ASIDE_SECONDS = 60.0
LONGEST_ASIDE_SECONDS = 3600.0


class KeysAsideError(Exception):
    """Every key is set aside. `retry_after_s` is when the first one is tried again, in seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("every key is set aside")
        self.retry_after_s = retry_after_s


class KeyPool:
    """The keys of one provider, in order of preference.

    Args:
        keys: At least one.
        monotonic: A clock that never goes back, in seconds.
    """

    def __init__(self, keys: tuple[str, ...], monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._free_at = dict.fromkeys(keys, float("-inf"))

    def pick(self, tried: Collection[str] = ()) -> str:
        """The first key that is not set aside, and not among those that a request has `tried`.

        Raises:
            KeysAsideError: there is none.
        """
        now = self._monotonic()
        for key, free_at in self._free_at.items():
            if free_at <= now and key not in tried:
                return key
        raise KeysAsideError(max(0.0, min(self._free_at.values()) - now))

    def answered(self, key: str, status: int, retry_after: float | None) -> bool:
        """Note what the provider answered to a key; return whether it was the key that was refused.

        429 sets a key aside for as long as the provider says, 401 for `ASIDE_SECONDS`. Any other status is no fault of
        the key.
        """
        if status not in REFUSALS:
            return False
        told = retry_after if status == RATE_LIMITED else None
        seconds = ASIDE_SECONDS if told is None else min(max(told, 0.0), LONGEST_ASIDE_SECONDS)
        self._free_at[key] = self._monotonic() + seconds
        return True


def retry_after_seconds(retry_after_ms: str, retry_after: str, now: float) -> float | None:
    """What an answer says about when to come back, in seconds; None when it says nothing that can be read.

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
