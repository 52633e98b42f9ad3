"""What counts each kind of limit: slots, and the windows and budgets of each length and period."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from limits.budgets import Budgets
from limits.limit import NEVER_NS, SLOT_RETRY_NS, Limit, LimitKind, LimitState
from limits.windows import RateWindow, TokenWindow


class Slots:
    """Counts the slots in use of each key, and forgets a key with its last slot."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[int, Limit]] = {}

    def __bool__(self) -> bool:
        """Whether a key holds a slot."""
        return bool(self._keys)

    def state(self, limit: Limit, _need: int, _now: int) -> LimitState:
        """The state of a limit."""
        used, _ = self._keys.get(limit.key, (0, limit))
        wait = 0 if used < limit.maximum else SLOT_RETRY_NS if limit.maximum > 0 else NEVER_NS
        return LimitState(limit, used, max(0, limit.maximum - used), wait, 0)

    def start(self, limit: Limit, _reserve: int, _now: int) -> None:
        """Take a slot."""
        used, _ = self._keys.get(limit.key, (0, limit))
        self._keys[limit.key] = used + 1, limit

    def end(self, limit: Limit, _reserved: int) -> None:
        """Give a slot back."""
        used, latest = self._keys.pop(limit.key)
        if used > 1:
            self._keys[limit.key] = used - 1, latest

    def charge(self, limit: Limit, amount: int, now: int) -> None:
        """Slots cost nothing."""

    def reserve(self, limit: Limit, change: int) -> None:
        """Slots are not reserved."""

    def forget(self, now: int) -> None:
        """A key is forgotten with its last slot, not by time."""

    def states(self, now: int) -> Iterator[LimitState]:
        """The state of each key, the one used last first."""
        for _, limit in reversed(self._keys.values()):
            yield self.state(limit, 0, now)


# Names of their own: in Python 3.11 to read `Kind.RATE` takes 130 ns, and such a name 10.
CONCURRENCY, RATE, TOKENS, BUDGET = LimitKind


Counter: TypeAlias = Slots | RateWindow | TokenWindow | Budgets
"""What one kind of limit uses, of all keys with the same window or period."""


def make_counter(limit: Limit, wall_ns: Callable[[], int]) -> Counter:
    """Make what counts a limit, and all others of its kind and window or period. `wall_ns` is nanoseconds since 1970."""
    match limit.kind:
        case LimitKind.CONCURRENCY:
            return Slots()
        case LimitKind.RATE:
            return RateWindow(limit.window_ns)
        case LimitKind.TOKENS:
            return TokenWindow(limit.window_ns)
        case LimitKind.BUDGET:
            return Budgets(limit.period, limit.zone, wall_ns)


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
