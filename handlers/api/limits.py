"""`GET /api/v2/aibridge/limits`: how much of each limit is used, by which users, and when more is available."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from handlers.bridge import Bridge
from handlers.lifecycle import Lifecycle
from handlers.limits_state import scope_of_limits, state_of_limits
from handlers.operations.operation import READERS, Ask, operation
from intercept.ids import format_id
from intercept.times import format_time
from limits.protection.overload import OverloadProtection
from resources import limits as resources
from resources.limits import MAX_KEYS
from storage.mongo.database import DatabaseUnavailableError


def report(lifecycle: Lifecycle, overload: OverloadProtection) -> dict[str, Any]:
    """The report of one process: how many requests hold slots there, and how many it refused since when."""
    return {
        "holding": overload.holding,
        "refused": dict(overload.refusals.total),
        "since": format_time(lifecycle.began),
    }


def merge_reports(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the reports of the processes of a server."""
    merged = {
        "holding": sum(one["holding"] for one in reports),
        "refused": dict(sum((Counter(one["refused"]) for one in reports), Counter[str]())),
    }
    since = [one["since"] for one in reports if "since" in one]
    return merged | ({"since": min(since)} if since else {})


@operation("GET", "limits", READERS)
async def get_limits(ask: Ask) -> resources.Limits:
    """Read how much of each limit is used.

    By user, and when more is available.
    """
    bridge = ask.bridge
    overload, cluster, workers = bridge.overload, bridge.cluster, bridge.workers
    usage, now = await overload.usage(MAX_KEYS), bridge.now()
    reports = [report(bridge.lifecycle, overload)]
    if cluster is not None:
        reports += cluster.reports()
    elif workers is not None:
        reports += [msgspec.json.decode(one) for one in workers.reports]
    merged = merge_reports(reports)
    settings = overload.settings
    names = await _usernames(bridge, {*usage.users, *usage.user_rates, *usage.user_tokens, *usage.user_budgets})
    return resources.Limits(
        scope=scope_of_limits(cluster, workers),
        state=state_of_limits(cluster, workers),
        at=format_time(now),
        refused_since=merged["since"],
        limits=resources.limit_usages(settings, usage, now, names=names, refused=merged["refused"]),
        holding=merged["holding"],
    )


async def _usernames(bridge: Bridge, ids: Iterable[str]) -> dict[str, str]:
    """Names of users by their ids; none while the database is unavailable."""
    try:
        users = await bridge.identities.users_by_id(map(UUID, ids))
    except DatabaseUnavailableError:
        return {}
    return {format_id(id_): user.username for id_, user in users.items()}
