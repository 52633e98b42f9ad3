"""`GET /api/v2/aibridge/limits`: how much of each limit is used, by whom, and when there will be more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec

from handlers.api.pagination import single_values
from handlers.control import ControlHandler
from handlers.lifecycle import Holder, Lifecycle
from handlers.limits_state import state_of_limits
from handlers.problems import Problem
from intercept.ids import shown_id
from limits.admission import Rate
from limits.overload import OverloadProtection, Usage
from limits.sliding_window import SlidingWindow
from storage.admission.reports import SharedUsage
from storage.mongo.database import DatabaseUnavailableError

NOT_YOURS = "Only owners and auditors may see the limits."
# Requests of each process that are named, those that began first.
MOST_HOLDERS = 100
# Users and rate keys that are named, those that use most.
MOST_KEYS = 20


def report(lifecycle: Lifecycle, overload: OverloadProtection) -> dict[str, Any]:
    """What one process has to say: which of its requests hold slots, and how many it refused since when."""
    return {
        "holding": overload.slots.in_use(),
        "holders": [_shown(holder) for holder in islice(lifecycle.holders(), MOST_HOLDERS)],
        "refused": dict(overload.refusals.total),
        "since": _time(lifecycle.began),
    }


class LimitsHandler(ControlHandler):
    """The limits, for owners and auditors. What is asked of the database is bounded, and so is the answer."""

    async def answer(self) -> None:
        """Answer `{"scope", "state", "at", "refused_since", "limits": [..], "holding": n, "holders": [..]}`.

        Raises:
            Problem: 403, a member asks.
            InvalidQueryError: there is a parameter.
        """
        if not self.identity.user.role.sees_everything:
            raise Problem(403, NOT_YOURS)
        single_values(self.request.query_arguments, ())
        overload, admissions = self.bridge.overload, self.bridge.admissions
        own: Usage | SharedUsage = overload.usage(MOST_KEYS)
        together = own
        reports = [report(self.bridge.lifecycle, overload)]
        if admissions is not None and not admissions.away:
            together = await admissions.usage(MOST_KEYS)
            reports += await admissions.reports()
        now = self.bridge.now()
        holders = sorted((holder for one in reports for holder in one["holders"]), key=lambda holder: holder["since"])
        slots_by_user = (together if overload.user_slots.limit else own).users
        names = await self._usernames({*slots_by_user, *together.user_rates})
        names |= {holder["user_id"]: holder["username"] for holder in holders}
        window = {"window_seconds": overload.rate_window.total_seconds()}
        limits = [
            _of_server(overload, (together if overload.slots.limit else own).slots, now),
            _of_users(overload, slots_by_user, now, names),
            _of_rate("rate", overload.rate, together.rates, now) | window,
            _of_rate("user_rate", overload.user_rate, together.user_rates, now, names) | window,
        ]
        refused = sum((Counter(one["refused"]) for one in reports), Counter[str]())
        self.write_json(
            {
                "scope": "process" if admissions is None else "cluster",
                "state": state_of_limits(admissions),
                "at": _time(now),
                "refused_since": min(one["since"] for one in reports if "since" in one),
                "limits": [limit | {"refused": refused[limit["name"]]} for limit in limits],
                "holding": sum(one["holding"] for one in reports),
                "holders": holders,
            }
        )

    async def _usernames(self, ids: Iterable[str]) -> dict[str, str]:
        """Names of users by their ids; none while the database is away."""
        try:
            users = await self.bridge.identities.users_by_id(map(UUID, ids))
        except DatabaseUnavailableError:
            return {}
        return {shown_id(id_): user.username for id_, user in users.items()}


def _shown(holder: Holder) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(holder)
    return shown | {"since": _time(holder.since)}


def _time(moment: datetime) -> str:
    """RFC 3339, in UTC with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _of_server(overload: OverloadProtection, used: int, now: datetime) -> dict[str, Any]:
    limit = overload.slots.limit
    return {"name": "concurrency", "setting": "max-concurrency", "limit": limit, **_of_slots(limit, used, now)}


def _of_users(
    overload: OverloadProtection, users: Mapping[str, int], now: datetime, names: Mapping[str, str]
) -> dict[str, Any]:
    limit = overload.user_slots.limit
    keys = [{"key": user, "username": names.get(user), **_of_slots(limit, used, now)} for user, used in users.items()]
    return {"name": "user_concurrency", "setting": "user-max-concurrency", "limit": limit, "keys": keys}


def _of_slots(limit: int, used: int, now: datetime) -> dict[str, Any]:
    """Nobody knows when a request ends: where no slot is free, neither is the instant known."""
    free = not limit or used < limit
    return {
        "used": used,
        "remaining": max(0, limit - used) if limit else None,
        "next_free_at": _time(now) if free else None,
    }


def _of_rate(
    name: str,
    counted: SlidingWindow | None,
    rates: Mapping[str, Rate],
    now: datetime,
    names: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What is left of a rate by key; with `names` of users, whose key is their id."""
    keys = [
        {
            "key": key,
            **({} if names is None else {"username": names.get(key)}),
            "used": rate.limit - rate.remaining,
            "remaining": rate.remaining,
            "next_free_at": _time(now + timedelta(milliseconds=-(-rate.retry_after_ns // 1_000_000))),
        }
        for key, rate in rates.items()
    ]
    return {
        "name": name,
        "setting": f"{name.replace('_', '-')}-limit",
        "limit": 0 if counted is None else counted.limit,
        "keys": keys,
    }
