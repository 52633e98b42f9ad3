"""Tokens: how many a key was charged in any window of time, and how many are reserved.

Every charge is kept for one window, as in `limits.kinds.rate_window`, with the sum of all charges up to it. So the time when
enough of them have left is found by bisection.

A key with more than `MAX_CHARGES` charges in a window has them grouped: those within one 8,192nd of the window count as
made together at the latest of their times. So they count a little longer, never shorter; the wait remains exact.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

from limits.kinds.reservations import Reservations
from limits.kinds.windows import MIN_GONE, Times, Windows
from limits.limit import NEVER_NS, SLOT_RETRY_NS, Limit, LimitState

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

    # Both begin alike, as in `limits.kinds.rate_window`.

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
