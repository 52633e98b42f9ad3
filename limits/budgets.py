"""Budgets: how much money each key was charged in a calendar period, or in all. In memory.

The wall clock says which period it is. A clock may be wrong for a while: the two periods that were used last are kept, so one
that jumps into another period and back finds its counts again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from msgspec import Struct

from limits.calendar import Bounds, bounds_of
from limits.limit import NEVER_NS, SLOT_RETRY_NS, UNLIMITED, BudgetPeriod, Limit, LimitState
from limits.windows import Reservations

PERIODS_KEPT = 2
"""How many periods are kept: the present one, and the one before it."""


class _Spent(Struct):
    """What one key was charged in one period."""

    limit: Limit
    used: int = 0


class Budgets(Reservations):
    """The charges of all keys in periods of one kind and time zone. Constant time. `wall_ns` is nanoseconds since 1970."""

    def __init__(self, period: BudgetPeriod, zone: str, wall_ns: Callable[[], int]) -> None:
        super().__init__()
        self._period = period
        self._zone = zone
        self._wall_ns = wall_ns
        self._bounds = bounds_of(period, zone, wall_ns())
        self._keys: OrderedDict[str, _Spent] = OrderedDict()  # in the order of their newest charges
        self._periods: OrderedDict[Bounds, OrderedDict[str, _Spent]] = OrderedDict({self._bounds: self._keys})

    def __bool__(self) -> bool:
        """Whether a key is kept, in the present period or the one before it."""
        return bool(self._reserved) or any(self._periods.values())

    def state(self, limit: Limit, need: int, _now: int) -> LimitState:
        """The state of a limit for a request that is to reserve `need`; a request needs at least one micro-dollar."""
        need = need or 1
        wall = self._enter_period()
        spent = self._keys.get(limit.key)
        reserved = self._reserved.get(limit.key, 0)
        used = 0 if spent is None else spent.used
        is_total = self._period is BudgetPeriod.TOTAL
        left = NEVER_NS if is_total else self._bounds.end_ns - wall
        free = limit.maximum - used - reserved
        if need <= free:
            wait = 0
        elif need > limit.maximum:
            wait = NEVER_NS
        else:
            wait = SLOT_RETRY_NS if need + reserved > limit.maximum else left
        return LimitState(limit, used, max(0, free), wait, 0 if is_total else left, reserved)

    def charge(self, limit: Limit, amount: int, _now: int) -> None:
        """Charge money to the period in which it becomes known."""
        self._enter_period()
        self._spent(limit).used += amount

    def at_least(self, limit: Limit, used: int, begin_ns: int) -> None:
        """Raise the usage of the current period to at least this, if the period began then."""
        self._enter_period()
        if begin_ns == self._bounds.begin_ns:
            spent = self._keys.get(limit.key) or self._spent(limit)
            spent.used = max(spent.used, used)

    def forget(self, _now: int) -> None:
        """Forget the periods before the last two."""
        self._enter_period()

    def states(self, now: int) -> Iterator[LimitState]:
        """The state of each key with charges, the one charged last first; not of those that were only restored."""
        self._enter_period()
        for spent in reversed(self._keys.values()):
            if spent.limit.maximum != UNLIMITED:
                yield self.state(spent.limit, 0, now)

    def _spent(self, limit: Limit) -> _Spent:
        spent = self._keys.get(limit.key)
        if spent is None:
            spent = self._keys[limit.key] = _Spent(limit)
        spent.limit = limit
        self._keys.move_to_end(limit.key)
        return spent

    def _enter_period(self) -> int:
        """Switch to the current period; return the time."""
        wall = self._wall_ns()
        begin, end = self._bounds
        if not begin <= wall < end:
            self._bounds = bounds = bounds_of(self._period, self._zone, wall)
            self._keys = self._periods.setdefault(bounds, OrderedDict())
            self._periods.move_to_end(bounds)
            while len(self._periods) > PERIODS_KEPT:
                self._periods.popitem(last=False)
        return wall
