"""`GET /api/v2/aibridge/limits`: how much of each limit is used, by whom, and when there will be more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec

from handlers.api.pagination import single_values
from handlers.control import ControlHandler
from handlers.lifecycle import ActiveRequest, Lifecycle
from handlers.limits_state import state_of_limits
from handlers.problems import Problem
from intercept.ids import format_id
from intercept.times import format_time
from limits.overload import OverloadProtection, Usage
from resources import limits as resources
from resources.limits import MAX_ACTIVE_REQUESTS, MAX_KEYS
from storage.admission.reports import SharedUsage
from storage.mongo.database import DatabaseUnavailableError

NOT_YOURS = "Only owners and auditors may see the limits."


def report(lifecycle: Lifecycle, overload: OverloadProtection) -> dict[str, Any]:
    """What one process has to say: which of its requests hold slots, and how many it refused since when."""
    return {
        "holding": overload.slots.in_use(),
        "holders": [_shown(holder) for holder in islice(lifecycle.holders(), MAX_ACTIVE_REQUESTS)],
        "refused": dict(overload.refusals.total),
        "since": format_time(lifecycle.began),
    }


class LimitsHandler(ControlHandler):
    """The limits, for owners and auditors. What is asked of the database is bounded, and so is the answer."""

    async def answer(self) -> None:
        """Answer `{"scope", "state", "at", "refused_since", "limits": [..], "holding": n, "holders": [..]}`.

        Raises:
            Problem: 403, a member asks.
            ValidationProblem: there is a parameter.
        """
        if not self.identity.user.role.sees_everything:
            raise Problem(403, NOT_YOURS)
        single_values(self.request.query_arguments, ())
        overload, admissions = self.bridge.overload, self.bridge.admissions
        own: Usage | SharedUsage = overload.usage(MAX_KEYS)
        together = own
        reports = [report(self.bridge.lifecycle, overload)]
        if admissions is not None and not admissions.away:
            together = await admissions.usage(MAX_KEYS)
            reports += await admissions.reports()
        now = self.bridge.now()
        holders = sorted((holder for one in reports for holder in one["holders"]), key=lambda holder: holder["since"])
        slots_by_user = (together if overload.user_slots.limit else own).users
        names = await self._usernames({*slots_by_user, *together.user_rates})
        names |= {holder["user_id"]: holder["username"] for holder in holders}
        window = overload.rate_window.total_seconds()
        rates = [0 if rate is None else rate.limit for rate in (overload.rate, overload.user_rate)]
        slots, user_slots = overload.slots.limit, overload.user_slots.limit
        refused = sum((Counter(one["refused"]) for one in reports), Counter[str]())
        own_or_all = (together if slots else own).slots
        limits = (
            resources.ConcurrencyUsage.of(slots, own_or_all, now, refused["concurrency"]),
            resources.UserConcurrencyUsage.of(user_slots, slots_by_user, names, now, refused["user_concurrency"]),
            resources.RateUsage.of(rates[0], together.rates, window_seconds=window, now=now, refused=refused["rate"]),
            resources.UserRateUsage.of(
                rates[1], together.user_rates, names, window_seconds=window, now=now, refused=refused["user_rate"]
            ),
        )
        self.write_json(
            resources.Limits(
                scope="process" if admissions is None else "cluster",
                state=state_of_limits(admissions),
                at=format_time(now),
                refused_since=min(one["since"] for one in reports if "since" in one),
                limits=limits,
                holding=sum(one["holding"] for one in reports),
                holders=[resources.ActiveRequest.of(holder) for holder in holders],
            )
        )

    async def _usernames(self, ids: Iterable[str]) -> dict[str, str]:
        """Names of users by their ids; none while the database is away."""
        try:
            users = await self.bridge.identities.users_by_id(map(UUID, ids))
        except DatabaseUnavailableError:
            return {}
        return {format_id(id_): user.username for id_, user in users.items()}


def _shown(holder: ActiveRequest) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(holder)
    return shown | {"since": format_time(holder.since)}
