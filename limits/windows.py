"""Sliding windows: how many requests started in one, and how many tokens were used, of each key. In memory.

A rate counts how many requests of a key started in any window of time, exactly: the time of every start is kept for one
window. So no window holds more starts than the maximum, wherever it begins, and the wait of a refusal is the time until the
oldest start leaves. A time takes 8 bytes in an array: a rate of 1,000,000 a window takes 8 to 16 MB for each key that uses
all of it, and a rate of 60 about 1 KB.

Tokens are counted alike: every charge is kept for one window, with the sum of all charges up to it. So the time when enough
of them have left is found by bisection.

A key with more than `MAX_CHARGES` charges in a window has them grouped: those within one 8,192nd of the window count as made
together at the latest of their times. So they count a little longer, never shorter; the wait remains exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

from limits.limit import NEVER_NS, SLOT_RETRY_NS, Limit, LimitState

FORGETS = 16
"""How often in a window idle keys are searched for, at most."""

MIN_GONE = 64
"""How many times that left the window are kept at least before the arrays are shortened."""


class Times:
    """The times of one key in ascending order; those before `first` have left the window. Never without one in it."""

    __slots__ = ("first", "limit", "times")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.times = array("q")
        self.first = 0


T = TypeVar("T", bound=Times)


class Windows(ABC, Generic[T]):
    """The times of all keys in half-open windows of `window_ns` nanoseconds."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._keys: OrderedDict[str, T] = OrderedDict()  # in the order of their newest times
        self._forget_at = 0

    @abstractmethod
    def state(self, limit: Limit, need: int, now: int) -> LimitState:
        """The state of a limit for a request that is to reserve `need`."""

    def forget(self, now: int) -> None:
        """Forget the keys that are idle for a window."""
        gone = now - self._window_ns
        self._forget_at = now + self._window_ns // FORGETS
        idle = []
        for key, kept in self._keys.items():
            if kept.times[-1] > gone:
                break
            idle.append(key)
        for key in idle:
            del self._keys[key]

    def states(self, now: int) -> Iterator[LimitState]:
        """The state of each key, the one used last first."""
        self.forget(now)
        for kept in reversed(self._keys.values()):
            yield self.state(kept.limit, 0, now)


class Reservations:
    """The part of a counter that holds back for requests what they may use, until it is known what they used."""

    def __init__(self) -> None:
        self._reserved: dict[str, int] = {}

    def start(self, limit: Limit, reserve: int, _now: int) -> None:
        """Reserve for a request."""
        self.reserve(limit, reserve)

    def end(self, limit: Limit, reserved: int) -> None:
        """Give a reservation back. What was charged stays."""
        self.reserve(limit, -reserved)

    def reserve(self, limit: Limit, change: int) -> None:
        """Reserve more, or less."""
        if change:
            reserved = self._reserved.get(limit.key, 0) + change
            if reserved:
                self._reserved[limit.key] = reserved
            else:
                del self._reserved[limit.key]


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


GROUPS = 8_192
"""Into how many groups the charges of a window fall when there are too many."""

MAX_CHARGES = 16_384
"""How many charges of a key are kept one by one."""


class _Charges(Times):
    """The charges of one key. `sums[i]` is the sum of all of them up to `i`, `gone` of those that have left."""

    __slots__ = ("gone", "grain", "sums")

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit)
        self.sums = array("q")
        self.gone = self.grain = 0

    def add(self, amount: int, now: int, window_ns: int) -> None:
        times, sums = self.times, self.sums
        sum_ = (sums[-1] if sums else 0) + amount
        if times and (now == times[-1] or (self.grain and now // self.grain == times[-1] // self.grain)):
            times[-1], sums[-1] = now, sum_
            return
        times.append(now)
        sums.append(sum_)
        if not self.grain and len(times) - self.first > MAX_CHARGES:
            self.grain = -(-window_ns // GROUPS)
            self._group()

    def _group(self) -> None:
        times, sums, grain = self.times, self.sums, self.grain
        kept = [i for i in range(self.first, len(times) - 1) if times[i] // grain != times[i + 1] // grain]
        kept.append(len(times) - 1)
        self.times, self.sums = array("q", [times[i] for i in kept]), array("q", [sums[i] for i in kept])
        self.first = 0

    def leave(self, gone: int) -> None:
        """Remove the charges at `gone` or before. At least one is left."""
        self.first = first = bisect_right(self.times, gone, self.first)
        self.gone = self.sums[first - 1]
        if first >= MIN_GONE and 2 * first >= len(self.times):
            del self.times[:first], self.sums[:first]
            self.first = 0


class TokenWindow(Reservations, Windows[_Charges]):
    """The charges of all keys, and what is reserved. Amortised constant time."""

    def __init__(self, window_ns: int) -> None:
        Reservations.__init__(self)
        Windows.__init__(self, window_ns)

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._keys.keys() | self._reserved)

    def __bool__(self) -> bool:
        """Whether a key is kept, without counting them."""
        return bool(self._keys or self._reserved)

    # Both begin alike, as in `RateWindow`.

    def state(self, limit: Limit, need: int, now: int) -> LimitState:
        """The state of a limit for a request that is to reserve `need` tokens; a request needs at least one."""
        need = need or 1
        key, gone = limit.key, now - self._window_ns
        charges = self._keys.get(key)
        if charges is not None and charges.times[charges.first] <= gone:
            charges = self._leave(key, charges, gone)
        reserved = self._reserved.get(key, 0)
        used = reset = 0
        if charges is not None:
            used = charges.sums[-1] - charges.gone
            reset = charges.times[-1] + self._window_ns - now
        free = limit.maximum - used - reserved
        if need <= free:
            return LimitState(limit, used, free, 0, reset, reserved)
        if need > limit.maximum:
            wait = NEVER_NS
        elif need + reserved > limit.maximum or charges is None:
            wait = SLOT_RETRY_NS
        else:
            last = bisect_left(charges.sums, charges.gone + need - free, charges.first)
            wait = charges.times[last] + self._window_ns - now
        return LimitState(limit, used, max(0, free), wait, reset, reserved)

    def charge(self, limit: Limit, amount: int, now: int) -> None:
        """Charge tokens, at least one."""
        key, gone = limit.key, now - self._window_ns
        charges = self._keys.get(key)
        if charges is not None and charges.times[charges.first] <= gone:
            charges = self._leave(key, charges, gone)
        if charges is None:
            charges = self._keys[key] = _Charges(limit)
        charges.limit = limit
        charges.add(amount, now, self._window_ns)
        self._keys.move_to_end(key)
        if now >= self._forget_at:
            self.forget(now)

    def _leave(self, key: str, charges: _Charges, gone: int) -> _Charges | None:
        """Remove the charges at `gone` or before; None if no charge is left."""
        if charges.times[-1] <= gone:
            del self._keys[key]
            return None
        charges.leave(gone)
        return charges
