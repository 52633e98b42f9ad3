"""Heartbeats of processes on one database."""

import asyncio
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from storage.members.membership import SILENT_SECONDS, Membership, Silence, process_space
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.errors import DatabaseRefusalError
from tests.bridge import until
from tests.limits.clock import SECOND, Clock
from tests.storage.records import NOON

SELF, OTHER, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)
KEY = {"provider": "$openai", "key": "sk-p...wxyz", "status": 401, "since": NOON, "calls": 3}


def member(database, process=SELF, clock=None, **options):
    return Membership(database, process=process, now_ns=clock or Clock(), **options)


async def beats(one, clock, seconds):
    for _ in range(round(seconds)):
        clock.advance(SECOND)
        await one.beat()


async def ids(database):
    return {document["_id"] async for document in database.members.find()}


async def test_a_heartbeat_is_written_in_the_database_s_time_until_the_process_leaves(database):
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    one = member(database, host="$host", version="1.2")
    one.limits = lambda: {"servers": 3}
    await one.beat()
    (first,) = await database.members.find().to_list(None)
    assert before <= first["started_at"] == first["heartbeat_at"] <= datetime.now(UTC)
    assert first == {
        "_id": SELF,
        "started_at": first["started_at"],
        "heartbeat_at": first["heartbeat_at"],
        "beat": 1,
        "clock": "",
        "host": "$host",
        "pid": os.getpid(),
        "process_space": process_space(),
        "version": "1.2",
        "refused_keys": [],
    }
    await until(lambda: datetime.now(UTC) > first["heartbeat_at"] + timedelta(milliseconds=2))
    await one.beat()
    (second,) = await database.members.find().to_list(None)
    assert (second["started_at"], second["beat"]) == (first["started_at"], 2)
    assert second["heartbeat_at"] > first["heartbeat_at"]
    assert second["clock"]
    assert second["limits"] == {"servers": 3}  # not before: others would take it for one that decides alone
    await one.close()
    assert await ids(database) == set()


@pytest.mark.parametrize("about", [{"process_space": "another boot"}, {"process_space": None}, {}], ids=str)
async def test_a_process_of_this_host_that_is_gone_is_known_to_be_from_its_id(database, about):
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    strange = {"_id": UUID(int=4), "process_space": process_space()}  # without the id of a process
    here = {"_id": OTHER, "process_space": process_space(), "pid": gone.pid}
    await database.members.insert_many([strange, here, {"_id": THIRD, "pid": gone.pid, **about}])
    one = member(database)
    await one.open()
    assert [one.members.is_silent(str(id_)) for id_ in (OTHER, THIRD, UUID(int=4))] == [True, False, False]
    await one.close()


async def test_one_that_starts_in_the_folder_of_another_says_that_it_is_gone(database, tmp_path):
    clock = Clock()
    watcher, first = member(database, THIRD, clock), member(database, OTHER, folder=tmp_path)
    await first.open()
    second = member(database, SELF, folder=tmp_path)
    await second.open()  # the first one still has the folder
    await watcher.open()
    assert not watcher.members.is_silent(str(OTHER))
    await first.close()
    await database.members.insert_one({"_id": OTHER, "beat": 9})  # as if it had been killed
    third = member(database, UUID(int=4), folder=tmp_path)
    await third.open()
    await watcher.beat()
    assert watcher.members.is_silent(str(OTHER))
    await member(database, OTHER).beat()
    await watcher.beat()
    assert not watcher.members.is_silent(str(OTHER))
    for one in (second, third, watcher):
        await one.close()


async def test_a_folder_that_cannot_be_locked_keeps_nobody_out(database, tmp_path):
    (tmp_path / "file").touch()
    one = member(database, folder=tmp_path / "file")
    await one.open()
    assert await ids(database) == {SELF}
    await one.close()


async def test_refused_keys_are_read_by_the_others_until_their_process_is_silent(database):
    clock = Clock()
    one, other = member(database, clock=clock), member(database, OTHER)
    other.refused_keys = lambda: [KEY]
    await other.beat()
    await one.beat()
    await other.beat()
    assert (one.refused_elsewhere, other.refused_elsewhere) == ([KEY], [])
    await beats(one, clock, SILENT_SECONDS)
    assert one.refused_elsewhere == [KEY]
    await beats(one, clock, 1)
    assert one.refused_elsewhere == []


def test_a_pause_of_ones_own_is_no_silence_unless_it_goes_on():
    clock = Clock()
    silence = Silence(1.0, clock)

    def without_answer(seconds):
        began = clock()
        clock.advance(round(seconds * SECOND))
        return silence.note(began)

    assert [without_answer(seconds) for seconds in (3, 1.5, 3, 1.5)] == [False, False, False, True]
    silence = Silence(1.0, clock)
    assert [without_answer(6) for _ in range(4)] == [False, False, False, True]


async def test_it_outlives_an_outage_and_takes_nobody_for_dead_after_it(private_database, private_mongodb):
    clock, beaten = Clock(), asyncio.Event()

    async def pause(_):
        beaten.set()
        await asyncio.sleep(0)

    one = member(private_database, clock=clock, answer_seconds=0.2, pause=pause)
    await private_database.members.insert_one({"_id": OTHER, "beat": 1, "refused_keys": [KEY]})
    await one.open()
    await beats(one, clock, SILENT_SECONDS - 1)
    private_mongodb.freeze()
    with pytest.raises(DatabaseUnavailableError):
        await one.beat()
    assert (one.refused_elsewhere, private_database.health.available) == ([], False)
    beating = asyncio.create_task(one.run())
    clock.advance(round(SILENT_SECONDS * SECOND))
    private_mongodb.thaw()
    await private_database.health.wait_until_back()
    await until(lambda: one.refused_elsewhere == [KEY])
    beating.cancel()
    await asyncio.wait({beating})
    await private_database.members.delete_many({"_id": SELF})
    while await ids(private_database) != {SELF, OTHER}:
        with suppress(DatabaseUnavailableError):
            await one.beat()
    await one.close()


async def test_one_whose_heartbeats_are_refused_says_so(mongodb_uri):
    reader = Database.connect(mongodb_uri, "local")  # nothing can be written to this one with a majority
    with pytest.raises(DatabaseRefusalError, match=r"^MongoDB does not take heartbeats: "):
        await member(reader).run()
    reader.close()
