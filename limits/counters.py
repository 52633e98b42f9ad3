"""What counts each kind of limit, in memory: concurrency, rate, tokens and budget, for each window or period.

A rate counts how many requests of a key started in any window of time, exactly: the time of every start is kept for one
window. So no window holds more starts than the maximum, wherever it begins, and the wait of a refusal is the time until the
oldest start leaves. A time takes 8 bytes in an array: a rate of 1,000,000 a window takes 8 to 16 MB for each key that uses
all of it, and a rate of 60 about 1 KB.

Tokens are counted alike: every charge is kept for one window, with the sum of all charges up to it. So the time when enough
of them have left is found by bisection.

A key with more than `MAX_CHARGES` charges in a window has them grouped: those within one 8,192nd of the window count as made
together at the latest of their times. So they count a little longer, never shorter; the wait remains exact.

A budget counts how much money a key was charged in a calendar period. The wall clock says which period it is. A clock may be
wrong for a while: the two periods that were used last are kept, so one that jumps into another period and back finds its
counts again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from limits.calendar import Bounds, bounds_of
from limits.limit import NEVER_NS, SLOT_RETRY_NS, UNLIMITED, BudgetPeriod, Limit, LimitKind, LimitState

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


class Slots:
    """Counts the slots in use of each key, and forgets a key with its last slot."""

    def __init__(self) -> None:
        self._in_use: dict[str, int] = {}
        self._limits: dict[str, Limit] = {}

    def __len__(self) -> int:
        """How many keys hold a slot."""
        return len(self._in_use)

    def state(self, limit: Limit, _need: int, _now: int) -> LimitState:
        """The state of a limit."""
        used = self._in_use.get(limit.key, 0)
        remaining = limit.maximum - used
        if remaining > 0:
            return LimitState(limit, used, remaining, 0, 0)
        return LimitState(limit, used, 0, SLOT_RETRY_NS if limit.maximum > 0 else NEVER_NS, 0)

    def start(self, limit: Limit, _reserve: int, _now: int) -> None:
        """Take a slot."""
        key = limit.key
        self._in_use[key] = self._in_use.get(key, 0) + 1
        self._limits[key] = limit

    def end(self, limit: Limit, _reserved: int) -> None:
        """Give a slot back."""
        key = limit.key
        left = self._in_use[key] - 1
        if left:
            self._in_use[key] = left
        else:
            del self._in_use[key], self._limits[key]

    def charge(self, limit: Limit, amount: int, now: int) -> None:
        """Slots cost nothing."""

    def reserve(self, limit: Limit, change: int) -> None:
        """Slots are not reserved."""

    def forget(self, now: int) -> None:
        """A key is forgotten with its last slot, not by time."""

    def states(self, now: int) -> Iterator[LimitState]:
        """The state of each key, the newest key first."""
        for limit in reversed(self._limits.values()):
            yield self.state(limit, 0, now)


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

    def __len__(self) -> int:
        """How many keys are kept, in the present period and the one before it."""
        return len(set(self._reserved).union(*self._periods.values()))

    def __bool__(self) -> bool:
        """Whether a key is kept, without counting them."""
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


# Names of their own: in Python 3.11 to read `Kind.RATE` takes 130 ns, and such a name 10.
CONCURRENCY, RATE, TOKENS, BUDGET = LimitKind


class Counter(Protocol):
    """What one kind of limit uses, of all keys with the same window or period. `now` is monotonic."""

    def __len__(self) -> int: ...

    def state(self, limit: Limit, need: int, now: int, /) -> LimitState:
        """The state of a limit for a request that is to reserve `need`."""

    def start(self, limit: Limit, reserve: int, now: int, /) -> None:
        """Count a start, and reserve."""

    def end(self, limit: Limit, reserved: int, /) -> None:
        """Count an end, and give a reservation back."""

    def charge(self, limit: Limit, amount: int, now: int, /) -> None:
        """Charge an amount."""

    def reserve(self, limit: Limit, change: int, /) -> None:
        """Reserve more, or less."""

    def forget(self, now: int, /) -> None:
        """Forget keys that nothing is used of."""

    def states(self, now: int, /) -> Iterator[LimitState]:
        """The state of each key."""


K = TypeVar("K")
C = TypeVar("C", bound=Counter)


class Counters:
    """Makes them when they are first needed. `wall_ns` is nanoseconds since 1970."""

    def __init__(self, wall_ns: Callable[[], int]) -> None:
        self._wall_ns = wall_ns
        self._slots = Slots()
        self._rates: dict[int, RateWindow] = {}
        self._tokens: dict[int, TokenWindow] = {}
        self._budgets: dict[tuple[BudgetPeriod, str], Budgets] = {}

    def __iter__(self) -> Iterator[Counter]:
        """Each of them."""
        return chain((self._slots,), self._rates.values(), self._tokens.values(), self._budgets.values())

    def of(self, limit: Limit) -> Counter:
        """The one of a limit. It is the same for as long as a key is kept in it."""
        kind = limit.kind
        counter: Counter | None
        if kind is CONCURRENCY:
            return self._slots
        if kind is RATE:
            counter = self._rates.get(limit.window_ns)
            if counter is None:
                counter = self._rates[limit.window_ns] = RateWindow(limit.window_ns)
        elif kind is TOKENS:
            counter = self._tokens.get(limit.window_ns)
            if counter is None:
                counter = self._tokens[limit.window_ns] = TokenWindow(limit.window_ns)
        else:
            name = (limit.period, limit.zone)
            counter = self._budgets.get(name)
            if counter is None:
                counter = self._budgets[name] = Budgets(limit.period, limit.zone, self._wall_ns)
        return counter

    def drop_idle(self, now: int) -> None:
        """Forget windows without keys, such as those of a limit that was changed."""
        _drop_idle(self._rates, now)
        _drop_idle(self._tokens, now)
        _drop_idle(self._budgets, now)


def once(counted: Sequence[tuple[Counter, Limit]]) -> Sequence[tuple[Counter, Limit]]:
    """Limits that count together, each once; of several the one that reserves."""
    by_name: dict[tuple[int, str], tuple[Counter, Limit]] = {}
    for counter, limit in counted:
        name = (id(counter), limit.key)
        if name not in by_name or limit.reserve:
            by_name[name] = (counter, limit)
    return list(by_name.values())


def reported_of(refusing: Sequence[LimitState]) -> LimitState:
    """The limit that is reported if several refuse: one of concurrency, else the one with the longest wait."""
    return max(refusing, key=lambda state: (state.limit.kind is CONCURRENCY, state.retry_after_ns))


def _drop_idle(counters: dict[K, C], now: int) -> None:
    for name, counter in list(counters.items()):
        counter.forget(now)
        if not counter:
            del counters[name]
