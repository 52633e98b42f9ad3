from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from intercept.ids import format_id
from limits.authority import LocalAuthority
from limits.limit import Period
from limits.limiter import Limiter
from limits.request_limits import Client, LimitSettings, RequestLimits
from runtime.restored_budgets import restore_budgets
from storage.mongo.errors import DatabaseRefusalError
from tests.storage.conftest import unreachable  # noqa: F401 - a fixture
from tests.storage.rollup_checks import MIDNIGHT, Call, write

ADA, BOB = UUID(int=0xADA), UUID(int=0xB0B)
NOON = MIDNIGHT + timedelta(hours=12)


@pytest.fixture
def limits():
    return RequestLimits(LimitSettings(user_budget=1000, budget_period=Period.DAY))


@pytest.fixture
def authority():
    return LocalAuthority(Limiter(wall_ns=lambda: int(NOON.timestamp()) * 1_000_000_000))


def used(authority):
    return {state.limit.key: state.used for state in authority.limiter.usage(9)}


def key(user):
    return f"user:{format_id(user)}"


async def record(database):
    """Calls of the day before and of this one; the last one has no price."""
    calls = [
        Call(1, -5, initiator=ADA),
        Call(2, 5, initiator=ADA),
        Call(3, 6, initiator=ADA),
        Call(4, 7, initiator=BOB),
    ]
    await write(database, *(call.start for call in calls))
    await write(database, *(call.end(tokens=10 * call.number) for call in calls[:3]), calls[3].end(priced=False))


@pytest.mark.gen_test
async def test_after_a_restart_the_spend_of_the_period_counts(database, limits, authority):
    await record(database)
    await restore_budgets(database, limits, authority, lambda: NOON)
    assert used(authority) == {key(ADA): 50}
    await restore_budgets(database, limits, authority, lambda: NOON)
    assert used(authority) == {key(ADA): 50}


@pytest.mark.gen_test
async def test_what_was_charged_since_the_start_is_not_lowered(database, limits, authority):
    await record(database)
    (budget,) = limits.budgets_of(Client("", format_id(ADA)))
    authority.restore(budget, 70, int(MIDNIGHT.timestamp()) * 1_000_000_000)
    await restore_budgets(database, limits, authority, lambda: NOON)
    assert used(authority) == {key(ADA): 70}


@pytest.mark.gen_test
async def test_a_database_that_refuses_is_not_asked_again_at_once(database, limits, authority):
    await record(database)
    await database.interceptions.drop_indexes()
    with pytest.raises(DatabaseRefusalError):
        await restore_budgets(database, limits, authority, lambda: NOON)
