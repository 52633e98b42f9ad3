from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from storage.recording.operations import Action, Operation
from storage.recording.outbox.segments import SpoolLockedError
from storage.recording.outbox.spool import Spool
from storage.recording.outbox.spool_folders import SCAN_SECONDS, SpoolFolders


async def leave_behind(folder, number):
    """Leave the start and the end of an interception of that number in a spool."""
    spool = Spool(folder)
    for action, fields in (
        (Action.START, {"status": "in_flight"}),
        (Action.END, {"status": "completed", "end_reason": "completed"}),
    ):
        await spool.append_synced(Operation.of(action, UUID(int=number), {"_id": UUID(int=number), **fields}).record)
    await spool.close()


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
def spools(folder):
    return SpoolFolders(folder)


@pytest.fixture
def looks(io_loop, spools, database):
    """A spool that is looked after; whoever looks waits in a pause."""
    looks, tasks = Looks(), set()

    async def begin():
        tasks.add(asyncio.create_task(spools.adopt(database, pause=looks.pause)))

    async def end():
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    io_loop.run_sync(begin)
    yield looks
    io_loop.run_sync(end)


@pytest.mark.gen_test
async def test_the_only_process_has_the_folder_itself_and_no_other_may_have_it(spools, folder):
    spool = spools.claim()
    with pytest.raises(SpoolLockedError):
        spools.claim()
    await spool.append_synced(b"record")
    assert [path.name for path in folder.glob("*.journal")] == ["0000000000000001.journal"]
    await spool.close()


@pytest.mark.gen_test
async def test_each_of_several_processes_has_the_lowest_number_that_is_free(spools, folder):
    first, second, third = (spools.claim_numbered() for _ in range(3))
    await second.close()
    again = spools.claim_numbered()
    await again.append_synced(b"record")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        *("1", "1/lock", "2", "2/0000000000000001.journal", "2/lock", "3", "3/lock"),
    ]
    for spool in (first, again, third):
        await spool.close()


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
    await owner.close()
    await looks.next()
    assert await found(database) == {1: "completed"}


@pytest.mark.gen_test
async def test_a_folder_of_which_nothing_is_left_may_be_taken_again(folder, looks, spools, database):
    await looks.first()
    await leave_behind(folder / "1", 1)
    await looks.next()
    spool = spools.claim_numbered()
    assert spool.records == 0
    await spool.append_synced(b"record")
    assert [path.parent.name for path in folder.rglob("*.journal")] == ["1"]
    await spool.close()


@pytest.mark.expects_log(
    r"^WARNING storage\.recording\.outbox\.spool_folders: records in .*/spool/[12] cannot be read: (Too many levels|No such file)"
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
