"""What is worth an alert is noticed, and raised once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest

from intercept.refusals import Rule
from limits.limit import Amounts, BudgetPeriod, Limit, LimitKind, Of
from limits.limiter import Limiter
from limits.protection.circuit_breaker import CircuitState
from runtime.alerts.watch import (
    DELAY,
    Alert,
    BudgetWatch,
    Watch,
    new_owners,
    open_circuits,
    refused_keys,
    weekly_digest,
)
from storage.accounts.audit import COMMAND_LINE
from storage.accounts.identities import Identities
from storage.accounts.subjects import service_of
from storage.accounts.users import Group, Role
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


LAB = service_of(Group(id=UUID(int=7), name="lab", display_name="Lab", created_at=NOON))


def budget(key, maximum=100_000_000, rule=Rule.USER_BUDGET, of=Of.USER, **more):
    return Limit(LimitKind.BUDGET, rule, of, key, maximum, period=BudgetPeriod.MONTH, **more)


class Budgets:
    """A limiter with budgets, at the time of a clock."""

    def __init__(self, clock):
        self.limiter = Limiter(wall_ns=lambda: int(clock().timestamp()) * 10**9)
        self.watch = BudgetWatch(self.states, self.users, now=clock)

    async def states(self, limits):
        return self.limiter.states(limits)

    async def users(self, ids):
        return {one.id: one for one in (ADA, LAB) if one.id in ids}

    def spend(self, limit, micro_dollars):
        decision = self.limiter.start([limit])
        self.watch.note(decision.states)
        if decision.ticket is not None:
            self.limiter.charge(decision.ticket, Amounts(micro_dollars=micro_dollars))
            self.limiter.end(decision.ticket)

    async def shares(self):
        return [(alert.data["id"], alert.data["share"]) for alert in await self.watch.find()]


@pytest.mark.gen_test
async def test_a_budget_has_an_alert_at_each_share_that_is_reached(clock):
    budgets, limit = Budgets(clock), budget(f"user:{ADA.id}")
    budgets.spend(limit, 49_999_999)
    assert await budgets.shares() == []
    budgets.spend(limit, 1)
    (alert,) = await budgets.watch.find()
    assert alert == Alert(
        AlertType.BUDGET_THRESHOLD,
        f"budget:user_budget:user:{ADA.id}:month:2026-11-01T00:00:00.000Z:100000000:50",
        {
            "share": 50,
            "of": "user",
            "id": str(ADA.id),
            "username": ADA.username,
            "group": None,
            "rule": "user_budget",
            "period": "month",
            "period_start": "2026-11-01T00:00:00.000Z",
            "resets_at": "2026-12-01T00:00:00.000Z",
            "limit_usd": 100.0,
            "used_usd": 50.0,
        },
    )
    budgets.spend(limit, 50_000_000)
    assert [share for _, share in await budgets.shares()] == [50, 80, 100]
    clock.time = datetime(2026, 12, 1, tzinfo=UTC)
    budgets.spend(limit, 1)
    assert await budgets.shares() == []


@pytest.mark.gen_test
async def test_budgets_of_groups_and_tokens_count_and_shadow_ones_and_empty_ones_do_not(clock):
    budgets = Budgets(clock)
    for limit in (budget("group:lab"), budget("key:abc"), budget("key:shadow", shadow=True), budget("key:none", 0)):
        budgets.spend(limit, 80_000_000)
    assert await budgets.shares() == [("lab", 50), ("lab", 80), ("abc", 50), ("abc", 80)]


@pytest.mark.gen_test
async def test_whose_budget_it_is_is_told_by_name(clock):
    budgets = Budgets(clock)
    keys = {f"member:{ADA.id}": Of.USER, f"group:{LAB.id}": Of.GROUP, "group:everyone": Of.GROUP, "key:abc": Of.TOKEN}
    for key, of in (keys | {f"member:{LAB.id}": Of.USER}).items():
        budgets.spend(budget(key, of=of), 50_000_000)
    assert [
        (alert.data["of"], alert.data["username"], alert.data["group"]) for alert in await budgets.watch.find()
    ] == [
        ("user", ADA.username, None),
        ("group", None, "lab"),
        ("group", None, "everyone"),
        ("token", None, None),
        ("user", "groups/lab", None),
    ]


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_what_is_noticed_is_raised_once_whatever_else_fails(database, clock):
    found = [Alert(AlertType.CIRCUIT_OPEN, "job:1", {})]

    async def source():
        return found

    async def broken():
        raise DatabaseUnavailableError

    watch = Watch(database, AlertOutbox(database, now=clock), [broken, source])
    for expected in (1, 1, 2):
        if expected == 2:
            found.append(Alert(AlertType.CIRCUIT_OPEN, "job:2", {}))
        await watch.check()
        assert await database.alerts.count_documents({}) == expected


@pytest.mark.expects_log("alerts cannot be checked: MongoDB does not sum up costs")
@pytest.mark.gen_test
async def test_a_source_that_the_database_refuses_does_not_hold_up_the_others(database, clock):
    async def refused():
        raise DatabaseRefusalError("MongoDB does not sum up costs: Slow")

    async def source():
        return [Alert(AlertType.CIRCUIT_OPEN, "job:1", {})]

    await Watch(database, AlertOutbox(database, now=clock), [refused, source]).check()
    assert await database.alerts.count_documents({}) == 1
