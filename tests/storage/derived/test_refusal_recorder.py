import tracemalloc
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from intercept.refusals import Refusal, Rule
from storage.derived import refusal_recorder
from storage.derived.refusal_recorder import (
    MAX_UNKNOWN_ROWS,
    RefusalRecorder,
)
from storage.mongo import event_counts
from storage.mongo.database import DatabaseUnavailableError
from tests.clock import Clock
from tests.storage.records import ADA, NOON

RATE = Refusal(
    rule=Rule.RATE,
    status=429,
    initiator_id=ADA.id,
    api_key_id="abcdefghij",
    provider="openai",
    retry_after_ms=700,
    message="Wait.",
)


@pytest.fixture
def clock():
    return Clock(NOON)


@pytest.fixture
def recorder(database, clock):
    return RefusalRecorder(database, now=clock)


async def rows(database):
    return [one async for one in database.refusals.find({}, {"_id": False}).sort("at")]


async def counted(database, name="rule"):
    sums = Counter()
    async for one in database.refusals.find():
        sums[one[name]] += one["count"]
    return sums


async def test_a_storm_makes_few_rows_and_is_counted_to_the_last(recorder, database):
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(400):
        recorder.note(Refusal(rule=Rule.RATE, status=429, initiator_id=ADA.id, retry_after_ms=number))
    for number in range(400):
        recorder.note(Refusal(rule=Rule.INVALID_TOKEN, status=401, client_ip=f"192.0.{number // 250}.{number % 250}"))
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert held < 200_000
    await recorder.flush()
    found = await rows(database)
    assert len(found) == 1 + MAX_UNKNOWN_ROWS + 1
    assert [row["count"] for row in found if row["rule"] == "rate"] == [400]
    (rest,) = [row for row in found if row["rule"] == "invalid_token" and row["client_ip"] is None]
    assert rest["count"] == 400 - MAX_UNKNOWN_ROWS
    assert await counted(database) == {"rate": 400, "invalid_token": 400}
    assert await counted(database, "initiator_id") == {ADA.id: 400, None: 400}


async def test_a_storm_without_a_token_hides_no_users_refusal(recorder, database):
    for number in range(2 * MAX_UNKNOWN_ROWS):
        recorder.note(Refusal(rule=Rule.INVALID_TOKEN, status=401, client_ip=str(number)))
    recorder.note(RATE)
    await recorder.flush()
    assert [row["initiator_id"] for row in await rows(database) if row["rule"] == "rate"] == [ADA.id]


async def test_while_the_database_is_unavailable_memory_is_bounded_and_no_count_lost(
    recorder, clock, database, unreachable, monkeypatch
):
    monkeypatch.setattr(refusal_recorder, "MAX_PENDING_ROWS", 50)
    recorder.collection = unreachable.refusals
    noted, users = 0, [UUID(int=number) for number in range(1, 41)]
    for minute in range(15):
        clock.time = NOON + timedelta(minutes=minute)
        for user in users:
            recorder.note(Refusal(rule=Rule.RATE, status=429, initiator_id=user))
            noted += 1
    assert noted > 50 + 1 == len(recorder)
    monkeypatch.setattr(event_counts, "BATCH_SECONDS", 0.02)
    with pytest.raises(DatabaseUnavailableError):
        await recorder.flush()
    monkeypatch.undo()
    recorder.collection = database.refusals
    await recorder.flush()
    assert await counted(database) == {"rate": noted}
    assert len(recorder) == 0


async def test_rows_are_removed_with_retention(database):
    await database.prepare(retention=timedelta(days=1))
    index = (await database.refusals.index_information())["retention"]
    assert (index["key"], index["expireAfterSeconds"]) == ([("at", 1)], 86_400)
