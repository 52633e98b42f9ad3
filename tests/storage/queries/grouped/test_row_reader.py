"""A query that takes long is given up, and the database stays available for all others."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from storage.mongo import connection
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.indexes import BY_ID
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.grouped import row_reader
from storage.queries.grouped.grouped import ignore_progress
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sources.other_sources import Sessions
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
    assert 0 < row_reader.MAX_MS < connection.OPTIONS["socketTimeoutMS"]


@pytest.mark.gen_test
async def test_an_aggregation_that_takes_too_long_does_not_lose_the_database(database, mongodb_uri, monkeypatch):
    await database.sessions.insert_many([{"_id": number} for number in range(1_000)])
    monkeypatch.setattr(connection, "OPTIONS", {**connection.OPTIONS, "socketTimeoutMS": 1_500})
    monkeypatch.setattr(row_reader, "MAX_MS", 100)
    short = Database.connect(mongodb_uri, database._database.name)
    try:
        rows = RowReader(short, None, asyncio.Semaphore(1), monotonic() + 60, ignore_progress)
        source = Sessions(GroupQuery(MIDNIGHT, MIDNIGHT, {}))
        with pytest.raises(DatabaseUnavailableError) as result:
            async with short.within(None):
                await rows.aggregate(source, SLOW, BY_ID)
        assert (result.value.__cause__.code, short.health.available) == (MAX_TIME_EXPIRED, True)
    finally:
        short.close()
