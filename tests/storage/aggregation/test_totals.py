import math
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from intercept.records import EndReason
from storage.aggregation.details import Detail
from storage.aggregation.histograms import GROWTH, LAST_BUCKET, histogram
from storage.aggregation.rollup import Breakdown, Bucket, RollupKey
from storage.aggregation.totals import UNCOUNTED_ONES, Row, pipeline, row_of
from storage.costs.prices import MAX_TOKENS
from storage.mongo.database import with_plain_ids
from tests.storage.records import ADA
from tests.storage.rollup_checks import MIDNIGHT, RATES, Call, bucket_index, marked, write

EVERYTHING = 1_000
PLACE = RollupKey(Breakdown.USER_COMBINATION, Bucket.MINUTE, MIDNIGHT, (ADA.id, "openai", "openai", "gpt-5", "Codex"))


async def rows(database, most=EVERYTHING):
    documents = await with_plain_ids(database.interceptions).aggregate(pipeline(UNCOUNTED_ONES, most)).to_list(None)
    found = [row_of(document) for document in documents]
    return sorted((row._replace(ids=[id_.as_uuid() for id_ in row.ids]) for row in found), key=lambda row: row.ids)


@pytest.mark.gen_test
async def test_calls_that_are_alike_are_one_row(database):
    first, second, third = Call(1), Call(2, second=59.999), Call(3)
    await write(database, *(call.start for call in (first, second, third)))
    await write(database, first.end(5), second.end(6, took=0), third.end(None, first_byte=None, priced=False))
    (row,) = await rows(database)
    assert row._replace(ids=sorted(row.ids)) == Row(
        ids=[first.id, second.id, third.id],
        key=PLACE,
        token_key=RollupKey(Breakdown.TOKEN, Bucket.MINUTE, MIDNIGHT, (ADA.id, "abcdefghij", ())),
        detail=Detail(MIDNIGHT, PLACE.values, ("completed", 200, None, True)),
        totals={
            "interceptions": 3,
            "completed": 3,
            "failed": 0,
            "ends.completed": 3,
            "input_tokens": 11,
            "output_tokens": 2,
            "cache_read_input_tokens": 0,
            "cache_write_input_tokens": 0,
            "priced": 2,
            "unpriced": 0,
            "no_usage": 1,
            "cost": Decimal("0.000011"),
            "input_cost": 5 * RATES.input,
            "read_cost": 0,
            "written_cost": 0,
            "output_cost": Decimal("0.000005") - 5 * RATES.input,
            "saved": 0,
            "durations": histogram([bucket_index(2_000), bucket_index(2_000), 0]),
            "first_bytes": histogram([bucket_index(1_000), bucket_index(1_000)]),
            "bridges": histogram([0, 0, 0]),
            "speeds": histogram([bucket_index(1)]),
        },
        counted=None,
        presumed=False,
    )


@pytest.mark.parametrize(("marked", "missing"), [({}, 1), ({"billed": False}, 0)])
@pytest.mark.gen_test
async def test_no_usage_is_missing_of_an_api_that_costs_nothing(database, marked, missing):
    await write(database, Call(1).start, Call(1).end(None, priced=False))
    await database.interceptions.update_one({}, {"$set": {"client": "c", **marked}})
    (row,) = await rows(database)
    assert row.totals["no_usage"] == missing


@pytest.mark.gen_test
async def test_what_differs_is_another_row(database):
    for case, other in {
        "minute": Call(2, second=60),
        "initiator": Call(2, initiator=UUID(int=5)),
        "model": Call(2, model="$gpt.5"),
        "provider": Call(2, provider_name="openai-eu"),
        "client": Call(2, client=""),
    }.items():
        await database.interceptions.delete_many({})
        await write(database, Call(1).start, other.start, Call(1).end(), other.end())
        first, second = await rows(database)
        assert first.key == PLACE, case
        values = (other.initiator, "openai", other.provider_name, other.model, other.client)
        assert second.key == PLACE._replace(at=Bucket.MINUTE.floor(other.started_at), values=values), case


@pytest.mark.gen_test
async def test_calls_that_end_otherwise_or_have_other_tools_or_tags_are_other_rows(database):
    calls = [
        *(Call(1), Call(2), Call(3, tools=("Read", "Bash", "Read"))),
        Call(4, tags=(("project", "apollo"), ("env", "ci"))),
    ]
    await write(database, *(call.start for call in calls))
    await write(database, *(call.end() for call in calls[1:]), calls[0].end(end_reason=EndReason.UPSTREAM_ERROR))
    completed = ("completed", 200, None, True)
    found = {row.ids[0].int: row.detail for row in await rows(database)}
    assert found == {
        1: Detail(MIDNIGHT, PLACE.values, ("upstream_error", 529, "overloaded_error", True)),
        2: Detail(MIDNIGHT, PLACE.values, completed),
        3: Detail(MIDNIGHT, PLACE.values, completed, tools=("Bash", "Read")),
        4: Detail(MIDNIGHT, PLACE.values, completed, tags=(("project", "apollo"), ("env", "ci"))),
    }


@pytest.mark.gen_test
async def test_what_is_in_flight_or_counted_is_in_no_row(database):
    await write(database, Call(1).start, Call(2).start, Call(2).end())
    await database.interceptions.update_one({"_id": UUID(int=2)}, {"$unset": {"uncounted": ""}})
    assert await rows(database) == []


@pytest.mark.gen_test
async def test_what_has_ended_first_comes_first(database):
    calls = [Call(number) for number in range(1, 5)]
    await write(database, *(call.start for call in calls), *(call.end(took=10 - call.number) for call in calls))
    assert [id_.int for row in await rows(database, 2) for id_ in row.ids] == [4, 3]


@pytest.mark.gen_test
async def test_a_presumed_end_and_one_that_was_counted_are_rows_of_their_own(database):
    calls = [Call(number) for number in range(1, 5)]
    await write(database, *(call.start for call in calls))
    await write(database, calls[0].presumed_end(), calls[1].end(), calls[2].end(), calls[3].end())
    await database.interceptions.update_one({"_id": calls[1].id}, {"$set": {"counted": {"interceptions": 1}}})
    found = [([id_.int for id_ in sorted(row.ids)], row.counted, row.presumed) for row in await rows(database)]
    assert sorted(found, key=str) == [([1], None, True), ([2], {"interceptions": 1}, False), ([3, 4], None, False)]


@pytest.mark.gen_test
async def test_a_call_that_used_tokens_and_has_no_price_is_unpriced(database):
    for number, (tokens, priced) in enumerate([(5, True), (5, False), (None, False)], start=1):
        call = Call(number, model=str(number))
        await write(database, call.start, call.end(tokens, priced=priced))
    found = [(row.totals["priced"], row.totals["unpriced"], row.totals.get("cost")) for row in await rows(database)]
    assert found == [(1, 0, Decimal("0.000005")), (0, 1, None), (0, 0, None)]


@pytest.mark.gen_test
async def test_no_count_is_too_large_to_be_added_up(database):
    call = Call(1)
    await write(database, call.start, call.end())
    largest = [{"input_tokens": 2**63 - 1, "output_tokens": -5}] * 3
    await database.interceptions.update_one({}, {"$set": {"token_usages": largest}})
    (row,) = await rows(database)
    assert (row.totals["input_tokens"], row.totals["output_tokens"]) == (MAX_TOKENS, 0)
    assert isinstance(row.totals["input_tokens"], int)


@pytest.mark.gen_test
async def test_the_database_finds_the_same_place_in_a_histogram(database):
    powers = [math.floor(GROWTH**index) for index in range(LAST_BUCKET + 2)]
    times = sorted({time + near for time in powers for near in (-1, 0, 1)} | {-5_000, 10**12})
    documents = [
        {"_id": UUID(int=number), "uncounted": MIDNIGHT, "started_at": MIDNIGHT, "end_reason": "completed"}
        | {"initiator_id": UUID(int=number), "ended_at": MIDNIGHT + timedelta(milliseconds=time)}
        for number, time in enumerate(times)
    ]
    await database.interceptions.insert_many(documents)
    found = {row.ids[0].int: row.totals["durations"] for row in await rows(database)}
    assert found == {number: histogram([bucket_index(time)]) for number, time in enumerate(times)}
    assert await marked(database) == sorted(found)
