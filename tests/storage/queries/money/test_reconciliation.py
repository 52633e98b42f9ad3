"""The records of the calls that a provider bills, by day and model."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from storage.derived.recorded_day import RecordedDay
from storage.derived.rollup_job import RollupJob
from storage.queries.filters.grouped.spending import NotRecordedError
from storage.queries.money.reconciliation import read_recorded
from tests.storage.rollup_checks import MIDNIGHT, Call, write

DAY = timedelta(days=1)
FIRST = MIDNIGHT.date()
CALLS = [
    Call(1),
    Call(2, second=86_399, model="claude"),
    Call(3, second=86_400),
    Call(4, second=60, provider_name="openai-eu"),
    Call(5, second=60),
]


@pytest.fixture
def calls(database, io_loop):
    """Some calls of two days: one of another type, one with a user's own key, one that goes on."""

    async def record():
        await write(database, *(call.start for call in CALLS), Call(8).start)
        await write(database, *(call.end(10 * call.number) for call in CALLS[:4]), CALLS[4].end(50, priced=False))
        for number, changes in ((6, {"provider": "azure"}), (7, {"credential_kind": "byok"})):
            await write(database, Call(number).start, Call(number).end(1))
            await database.interceptions.update_one({"_id": Call(number).id}, {"$set": changes})
        await RollupJob(database, now=lambda: MIDNIGHT + 2 * DAY).add_pending()

    io_loop.run_sync(record)
    return database


async def read(database, names=(), types=("openai",), start=MIDNIGHT, days=2):
    return await read_recorded(database, types, names, start, start + days * DAY)


@pytest.mark.gen_test
async def test_calls_of_providers_of_a_type_or_name_add_up_by_day_and_model(calls):
    claude, m, tomorrow = await read(calls)
    assert (claude.day, claude.model, claude.calls, claude.usd) == (FIRST, "claude", 1, Decimal("0.00002"))
    assert (m.day, m.calls, m.unpriced, m.usd) == (FIRST, 3, 1, Decimal("0.00005"))
    assert m.tokens[0] == 10 + 40 + 50
    assert (tomorrow.day, tomorrow.calls, tomorrow.tokens[0]) == (FIRST + DAY, 1, 30)
    assert m.late == tomorrow.late == (0, 0, 0, 0)
    (eu,) = await read(calls, names=("openai-eu",))
    assert (eu.calls, eu.tokens[0]) == (1, 40)
    (azure,) = await read(calls, types=("azure", "foundry"))
    assert (azure.day, azure.calls) == (FIRST, 1)
    assert await read(calls, types=("anthropic",)) == []
    assert await read(calls, days=1, start=MIDNIGHT + 5 * DAY) == []
    # What a call used that ended on the next day is told apart.
    late = {"$set": {"ended_at": MIDNIGHT + DAY + timedelta(seconds=3)}}
    await calls.interceptions.update_one({"_id": CALLS[1].id}, late)
    claude, *_ = await read(calls)
    assert claude.late == claude.tokens != (0, 0, 0, 0)
    # Days that are not recorded any more are not compared.
    await calls.interceptions.delete_many({"started_at": {"$lt": MIDNIGHT + DAY}})
    with pytest.raises(NotRecordedError) as refused:
        await read(calls)
    assert refused.value.since == MIDNIGHT + DAY
    assert [one.day for one in await read(calls, start=MIDNIGHT + DAY)] == [FIRST + DAY]


def test_a_day_without_calls_has_nothing():
    assert RecordedDay(date(2026, 9, 1), "m").tokens == (0, 0, 0, 0)
