"""Which budgets are used to a share that is worth an alert."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from intercept.times import format_time
from limits.calendar import bounds_of, from_ns, to_ns
from limits.limit import Kind, Limit, LimitState, Of
from runtime.alerts.watch import Alert
from storage.accounts.users import EVERYONE, SERVICE_PREFIX, User, read_id
from storage.alerts.documents import AlertType

SHARES: Final = (50, 80, 100)
"""The percentages of a budget at which there is an alert."""

WATCHED: Final = timedelta(minutes=15)
"""How long a budget is checked after its last request."""

MAX_WATCHED: Final = 5_000
"""The number of budgets that are checked, the most recently used first."""

AT_ONCE: Final = 100

_MICRO: Final = 1_000_000
_Key = tuple[str, str, str, str]


class BudgetWatch:
    """Checks the budgets of requests.

    Args:
        states: Reads the current states of limits.
        users: Finds users by id, and who calls with tokens of groups.
        now: The wall clock, in UTC.
    """

    def __init__(
        self,
        states: Callable[[Sequence[Limit]], Awaitable[Sequence[LimitState]]],
        users: Callable[[set[UUID]], Awaitable[Mapping[UUID, User]]],
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._states = states
        self._users = users
        self._now = now
        self._watched: OrderedDict[_Key, tuple[Limit, datetime]] = OrderedDict()

    def note(self, states: Sequence[LimitState]) -> None:
        """Note the limits that a request was decided by. Returns at once."""
        for state in states:
            limit = state.limit
            if limit.kind is Kind.BUDGET and limit.maximum and not limit.shadow:
                key = (limit.rule, limit.key, limit.period, limit.zone)
                self._watched[key] = limit, self._now()
                self._watched.move_to_end(key)
                if len(self._watched) > MAX_WATCHED:
                    self._watched.popitem(last=False)

    async def find(self) -> list[Alert]:
        """Find the shares that are reached, each with an alert of its own.

        Raises:
            DatabaseUnavailableError: The names of users cannot be known now.
        """
        now = self._now()
        for key, (_, at) in list(self._watched.items()):
            if now - at > WATCHED:
                del self._watched[key]
        limits = [limit for limit, _ in self._watched.values()]
        reached: list[LimitState] = []
        for start in range(0, len(limits), AT_ONCE):
            states = await self._states(limits[start : start + AT_ONCE])
            reached += [state for state in states if state.used * 100 >= state.limit.maximum * SHARES[0]]
        if not reached:
            return []
        users = await self._users({id_ for state in reached if (id_ := _holder_id(state.limit)) is not None})
        return [alert for state in reached for alert in _alerts(state, users, now)]


def _alerts(state: LimitState, users: Mapping[UUID, User], now: datetime) -> list[Alert]:
    limit = state.limit
    begin, end = (format_time(from_ns(ns)) for ns in bounds_of(limit.period, limit.zone, to_ns(now)))
    of, _, id_ = limit.key.partition(":")
    holder_id = _holder_id(limit)
    holder = None if holder_id is None else users.get(holder_id)
    name = holder.username if holder else id_ if id_ == EVERYONE else None
    is_group = limit.of is Of.GROUP
    data: dict[str, Any] = {
        "of": limit.of.value,
        "id": id_,
        "username": None if is_group else name,
        "group": name.removeprefix(SERVICE_PREFIX) if is_group and name else None,
        "rule": limit.rule.value,
        "period": limit.period.value,
        "period_start": begin,
        "resets_at": end,
        "limit_usd": limit.maximum / _MICRO,
        "used_usd": state.used / _MICRO,
    }
    base = f"budget:{limit.rule}:{of}:{id_}:{limit.period.value}:{begin}:{limit.maximum}"
    return [
        Alert(AlertType.BUDGET_THRESHOLD, f"{base}:{share}", {"share": share, **data})
        for share in SHARES
        if state.used * 100 >= limit.maximum * share
    ]


def _holder_id(limit: Limit) -> UUID | None:
    """The id of the user or the group whose budget it is; None for everyone and a token."""
    of, _, id_ = limit.key.partition(":")
    return read_id(id_) if of in {"user", "member", "group"} else None
