"""The job that builds the search index. What it promises as every exactly-once job is tested with the others."""

import pytest

from storage.search import job as job_module
from storage.search import merging
from storage.search.documents import JOB_STATE
from storage.search.job import SearchJob
from tests.storage.search_checks import has_indexed_all
from tests.storage.session_checks import Call, keep


@pytest.mark.gen_test
async def test_segments_that_would_be_too_large_together_stay_as_they_are(database, monkeypatch):
    monkeypatch.setattr(merging, "MAX_PART_BYTES", 250)
    monkeypatch.setattr(job_module, "FAN", 2)
    for number in range(1, 7):
        await keep(database, Call(number, prompt=f"{number}"), Call(10 + number))
        await SearchJob(database).add_pending()
    await has_indexed_all(database)
    segments = database.search_segments.find({"_id": {"$ne": JOB_STATE["_id"]}}).sort("_id")
    assert [one.get("is_full", False) async for one in segments] == [True, True, True, True, False, False]
    mark = {"$set": {"unindexed": Call(9).started_at, "indexed": True}}
    await database.interceptions.update_one({"_id": Call(1).id}, mark)
    await SearchJob(database).add_pending()
    await has_indexed_all(database)


@pytest.mark.gen_test
async def test_calls_with_very_many_words_are_indexed_in_several_runs(database, monkeypatch):
    monkeypatch.setattr(job_module, "MAX_DIGESTS", 300)
    monkeypatch.setattr(job_module, "READ_AT_ONCE", 1)
    words = " ".join(f"word{number}" for number in range(200))
    await keep(database, *(Call(number, prompt=words) for number in range(1, 6)))
    assert await SearchJob(database).add_pending() == 5
    await has_indexed_all(database)
    segments = database.search_segments.find({"_id": {"$ne": JOB_STATE["_id"]}}).sort("_id")
    assert [one["calls"] async for one in segments] == [2, 2, 1]


@pytest.mark.gen_test
async def test_segments_that_cannot_be_merged_keep_no_call_out_of_the_index(database, monkeypatch):
    async def fail(*_):
        raise MemoryError

    monkeypatch.setattr(job_module, "replace_by_one", fail)
    monkeypatch.setattr(job_module, "FAN", 2)
    job = SearchJob(database)
    for number in range(1, 5):
        await keep(database, Call(number))
        assert await job.add_pending() == 1
    await has_indexed_all(database)
