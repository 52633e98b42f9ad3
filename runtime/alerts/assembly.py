"""The parts of alerts, put together."""

from __future__ import annotations

from functools import partial

from handlers.api.budgets import BudgetUse, every_budget
from handlers.bridge import Bridge
from handlers.key_health import report_refused_keys
from runtime.alerts.sender import Sender
from runtime.alerts.watch import (
    BUDGET_SECONDS,
    CALENDAR_SECONDS,
    Watch,
    budget_alerts,
    new_owners,
    open_circuits,
    refused_keys,
    weekly_digest,
)
from runtime.process import Process, now
from settings.loading import network_to
from storage.alerts.documents import AlertType
from storage.alerts.outbox import AlertOutbox
from storage.alerts.webhooks import Webhooks
from storage.queries.questions.questions import Questions


def start_alerts(process: Process, bridge: Bridge) -> None:
    """Start the jobs that raise and send alerts."""
    database = process.database
    outbox, sealer = AlertOutbox(database, now=now), bridge.managed.sealer
    sources = (
        refused_keys(partial(report_refused_keys, bridge.routing)),
        open_circuits(bridge.breakers, now),
        new_owners(database, now),
    )
    digest = weekly_digest(Questions(database), bridge.identities.users_by_id, now)
    process.start("digest", Watch(database, outbox, (digest,), seconds=CALENDAR_SECONDS).run)

    async def budgets() -> list[BudgetUse]:
        """All budgets, if somebody is told of them: what 3,000 users spent in a month takes a while to add up."""
        is_wanted = await outbox.is_wanted(AlertType.BUDGET_THRESHOLD, AlertType.BUDGET_FORECAST)
        return await every_budget(bridge, of_tokens=True) if is_wanted else []

    process.start("budget_alerts", Watch(database, outbox, (budget_alerts(budgets),), seconds=BUDGET_SECONDS).run)
    sender = Sender(
        *(database, Webhooks(database, sealer, now=now), outbox),
        sealer=sealer,
        client=bridge.upstream,
        way=partial(network_to, process.settings),
        now=now,
    )
    process.start("webhooks", sender.run)
    process.start("alerts", Watch(database, outbox, sources).run)
