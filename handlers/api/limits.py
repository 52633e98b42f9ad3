"""`GET /api/v2/aibridge/limits`: how much of each limit is used, by which users, and when more is available."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from handlers.limits_state import scope_of_limits, state_of_limits
from handlers.operations.operation import READERS, Ask, operation
from intercept.ids import format_id
from intercept.times import format_time
from resources import limits as resources
from resources.limits import MAX_KEYS
from storage.mongo.database import DatabaseUnavailableError


@operation("GET", "limits", READERS)
async def get_limits(ask: Ask) -> resources.Limits:
    """Read how much of each limit is used.

    By user, and when more is available.
    """
    bridge = ask.bridge
    overload, cluster, workers = bridge.overload, bridge.cluster, bridge.workers
    usage, now = await overload.usage(MAX_KEYS), bridge.now()
    ids = {*usage.users, *usage.user_rates, *usage.user_tokens, *usage.user_budgets}
    names = {}
    with suppress(DatabaseUnavailableError):
        users = await bridge.identities.users_by_id(map(UUID, ids))
        names = {format_id(id_): user.username for id_, user in users.items()}
    return resources.Limits(
        scope=scope_of_limits(cluster, workers),
        state=state_of_limits(cluster, workers),
        at=format_time(now),
        limits=resources.limit_usages(overload.settings, usage, now, names),
    )
