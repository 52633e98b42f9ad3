import math
from datetime import timedelta
from uuid import UUID

import pytest

from storage.costs.prices import MAX_TOKENS
from storage.derived.histograms import GROWTH, LAST_BUCKET, histogram
from storage.derived.totals import UNCOUNTED_ONES, pipeline, row_of
from storage.mongo.database import with_plain_ids
from tests.storage.rollup_checks import MIDNIGHT, Call, bucket_index, marked, write

EVERYTHING = 1_000


async def rows(database, most=EVERYTHING):
    documents = await with_plain_ids(database.interceptions).aggregate(pipeline(UNCOUNTED_ONES, most)).to_list(None)
    found = [row_of(document) for document in documents]
    return sorted((row._replace(ids=[id_.as_uuid() for id_ in row.ids]) for row in found), key=lambda row: row.ids)


@pytest.mark.parametrize(("marked", "missing"), [({}, 1), ({"billed": False}, 0)])
@pytest.mark.gen_test
async def test_no_usage_is_missing_of_an_api_that_costs_nothing(database, marked, missing):
    await write(database, Call(1).start, Call(1).end(None, priced=False))
    await database.interceptions.update_one({}, {"$set": {"client": "c", **marked}})
    (row,) = await rows(database)
    assert row.totals["no_usage"] == missing


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
