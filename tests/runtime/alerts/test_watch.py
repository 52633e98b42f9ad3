"""What is worth an alert is noticed, and raised once."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest

from limits.protection.circuit_breaker import CircuitState
from runtime.alerts.watch import (
    DELAY,
    Alert,
    Watch,
    new_owners,
    open_circuits,
    refused_keys,
    weekly_digest,
)
from storage.accounts.audit import COMMAND_LINE
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.alerts.documents import AlertType
from storage.alerts.outbox import AlertOutbox
from storage.mongo.database import DatabaseUnavailableError
from storage.mongo.errors import DatabaseRefusalError
from storage.queries.questions.questions import Questions
from tests.clock import Clock
from tests.derived import derive
from tests.storage.records import ADA
from tests.storage.rollup_checks import MIDNIGHT, Call, write

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def clock():
    return Clock(NOON)


async def test_a_key_that_is_refused_a_circuit_and_a_job_are_told(clock):
    refusal = {"provider": "openai", "key": "sk-a...3f9c", "status": 401, "since": NOON, "calls": 3}
    assert await refused_keys(lambda: [refusal])() == [
        Alert(
            AlertType.KEY_REFUSED,
            "key:openai:sk-a...3f9c:2026-11-02T12",
            {"provider": "openai", "key": "sk-a...3f9c", "status": 401, "since": "2026-11-02T12:00:00.000Z"},
        )
    ]
    breakers = SimpleNamespace(
        states=lambda: {("openai", "/v1/x", "gpt"): CircuitState.OPEN, ("a", "b", "c"): CircuitState.CLOSED}
    )
    assert await open_circuits(breakers, clock)() == [
        Alert(
            AlertType.CIRCUIT_OPEN,
            "circuit:openai:/v1/x:gpt:2026-11-02T12",
            {"provider": "openai", "route": "/v1/x", "model": "gpt"},
        )
    ]
    assert await open_circuits(None, clock)() == []


async def test_a_new_owner_is_told_however_they_were_made(database):
    def now():
        return datetime.now(UTC)

    identities = Identities(database, now=now, monotonic=lambda: 0.0)
    await identities.add_user("ada", role=Role.OWNER)
    await identities.add_user("bob", role=Role.MEMBER)
    await identities.change_user("bob", role=Role.OWNER)
    await identities.change_user("bob", name="Bob")
    alerts = await new_owners(database, now)()
    assert sorted((alert.data["username"], alert.data["by"]) for alert in alerts) == [
        ("ada", COMMAND_LINE.name),
        ("bob", COMMAND_LINE.name),
    ]
    assert len({alert.key for alert in alerts}) == 2


async def test_the_digest_of_a_week_says_what_its_calls_cost(database, clock):
    monday = MIDNIGHT - timedelta(days=MIDNIGHT.weekday())
    calls = [Call(1), Call(2, second=1, model="claude"), Call(3, second=2, initiator=UUID(int=5))]
    for call in calls:
        await write(database, call.start, call.end(10 * call.number))
    await derive(database, now=lambda: MIDNIGHT)

    async def users(ids):
        return {ADA.id: ADA}

    find = weekly_digest(Questions(database), users, clock)
    clock.time = monday + timedelta(days=7)
    assert await find() == []  # not yet, and nothing of the week before
    clock.time += DELAY
    (alert,) = await find()
    assert alert.key == f"digest:{monday:%Y-%m-%d}"
    assert {name: alert.data[name] for name in ("calls", "tokens", "cost_micro_usd", "unpriced_calls")} == {
        "calls": 3,
        "tokens": 63,
        "cost_micro_usd": 60,
        "unpriced_calls": 0,
    }
    assert [(one["username"], one["cost_micro_usd"]) for one in alert.data["users"]] == [(None, 30), ("ada", 30)]
    assert [(one["model"], one["cost_micro_usd"]) for one in alert.data["models"]] == [("gpt-5", 40), ("claude", 20)]
    assert await find() == []


@pytest.mark.expects_log("alerts cannot be checked: MongoDB does not sum up costs")
async def test_what_is_noticed_is_raised_once_whatever_else_fails(database, clock):
    found = [Alert(AlertType.CIRCUIT_OPEN, "job:1", {})]

    async def source():
        return found

    async def broken():
        raise DatabaseUnavailableError

    async def refused():
        raise DatabaseRefusalError("MongoDB does not sum up costs: Slow")

    watch = Watch(database, AlertOutbox(database, now=clock), [broken, refused, source])
    for expected in (1, 1, 2):
        if expected == 2:
            found.append(Alert(AlertType.CIRCUIT_OPEN, "job:2", {}))
        await watch.check()
        assert await database.alerts.count_documents({}) == expected
