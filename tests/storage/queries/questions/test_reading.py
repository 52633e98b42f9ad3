"""A query that takes long is given up, and the database stays available for all others."""

import asyncio
from dataclasses import replace
from time import monotonic

import pytest

from storage.mongo import database as database_module
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.indexes import BY_ID
from storage.queries.questions import reading
from storage.queries.questions.question import Question
from storage.queries.questions.reading import RowReader, ignore_progress
from storage.queries.questions.sources import sessions
from tests.storage.rollup_checks import MIDNIGHT

MAX_TIME_EXPIRED = 50
NEVER = {"$match": {"$expr": {"$gt": [{"$rand": {}}, 2]}}}
SLOW = [
    {
        "$lookup": {
            "from": "sessions",
            "pipeline": [{"$lookup": {"from": "sessions", "pipeline": [NEVER], "as": "y"}}],
            "as": "x",
        }
    },
    {"$group": {"_id": None, "number": {"$sum": {"$size": "$x"}}}},
]
"""Takes seconds, with 1,000 documents."""


def test_mongodb_gives_up_before_the_driver_does():
    assert 0 < reading.MAX_MS < database_module.OPTIONS["socketTimeoutMS"]


async def test_an_aggregation_that_takes_too_long_does_not_lose_the_database(database, mongodb_uri, monkeypatch):
    await database.sessions.insert_many([{"_id": number} for number in range(1_000)])
    monkeypatch.setattr(database_module, "OPTIONS", {**database_module.OPTIONS, "socketTimeoutMS": 1_500})
    monkeypatch.setattr(reading, "MAX_MS", 100)
    short = Database.connect(mongodb_uri, database._database.name)
    try:
        rows = RowReader(short, None, asyncio.Semaphore(1), monotonic() + 60, ignore_progress)
        source = replace(sessions(Question(MIDNIGHT, MIDNIGHT)), index=BY_ID)
        with pytest.raises(DatabaseUnavailableError) as result:
            async with short.within(None):
                await rows.aggregate(source, SLOW)
        assert (result.value.__cause__.code, short.health.available) == (MAX_TIME_EXPIRED, True)
    finally:
        short.close()
