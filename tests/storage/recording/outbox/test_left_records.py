from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from storage.recording.operations import RecordAction, RecordOperation
from storage.recording.outbox.spool import Spool, claim_numbered
from storage.recording.outbox.writer import SCAN_SECONDS, adopt


async def leave_behind(folder, number):
    """Leave the start and the end of an interception of that number in a spool."""
    spool = Spool(folder)
    for action, fields in (
        (RecordAction.START, {"status": "in_flight"}),
        (RecordAction.END, {"status": "completed", "end_reason": "completed"}),
    ):
        spool.append(RecordOperation.of(action, UUID(int=number), {"_id": UUID(int=number), **fields}).record)
    spool.close()


async def found(database):
    return {document["_id"].int: document["status"] async for document in database.interceptions.find()}


class Looks:
    """Stands for the pauses between looks: `next` lets one end and waits for the one after it."""

    def __init__(self):
        self.seconds = []
        self._over = asyncio.Event()
        self._begun = asyncio.Queue()

    async def pause(self, seconds):
        self.seconds.append(seconds)
        self._over.clear()
        self._begun.put_nowait(None)
        await self._over.wait()

    async def first(self):
        await self._begun.get()

    async def next(self):
        self._over.set()
        await self._begun.get()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def looks(io_loop, folder, database):
    """A spool that is looked after; whoever looks waits in a pause."""
    looks, tasks = Looks(), set()

    async def begin():
        tasks.add(asyncio.create_task(adopt(folder, database, pause=looks.pause)))

    async def end():
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    io_loop.run_sync(begin)
    yield looks
    io_loop.run_sync(end)


@pytest.mark.gen_test
async def test_each_of_several_processes_has_the_lowest_number_that_is_free(folder):
    first, second, third = (claim_numbered(folder) for _ in range(3))
    second.close()
    again = claim_numbered(folder)
    again.append(b"record")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        *("1", "1/lock", "2", "2/0000000000000001.journal", "2/lock", "3", "3/lock"),
    ]
    for spool in (first, again, third):
        spool.close()


@pytest.mark.gen_test
async def test_what_processes_that_are_gone_left_is_brought_to_the_database(folder, looks, database):
    await looks.first()
    assert await found(database) == {}
    await leave_behind(folder, 1)
    await leave_behind(folder / "2", 2)
    await leave_behind(folder / "10", 3)
    await looks.next()
    assert await found(database) == {1: "completed", 2: "completed", 3: "completed"}
    assert list(folder.rglob("*.journal")) == []
    assert looks.seconds == [SCAN_SECONDS, SCAN_SECONDS]


@pytest.mark.gen_test
async def test_what_belongs_to_a_process_is_left_to_it_until_it_is_gone(folder, looks, database):
    await looks.first()
    await leave_behind(folder / "1", 1)
    owner = Spool(folder / "1")
    await looks.next()
    assert (await found(database), owner.records) == ({}, 2)
    owner.close()
    await looks.next()
    assert await found(database) == {1: "completed"}


@pytest.mark.gen_test
async def test_a_folder_of_which_nothing_is_left_may_be_taken_again(folder, looks, database):
    await looks.first()
    await leave_behind(folder / "1", 1)
    await looks.next()
    spool = claim_numbered(folder)
    assert spool.records == 0
    spool.append(b"record")
    assert [path.parent.name for path in folder.rglob("*.journal")] == ["1"]
    spool.close()


@pytest.mark.expects_log(
    r"^WARNING storage\.recording\.outbox\.writer: records in .*/spool/[12] cannot be read: (Too many levels|No such file)"
)
@pytest.mark.gen_test
async def test_a_folder_that_cannot_be_used_is_logged_and_read_once_it_can_be(folder, looks, database):
    await looks.first()
    await leave_behind(folder / "1", 1)
    (folder / "1" / "lock").unlink()
    (folder / "1" / "lock").symlink_to("lock")
    await leave_behind(folder / "2", 2)
    bad = folder / "2" / "0000000000000002.journal"
    bad.symlink_to("nothing")
    await leave_behind(folder / "3", 3)
    await looks.next()
    assert await found(database) == {3: "completed"}
    bad.unlink()
    await looks.next()
    assert await found(database) == {2: "completed", 3: "completed"}
