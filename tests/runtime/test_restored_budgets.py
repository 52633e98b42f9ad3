"""What was spent before a budget was set, or the server started."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from intercept.ids import format_id
from limits.authority import LocalAuthority
from limits.limit import BudgetPeriod, LimitKind, Of
from limits.limiter import Limiter
from limits.policies.compiled import Level, PolicyHolder, budget_limit
from limits.policies.policy import Budget, Policy, PolicyLimits, SharedLimits, SharedPolicy
from limits.request_limits import LimitSettings, RequestLimits
from runtime.restored_budgets import RestoredBudgets
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.mongo.errors import DatabaseRefusalError
from storage.mongo.indexes import BY_TIME
from storage.policies.budgets import spend_by_key
from storage.policies.documents import KeptPolicy
from storage.policies.followed import FollowedPolicies
from tests.storage.rollup_checks import MIDNIGHT, Call, write

NOON = MIDNIGHT + timedelta(hours=12)
BUDGET = Budget(9, "day")


@pytest.fixture
def authority():
    return LocalAuthority(Limiter(wall_ns=lambda: int(NOON.timestamp()) * 1_000_000_000))


class World:
    """A group with ada in it, bob beside it, and what both have spent: of today 50 and 40 micro-dollars."""

    def __init__(self, database, authority):
        self.authority = authority
        self.identities = Identities(database, now=lambda: NOON, monotonic=lambda: 0.0)
        self.groups = Groups(database, self.identities, now=lambda: NOON)
        self.policies = FollowedPolicies(database, now=lambda: NOON)
        limits = RequestLimits(LimitSettings(user_budget=1_000, budget_period=BudgetPeriod.DAY))
        self.budgets = RestoredBudgets(
            *(database, limits, self.policies, self.identities, authority), zone="UTC", now=lambda: NOON
        )
        self.database = database

    async def begin(self):
        users = [await self.identities.add_user(name, role=Role.MEMBER) for name in ("ada", "bob")]
        self.ada, self.bob = (format_id(user.id) for user in users)
        self.group = format_id((await self.groups.add("research")).id)
        await self.groups.add_members("research", ["ada"])
        calls = [Call(1, -5, initiator=users[0].id), Call(2, 5, initiator=users[0].id)]
        calls += [Call(3, 6, initiator=users[0].id), Call(4, 7, initiator=users[1].id)]
        await write(self.database, *(call.start for call in calls))
        await write(self.database, *(call.end(tokens=10 * call.number) for call in calls))
        await self.policies.followed.refresh()

    def hold(self, source, policy):
        self.policies.put(KeptPolicy(source, policy, "v"))

    def used(self, of, key):
        limit = budget_limit(BUDGET, of, key, "UTC")
        (state,) = self.authority.limiter.states([limit])
        return state.used


@pytest.fixture
def world(database, authority, io_loop):
    world = World(database, authority)
    io_loop.run_sync(world.begin)
    return world


async def test_a_new_budget_counts_what_was_spent_before_it(world):
    research = PolicyHolder(Level.GROUP, world.group, "research")
    both = SharedLimits(each_member=PolicyLimits(budget=BUDGET), together=PolicyLimits(budget=BUDGET))
    world.hold(research, SharedPolicy(limits=both))
    await world.budgets.restore()
    assert world.used(Of.GROUP, f"group:{world.group}") == 50
    assert [world.used(Of.USER, f"member:{user}") for user in (world.ada, world.bob)] == [50, 40]
    assert (world.used(Of.GROUP, "group:everyone"), world.used(Of.TOKEN, "key:token")) == (0, 0)
    world.hold(PolicyHolder(Level.EVERYONE), SharedPolicy(limits=SharedLimits(together=PolicyLimits(budget=BUDGET))))
    world.hold(PolicyHolder(Level.TOKEN, "token", "token"), Policy(limits=PolicyLimits(budget=BUDGET)))
    await world.budgets.restore()
    assert world.used(Of.GROUP, "group:everyone") == 90


async def test_after_a_restart_the_budget_of_each_user_counts_the_spend_of_the_period(world, authority):
    for _ in range(2):
        await world.budgets.restore()
        used = {key: world.used(Of.USER, key) for key in (f"user:{world.ada}", f"user:{world.bob}")}
        assert used == {f"user:{world.ada}": 50, f"user:{world.bob}": 40}


async def test_what_was_charged_since_the_start_is_not_lowered(world, authority):
    key = f"user:{world.ada}"
    authority.restore(budget_limit(BUDGET, Of.USER, key, "UTC"), 70, int(MIDNIGHT.timestamp()) * 1_000_000_000)
    await world.budgets.restore()
    assert world.used(Of.USER, key) == 70


def test_what_a_token_spends_counts_for_those_that_it_is_bound_by():
    wanted = {(PolicyHolder(Level.TOKEN, "old", "old"), "")}
    spend = {(UUID(int=1), "new"): Decimal(3), (UUID(int=1), "old"): Decimal(2)}
    assert spend_by_key(spend, {}, wanted, {"new": ("old",)})[Of.TOKEN, "key:old"] == 5


async def test_each_change_is_looked_at_while_it_runs(world):
    task = asyncio.create_task(world.budgets.run())
    await asyncio.sleep(0)
    world.hold(PolicyHolder(Level.USER, world.ada, "ada"), Policy(limits=PolicyLimits(budget=BUDGET)))
    while world.used(Of.USER, f"member:{world.ada}") != 50:  # noqa: ASYNC110 - what is restored has no event
        await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert budget_limit(BUDGET, Of.USER, "k", "UTC").kind is LimitKind.BUDGET
    assert budget_limit(BUDGET, Of.USER, "k", "UTC").period is BudgetPeriod.DAY


async def test_a_restart_after_a_refusal_of_the_database_restores_what_it_did_not(world):
    world.hold(PolicyHolder(Level.USER, world.ada, "ada"), Policy(limits=PolicyLimits(budget=BUDGET)))

    await world.database.interceptions.drop_indexes()
    with pytest.raises(DatabaseRefusalError):
        await world.budgets.run()
    await world.database.interceptions.create_index(list(BY_TIME))
    task = asyncio.create_task(world.budgets.run())
    while world.used(Of.USER, f"member:{world.ada}") != 50:  # noqa: ASYNC110 - what is restored has no event
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
