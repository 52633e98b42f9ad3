"""Budgets that are new, or after a restart: what users have spent in the present period is read from the records."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from intercept.ids import format_id
from limits.authority import Authority
from limits.charges import micro_dollars_of
from limits.kinds.calendar import bounds_of, from_ns, to_ns
from limits.request_limits import Client, RequestLimits
from storage.mongo.database import Database
from storage.queries.money.spend import read_spend

UNRESTORED = "budgets do not count what was spent before the start"


async def restore_budgets(
    database: Database, limits: RequestLimits, authority: Authority, now: Callable[[], datetime]
) -> None:
    """Increase the counts to what was recorded, as soon as the database has answered.

    Ended calls that are not recorded yet are missing in it.

    Raises:
        DatabaseRefusalError: MongoDB refuses; a job tries again after a pause.
    """
    settings = limits.settings
    if not settings.user_budget:
        return
    while True:
        await database.health.wait_until_back()
        begin = bounds_of(settings.budget_period, settings.budget_zone, to_ns(now())).begin_ns
        with database.health.tolerate(UNRESTORED):
            spend = await read_spend(database, from_ns(begin))
            break
    for user_id, usd in spend.items():
        for limit in limits.budgets_of(Client("", format_id(user_id))):
            authority.restore(limit, micro_dollars_of(usd), begin)
