"""Rates: how many requests of a key started in any window of time, exactly.

The time of every start is kept for one window. So no window holds more starts than the maximum, wherever it begins, and
the wait of a refusal is the time until the oldest start leaves. A time takes 8 bytes in an array: a rate of 1,000,000 a
window takes 8 to 16 MB for each key that uses all of it, and a rate of 60 about 1 KB.
"""

from __future__ import annotations

from bisect import bisect_right

from limits.kinds.windows import MIN_GONE, Times, Windows
from limits.limit import NEVER_NS, Limit, LimitState


class RateWindow(Windows[Times]):
    """The starts of all keys. Amortised constant time."""

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._keys)

    # Both begin alike: a method of its own would take a twentieth of a decision.

    def state(self, limit: Limit, _need: int, now: int) -> LimitState:
        """The state of a limit."""
        if limit.maximum < 1:
            return LimitState(limit, 0, 0, NEVER_NS, 0)
        key, gone = limit.key, now - self._window_ns
        starts = self._keys.get(key)
        if starts is not None and starts.times[starts.first] <= gone:
            starts = self._leave(key, starts, gone)
        if starts is None:
            return LimitState(limit, 0, limit.maximum, 0, 0)
        times, first = starts.times, starts.first
        used = len(times) - first
        remaining = limit.maximum - used
        reset = times[-1] + self._window_ns - now
        if remaining > 0:
            return LimitState(limit, used, remaining, 0, reset)
        # After a maximum was lowered, more than one start has to leave.
        return LimitState(limit, used, 0, times[first - remaining] + self._window_ns - now, reset)

    def start(self, limit: Limit, _reserve: int, now: int) -> None:
        """Count a start."""
        key, gone = limit.key, now - self._window_ns
        starts = self._keys.get(key)
        if starts is not None and starts.times[starts.first] <= gone:
            starts = self._leave(key, starts, gone)
        if starts is None:
            starts = self._keys[key] = Times(limit)
        starts.times.append(now)
        starts.limit = limit
        self._keys.move_to_end(key)
        if now >= self._forget_at:
            self.forget(now)

    def end(self, limit: Limit, reserved: int) -> None:
        """A start stays in its window, whenever the request ends."""

    def charge(self, limit: Limit, amount: int, now: int) -> None:
        """Starts cost nothing."""

    def reserve(self, limit: Limit, change: int) -> None:
        """Starts are not reserved."""

    def _leave(self, key: str, starts: Times, gone: int) -> Times | None:
        """Remove the starts at `gone` or before; None if no start is left."""
        times = starts.times
        if times[-1] <= gone:
            del self._keys[key]
            return None
        starts.first = first = bisect_right(times, gone, starts.first)
        if first >= MIN_GONE and 2 * first >= len(times):
            del times[:first]
            starts.first = 0
        return starts
