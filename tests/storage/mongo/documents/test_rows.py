"""Pages of large rows: bounded in bytes, and nothing of the list is left out."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid5

import pytest

from storage.aggregation.sessions.session_job import SessionJob
from storage.mongo.documents.rows import PAGE_BYTES
from storage.queries.interceptions import Interceptions
from storage.queries.sessions.sessions import Sessions
from tests.storage.calls import Calls
from tests.storage.records import ADA, NOON

EVERYTHING = {"status": {"$in": ["completed", "failed"]}}
LARGE = "a" * (3 << 20)
PER_PAGE = PAGE_BYTES // len(LARGE)


async def record(database, number, *, size=LARGE, **changes):
    """Calls 1, 2, .. with rows of that size."""
    await Calls(database).made(range(1, number + 1), user_agent=size, **changes)


def ids(rows):
    return [row["_id"].int for row in rows]


@pytest.mark.gen_test
async def test_a_page_of_large_rows_is_cut_and_a_walk_still_sees_each_row_once(database):
    await record(database, 3, client_session_id="a")
    interceptions = Interceptions(database)
    by_id, by_offset, cut = [], [], []
    after_id = None
    while len(by_id) < 3:
        count, rows = await interceptions.page(EVERYTHING, visible_to=None, limit=1000, after_id=after_id)
        assert (count, rows.size <= PAGE_BYTES) == (3, True)
        cut.append((len(rows), rows.is_cut))
        by_id += ids(rows)
        after_id = UUID(int=by_id[-1])
    while len(by_offset) < 3:
        _, rows = await interceptions.page(EVERYTHING, visible_to=None, limit=1000, offset=len(by_offset))
        by_offset += ids(rows)
    assert by_id == by_offset == [3, 2, 1]
    assert cut == [(PER_PAGE, True), (1, False)]
    await threads_end_with_their_bytes(database)
    await larger_ones_come_alone(database)


async def threads_end_with_their_bytes(database):
    await SessionJob(database).add_pending()
    sessions, after_id, walked = Sessions(database), None, []
    more = True
    while more:
        threads, more = await sessions.threads(uuid5(ADA.id, "a"), limit=10, after_id=after_id)
        assert sum(thread.interceptions.size for thread in threads) <= PAGE_BYTES
        walked.append([first for thread in threads for first in ids(thread.interceptions)])
        after_id = UUID(int=walked[-1][-1])
    assert walked == [[1, 2], [3]]


async def larger_ones_come_alone(database):
    await database.interceptions.update_many({}, {"$set": {"user_agent": "a" * (PAGE_BYTES + 1)}})
    _, rows = await Interceptions(database).page(EVERYTHING, visible_to=None, limit=2)
    assert (ids(rows), rows.is_cut) == ([3], True)
    _, rows = await Interceptions(database).page(EVERYTHING, visible_to=None, limit=2, offset=2)
    assert (ids(rows), rows.is_cut) == ([1], False)


@pytest.mark.gen_test
async def test_a_thread_is_shown_as_far_as_its_rows_fit(database):
    await record(database, 3, client_session_id="a")
    link = {"$set": {"root_id": UUID(int=1), "parent_id": UUID(int=1)}}
    await database.interceptions.update_many({"_id": {"$gt": UUID(int=1)}}, link)
    minute_later = {"$set": {"ended_at": {"$add": ["$started_at", 60_000]}}}
    await database.interceptions.update_many({}, [minute_later])
    await SessionJob(database).add_pending()
    (thread,), more = await Sessions(database).threads(uuid5(ADA.id, "a"), limit=10)
    assert (ids(thread.interceptions), thread.more, more) == ([1, 2], True, False)
    assert thread.last_active_at == NOON + timedelta(minutes=1, seconds=3)
