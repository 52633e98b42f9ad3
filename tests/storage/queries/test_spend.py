from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from storage.queries.spend import read_spend
from tests.storage.rollup_checks import MIDNIGHT, Call, write

ADA, BOB = UUID(int=0xADA), UUID(int=0xB0B)


@pytest.mark.gen_test
async def test_the_spend_of_each_user_is_the_sum_of_their_calls_since_then(database):
    calls = [Call(1, initiator=ADA), Call(2, 5, initiator=ADA), Call(3, 5, initiator=BOB), Call(4, 5, initiator=BOB)]
    await write(database, *(call.start for call in calls))
    await write(database, *(call.end(tokens=10 * call.number) for call in calls[:3]), calls[3].end(priced=False))
    assert await read_spend(database, MIDNIGHT) == {ADA: Decimal("0.00003"), BOB: Decimal("0.00003")}
    assert await read_spend(database, MIDNIGHT + timedelta(seconds=1)) == {
        ADA: Decimal("0.00002"),
        BOB: Decimal("0.00003"),
    }
    assert await read_spend(database, MIDNIGHT + timedelta(seconds=6)) == {}


@pytest.mark.gen_test
async def test_a_call_with_a_users_own_key_costs_the_bridge_nothing(database):
    await write(database, Call(1, initiator=ADA).start, Call(1, initiator=ADA).end())
    await database.interceptions.update_one({}, {"$set": {"credential_kind": "byok"}})
    assert await read_spend(database, MIDNIGHT) == {}
