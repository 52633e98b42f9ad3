import asyncio
from uuid import UUID

import pytest

from storage.recording.operations import RecordAction, RecordOperation
from storage.recording.outbox.spool import Spool
from storage.recording.outbox.writer import adopt


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


async def test_what_belongs_to_a_process_is_left_to_it_until_it_is_gone(folder, looks, database):
    await looks.first()
    await leave_behind(folder / "1", 1)
    owner = Spool(folder / "1")
    await looks.next()
    assert (await found(database), owner.records) == ({}, 2)
    owner.close()
    await looks.next()
    assert await found(database) == {1: "completed"}


@pytest.mark.expects_log(
    r"^WARNING storage\.recording\.outbox\.writer: records in .*/spool/[12] cannot be read: (Too many levels|No such file)"
)
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
