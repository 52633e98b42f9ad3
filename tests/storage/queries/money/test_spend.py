from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from storage.derived.rollup_job import RollupJob
from storage.queries.money.spend import read_spend_by_token, spend_by_user
from tests.storage.rollup_checks import MIDNIGHT, Call, write

ADA, BOB, CARL = UUID(int=0xADA), UUID(int=0xB0B), UUID(int=0xCA)


@pytest.mark.gen_test
async def test_the_spend_by_token_is_told_apart_for_each_user(database):
    calls = [Call(1, initiator=ADA), Call(2, 5, initiator=ADA), Call(3, 5, initiator=BOB), Call(4, 5, initiator=BOB)]
    await write(database, *(call.start for call in calls))
    await write(database, *(call.end(tokens=10 * call.number) for call in calls[:3]), calls[3].end(priced=False))
    await database.interceptions.update_one({"_id": calls[1].id}, {"$set": {"api_key_id": "another"}})
    await database.interceptions.update_one({"_id": calls[3].id}, {"$set": {"api_key_id": "unpriced"}})
    assert await read_spend_by_token(database, MIDNIGHT) == {
        (ADA, "abcdefghij"): Decimal("0.00001"),
        (ADA, "another"): Decimal("0.00002"),
        (BOB, "abcdefghij"): Decimal("0.00003"),
    }
    assert await read_spend_by_token(database, MIDNIGHT + timedelta(seconds=1)) == {
        (ADA, "another"): Decimal("0.00002"),
        (BOB, "abcdefghij"): Decimal("0.00003"),
    }
    await database.interceptions.update_many({}, {"$set": {"credential_kind": "byok"}})
    assert await read_spend_by_token(database, MIDNIGHT) == {}


@pytest.mark.gen_test
async def test_the_spend_of_some_users_is_in_the_rollups_of_days(database):
    day = 24 * 60 * 60
    calls = [
        Call(1, initiator=ADA),
        Call(2, day, initiator=ADA),
        Call(3, day + 5, initiator=BOB),
        Call(4, day, initiator=CARL),
    ]
    await write(database, *(call.start for call in calls))
    await write(database, *(call.end(tokens=10 * call.number) for call in calls[:3]), calls[3].end(priced=False))
    assert await spend_by_user(database, [ADA, BOB, CARL], MIDNIGHT) == {}
    assert await RollupJob(database, now=lambda: MIDNIGHT + timedelta(days=2)).add_pending() == 4
    assert await spend_by_user(database, [ADA, BOB, CARL], MIDNIGHT) == {
        ADA: Decimal("0.00003"),
        BOB: Decimal("0.00003"),
    }
    assert await spend_by_user(database, [ADA], MIDNIGHT + timedelta(days=1)) == {ADA: Decimal("0.00002")}
    assert await spend_by_user(database, [], MIDNIGHT) == {}
