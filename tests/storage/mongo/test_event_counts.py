import asyncio

import pytest
from pymongo.errors import AutoReconnect

from storage.mongo import event_counts
from storage.mongo.database import DatabaseUnavailableError
from storage.mongo.event_counts import CountDocument, EventCounts, event_id
from tests.storage.records import NOON


class Unreachable:
    async def bulk_write(self, *_, **__):
        raise AutoReconnect("connection closed")


def document(key, count):
    fields = {"name": key, "at": count.first_at, "detail.first": count.first}
    return CountDocument(event_id(key), fields, path="detail.count", last_at="detail.last_at")


@pytest.fixture
def counts(database):
    return EventCounts(database, "numbers", database.refusals, document)


async def written(database):
    found = {one["name"]: one async for one in database.refusals.find({}, {"_id": False})}
    return {name: one["detail"]["count"] for name, one in found.items()}


async def test_a_write_that_failed_is_repeated(counts, database):
    there = counts.collection
    counts.add("a", NOON)
    await counts.flush()
    for _ in range(3):
        counts.add("a", NOON)
    counts.collection = Unreachable()
    for _ in range(2):
        with pytest.raises(DatabaseUnavailableError):
            await counts.flush()
        counts.add("a", NOON)
        counts.add("b", NOON)
    counts.collection = there
    await counts.flush()
    assert await written(database) == {"a": 6, "b": 2}
    assert len(counts) == 0


async def test_the_writer_outlives_an_outage(database):
    rounds = iter(range(4))

    async def pause(seconds):
        assert seconds == event_counts.WRITE_SECONDS
        match next(rounds):
            case 2:
                counts.collection = there
            case 3:
                raise asyncio.CancelledError

    there = database.refusals
    counts = EventCounts(database, "numbers", Unreachable(), document, pause=pause)
    counts.add("a", NOON)
    with pytest.raises(asyncio.CancelledError):
        await counts.run()
    assert await written(database) == {"a": 1}


@pytest.mark.expects_log(
    "WARNING storage.mongo.event_counts: numbers could not be written and are lost: MongoDB is unavailable: "
)
async def test_a_stop_without_the_database_says_that_counts_are_lost(unreachable, monkeypatch):
    monkeypatch.setattr(event_counts, "BATCH_SECONDS", 0.1)
    counts = EventCounts(unreachable, "numbers", unreachable.refusals, document)
    counts.add("a", NOON)
    await counts.close()
