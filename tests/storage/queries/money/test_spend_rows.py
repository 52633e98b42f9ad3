"""The cost of calls in rows: each call is in one, from rollups if they have it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from storage.derived.rollup_job import RollupJob
from storage.queries.filters.grouped.spending import Dimension, NotRecordedError, Span, SpendQuery
from storage.queries.money import spend_rows as module
from storage.queries.money.spend_rows import Spending
from tests.storage.records import ADA
from tests.storage.rollup_checks import MIDNIGHT, Call, write

DAY = timedelta(days=1)
BOB = UUID(int=5)
GROUPS = (UUID(int=7), UUID(int=8))
CALLS = [
    Call(1),
    Call(2, second=86_399, model="claude"),
    Call(3, second=86_400, initiator=BOB),
    Call(4, second=40 * 86_400, provider_name="openai-eu"),
]
USER, GROUP, TOKEN, PROVIDER, MODEL, CLIENT = Dimension


async def fill(database):
    flying, unpriced = Call(8), Call(9, second=5, model="unknown")
    ends = *(call.end(10 * call.number) for call in CALLS), unpriced.end(9, priced=False)
    await write(database, *(call.start for call in (*CALLS, flying, unpriced)), *ends)
    of_bob = {"$set": {"group_ids": list(GROUPS), "api_key_id": "bobs"}}
    await database.interceptions.update_one({"initiator_id": BOB}, of_bob)
    await RollupJob(database, now=lambda: MIDNIGHT + DAY).add_pending()


@pytest.fixture
def spending(filled):
    return Spending(filled)


async def rows(spending, *group_by, start=MIDNIGHT, days=60, **changes):
    query = SpendQuery(start, start + days * DAY, group_by, **changes)
    return [row async for page in spending.pages(query) for row in page]


async def summary(spending, *group_by, **changes):
    found = await rows(spending, *group_by, **changes)
    return {(row.at, *row.values.values()): (row.counts["interceptions"], row.micro_dollars) for row in found}


@pytest.mark.gen_test
async def test_calls_add_up_by_what_they_have_in_common(spending):
    expectations: dict[tuple, dict] = {
        (USER,): {(ADA.id,): (3, 30), (BOB,): (1, 30)},
        (MODEL,): {("claude",): (1, 20), ("gpt-5",): (2, 40), ("unknown",): (1, 0)},
        (USER, PROVIDER, MODEL): {(ADA.id, "openai", "gpt-5"): (1, 10), (BOB, "openai", "gpt-5"): (1, 30)},
        (CLIENT,): {("Codex",): (4, 60)},
        (GROUP,): {((),): (3, 30), (GROUPS,): (1, 30)},
        (TOKEN, USER): {("bobs", BOB): (1, 30)},
        (GROUP, MODEL): {(GROUPS, "gpt-5"): (1, 30), ((), "gpt-5"): (1, 10)},
        (TOKEN, CLIENT, PROVIDER): {("bobs", "Codex", "openai"): (1, 30)},
    }
    for group_by, expected in expectations.items():
        found = await summary(spending, *group_by, days=31)
        assert {key[1:]: value for key, value in found.items()}.items() >= expected.items(), group_by
        assert sum(number for number, _ in found.values()) == 4, group_by
        assert sum(micro for _, micro in found.values()) == 60, group_by


@pytest.mark.gen_test
async def test_rollups_and_records_say_the_same(spending, monkeypatch):
    for group_by in ((), (USER,), (MODEL, USER), (TOKEN, GROUP), (PROVIDER,)):
        from_rollups = await rows(spending, *group_by, span=Span.DAY)
        with monkeypatch.context() as patch:
            patch.setattr(SpendQuery, "breakdown", None)
            assert await rows(spending, *group_by, span=Span.DAY) == from_rollups


@pytest.mark.gen_test
async def test_rows_come_in_order_some_at_a_time(spending, monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 2)
    query = SpendQuery(MIDNIGHT, MIDNIGHT + 60 * DAY, (MODEL,))
    pages = [[row.values[MODEL] for row in page] async for page in spending.pages(query)]
    assert pages == [["claude", "gpt-5"], ["unknown", "gpt-5"]]


@pytest.mark.gen_test
async def test_what_only_records_tell_is_refused_once_they_are_gone(database):
    await fill(database)
    spending = Spending(database)
    assert len(await rows(spending, GROUP, MODEL)) == 5
    await database.interceptions.delete_one({"_id": UUID(int=1)})
    with pytest.raises(NotRecordedError) as caught:
        await rows(spending, GROUP, MODEL)
    assert caught.value.since == MIDNIGHT + DAY
    assert len(await rows(spending, USER, MODEL)) == 5
    assert len(await rows(spending, GROUP, MODEL, start=MIDNIGHT + DAY)) == 2
    await database.interceptions.delete_many({"started_at": {"$lt": MIDNIGHT + DAY}})
    with pytest.raises(NotRecordedError) as caught:
        await rows(spending, GROUP, MODEL)
    assert caught.value.since == MIDNIGHT + DAY
    await database.interceptions.delete_many({})
    with pytest.raises(NotRecordedError):
        await rows(spending, GROUP, MODEL)
