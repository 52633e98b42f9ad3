import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from storage.search import sweep as sweep_module
from storage.search.documents import JOB_STATE
from storage.search.find import SearchIndex
from storage.search.job import SearchJob
from storage.search.reading import Progress
from storage.search.sweep import EACH, Step, Sweep
from tests.storage.records import NOON
from tests.storage.search.test_find import listed, made, query_of, says
from tests.storage.search_checks import has_indexed_all

LATER = NOON + timedelta(days=1)


def unmarked(number, **changes):
    """The document of a call as an earlier version recorded it."""
    document = made(number, prompt="word", **changes)
    del document["unindexed"]
    return document


@pytest.mark.gen_test
async def test_calls_of_an_earlier_version_are_indexed_from_the_newest_on(database, monkeypatch):
    monkeypatch.setattr(sweep_module, "AT_ONCE", 2)
    await database.interceptions.insert_many([unmarked(number, second=number // 2) for number in range(1, 6)])
    sweep, job = Sweep(database, now=lambda: LATER), SearchJob(database)
    seen = []
    while (step := await sweep.step()) is not Step.DONE:
        found = await SearchIndex(database).page(query_of(texts=says("word")), limit=10)
        seen.append((step, found.count, found.progress))
        await job.add_pending()
    assert seen == [
        (Step.WAITING, 0, Progress(2, 5)),
        (Step.WAITING, 2, Progress(4, 5)),
        (Step.WAITING, 4, None),
    ]
    await has_indexed_all(database)
    assert await listed(database, query_of(texts=says("word"))) == (5, [5, 4, 3, 2, 1])


@pytest.mark.gen_test
async def test_later_only_what_started_since_is_gone_through_and_nothing_is_added_twice(database, monkeypatch):
    monkeypatch.setattr(sweep_module, "MAX_ASIDE", 0)
    clock = [LATER]
    sweep, job = Sweep(database, now=lambda: clock[0]), SearchJob(database)
    await database.interceptions.insert_many([made(1, prompt="word"), unmarked(2)])
    await job.add_pending()
    assert [await sweep.step() for _ in range(2)] == [Step.WAITING, Step.WAITING]
    await job.add_pending()
    assert await sweep.step() is Step.DONE
    await database.interceptions.insert_many([unmarked(3), unmarked(4, second=3600 * 24)])
    assert await sweep.step() is Step.DONE
    clock[0] += EACH
    assert await sweep.step() is Step.WAITING
    await job.add_pending()
    assert await listed(database, query_of(texts=says("word"))) == (3, [4, 2, 1])
    assert [await sweep.step() for _ in range(2)] == [Step.DONE] * 2


@pytest.mark.gen_test
async def test_a_call_that_was_marked_for_nothing_is_in_the_index_once(database):
    await database.interceptions.insert_many([made(number, prompt="word") for number in range(1, 4)])
    job = SearchJob(database)
    await job.add_pending()
    again = {"$set": {"unindexed": LATER, "indexed": True, "cost": None}}
    await database.interceptions.update_one({"_id": UUID(int=2)}, again)
    assert await listed(database, query_of(texts=says("word"))) == (3, [3, 2, 1])
    assert await job.add_pending() == 1
    await has_indexed_all(database)


class Pause:
    """Lets this many steps follow each other at once."""

    def __init__(self, steps):
        self.steps = steps
        self.seconds = []

    async def __call__(self, seconds):
        self.seconds.append(seconds)
        if len(self.seconds) == self.steps:
            raise asyncio.CancelledError


@pytest.mark.gen_test
async def test_it_goes_on_at_once_where_nothing_is_missing_and_waits_a_while_for_what_is(database, monkeypatch):
    monkeypatch.setattr(sweep_module, "AT_ONCE", 2)
    await database.interceptions.insert_many([made(number, prompt="word") for number in range(1, 5)])
    await SearchJob(database).add_pending()
    await database.interceptions.insert_one(unmarked(0))
    pause = Pause(4)
    with pytest.raises(asyncio.CancelledError):
        await Sweep(database, now=lambda: LATER, pause=pause).run()
    assert pause.seconds == [0.0, 0.0, sweep_module.WAIT_SECONDS, 60.0]
    assert "swept_until" in await database.search_segments.find_one(JOB_STATE)


@pytest.mark.gen_test
async def test_on_a_mongodb_without_transactions_there_is_nothing_to_go_through(single_server):
    await Sweep(single_server, now=lambda: LATER).run()
    assert await single_server.search_segments.find_one({}) is None
