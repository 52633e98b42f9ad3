"""What counts each kind of limit: slots, and the windows and budgets of each length and period, made when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Protocol, TypeVar

from limits.budgets import Budgets
from limits.limit import NEVER_NS, SLOT_RETRY_NS, BudgetPeriod, Limit, LimitKind, LimitState
from limits.windows import RateWindow, TokenWindow


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
