"""Sliding windows: how many requests started in one, and how many tokens were used, of each key. In memory.

What is charged to a key is kept for one window, with its time and the sum of all charges up to it; a rate is charged one at
each start. So no window holds more than the maximum, wherever it begins, and the wait of a refusal is the time until enough
of the oldest charges have left, which is found by bisection. A charge takes 16 bytes in two arrays: a rate of 1,000,000 a
window takes 16 to 32 MB for each key that uses all of it, and a rate of 60 about 2 KB.

A key with more than `MAX_CHARGES` charges of tokens in a window has them grouped: those within one 8,192nd of the window
count as made together at the latest of their times. So they count a little longer, never shorter; the wait remains exact.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator

from limits.limit import NEVER_NS, SLOT_RETRY_NS, Limit, LimitState

FORGETS = 16
"""How often in a window idle keys are searched for, at most."""

MIN_GONE = 64
"""How many charges that left the window are kept at least before the arrays are shortened."""

GROUPS = 8_192
"""Into how many groups the charges of a window fall when there are too many."""

MAX_CHARGES = 16_384
"""How many charges of tokens of a key are kept one by one."""


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


class _Charges:
    """The charges of one key, by ascending time; those before `first` have left. Never without one in the window.

    `sums[i]` is the sum of all of them up to `i`, `gone` of those that have left.
    """

    __slots__ = ("first", "gone", "grain", "limit", "sums", "times")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.times = array("q")
        self.sums = array("q")
        self.first = self.gone = self.grain = 0

    def add(self, amount: int, now: int) -> None:
        times, sums = self.times, self.sums
        sum_ = (sums[-1] if sums else 0) + amount
        if times and (now == times[-1] or (self.grain and now // self.grain == times[-1] // self.grain)):
            times[-1], sums[-1] = now, sum_
            return
        times.append(now)
        sums.append(sum_)

    def group(self, grain: int) -> None:
        """Join charges within so many nanoseconds from now on, and those that there are."""
        self.grain, times, sums = grain, self.times, self.sums
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


class TokenWindow(Reservations):
    """The charges of all keys in half-open windows of `window_ns` nanoseconds, and what is reserved.

    Amortised constant time.
    """

    groups = True
    """Whether many charges of a key are grouped."""

    def __init__(self, window_ns: int) -> None:
        super().__init__()
        self._window_ns = window_ns
        self._keys: OrderedDict[str, _Charges] = OrderedDict()  # in the order of their newest charges
        self._forget_at = 0

    def __bool__(self) -> bool:
        """Whether a key is kept."""
        return bool(self._keys or self._reserved)

    def state(self, limit: Limit, need: int, now: int) -> LimitState:
        """The state of a limit for a request that is to reserve `need`; a request needs at least one."""
        need = need or 1
        charges = self._charges(limit.key, now)
        reserved = self._reserved.get(limit.key, 0)
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
        """Charge an amount, at least one."""
        charges = self._charges(limit.key, now)
        if charges is None:
            charges = self._keys[limit.key] = _Charges(limit)
        charges.limit = limit
        charges.add(amount, now)
        if self.groups and not charges.grain and len(charges.times) - charges.first > MAX_CHARGES:
            charges.group(-(-self._window_ns // GROUPS))
        self._keys.move_to_end(limit.key)
        if now >= self._forget_at:
            self.forget(now)

    def forget(self, now: int) -> None:
        """Forget the keys that are idle for a window."""
        gone = now - self._window_ns
        self._forget_at = now + self._window_ns // FORGETS
        idle = []
        for key, charges in self._keys.items():
            if charges.times[-1] > gone:
                break
            idle.append(key)
        for key in idle:
            del self._keys[key]

    def states(self, now: int) -> Iterator[LimitState]:
        """The state of each key, the one used last first."""
        self.forget(now)
        for charges in reversed(self._keys.values()):
            yield self.state(charges.limit, 0, now)

    def _charges(self, key: str, now: int) -> _Charges | None:
        """The charges of a key in the window; None if there are none."""
        charges, gone = self._keys.get(key), now - self._window_ns
        if charges is not None and charges.times[charges.first] <= gone:
            if charges.times[-1] <= gone:
                del self._keys[key]
                return None
            charges.leave(gone)
        return charges


class RateWindow(TokenWindow):
    """The starts of all keys: each is a charge of one, and none is grouped. Nothing is reserved."""

    groups = False

    def start(self, limit: Limit, _reserve: int, now: int) -> None:
        """Count a start."""
        self.charge(limit, 1, now)
