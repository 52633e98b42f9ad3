import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.recording.operations import RecordAction, RecordOperation
from storage.recording.outbox import outbox as outbox_module
from storage.recording.outbox.outbox import Outbox
from storage.recording.outbox.spool import FRAME_BYTES, Spool, read_frames
from tests.examples import examples

SIZE = 100
PLENTY = 1000
UNSYNCED = r"^ERROR storage\.recording\.outbox\.outbox: the spool cannot be written: Input/output error$"
FULL = r"^ERROR storage\.recording\.outbox\.outbox: the spool is full: \d+ of \d+ bytes are taken$"


def operation(action, number):
    encoded = RecordOperation.of(action, UUID(int=number), {"padding": ""})
    padding = "x" * (SIZE - len(encoded.record))
    return RecordOperation.of(action, UUID(int=number), {"padding": padding})


def start(number):
    return operation(RecordAction.START, number)


def checkpoint(number):
    return operation(RecordAction.CHECKPOINT, number)


def end(number):
    return operation(RecordAction.END, number)


def add(outbox, *operations):
    for one in operations:
        outbox.enqueue(one)


def add_start(outbox, number):
    """Put a start that is waited for, and return its result."""
    result = asyncio.get_running_loop().create_future()
    outbox.enqueue(start(number), result)
    return result


def tail(outbox):
    """What would go to the database from memory, now that it would."""
    outbox.hurry()
    return outbox.next_batch()


def on_disk(folder):
    files = [path.read_bytes() for path in sorted(folder.glob("*.journal"))]
    return [RecordOperation.decode(record) for data in files for record in read_frames(data)]


def spool_with(folder, room, reserve, **options):
    size = SIZE + FRAME_BYTES
    return Spool(folder, max_bytes=room * size, reserve_bytes=reserve * size, **options)


@asynccontextmanager
async def opened(folder, strict=False, room=PLENTY, reserve=0, **options):
    """An outbox whose spool has room for that many operations, and for more of the urgent ones."""
    outbox = Outbox(spool_with(folder, room, reserve, **options), strict=strict)
    yield outbox
    await outbox.close()


async def read(outbox):
    """What is in the spool alone, now that it is on disk, which the database has from now on."""
    operations = []
    while found := await outbox.spool.read():
        file, records = found
        operations += [RecordOperation.decode(record) for record in records]
        outbox.spool.finish(file)
    return operations


async def test_every_operation_is_on_disk_at_once_and_leaves_it_when_the_database_has_it(tmp_path):
    async with opened(tmp_path) as outbox:
        result = add_start(outbox, 1)
        add(outbox, checkpoint(1), end(1))
        assert result.result() is None
        assert on_disk(tmp_path) == [start(1), checkpoint(1), end(1)]
        outbox.next_batch()
        outbox.acknowledge()
        assert (outbox.queued, on_disk(tmp_path), outbox.size) == (0, [], 0)


async def test_what_is_in_memory_overtakes_records_in_the_spool_alone(tmp_path):
    async with opened(tmp_path) as outbox:
        outbox.mark_unavailable()
        await add_start(outbox, 1)
        outbox.mark_available()
        add(outbox, checkpoint(1), end(1))
        add_start(outbox, 2)
        add_start(outbox, 3)
        add(outbox, end(3))
        assert tail(outbox) == [checkpoint(1), end(1), start(3), end(3), start(2)]
        assert await read(outbox) == [start(1), checkpoint(1), end(1), start(2), start(3), end(3)]
        assert tail(outbox) == [checkpoint(1), end(1), start(3), end(3), start(2)]
        outbox.acknowledge()
        assert (outbox.queued, on_disk(tmp_path)) == (0, [])


async def test_nothing_waits_when_everything_is_in_the_database_and_not_before(tmp_path):
    async with opened(tmp_path) as outbox:
        add(outbox, end(1))
        await outbox.wait_for_writes()
        outbox.next_batch()
        flush = asyncio.create_task(outbox.flush(60))
        await asyncio.sleep(0)
        assert not flush.done()
        outbox.acknowledge()
        ready = asyncio.create_task(outbox.wait_for_writes())
        assert await flush
        add(outbox, end(2))
        await ready
        assert not await outbox.flush(0)


@pytest.mark.expects_log(
    r"^ERROR storage\.recording\.outbox\.outbox: the spool cannot be written: No such file or directory$"
)
async def test_where_the_spool_cannot_be_written_starts_wait_for_the_database(tmp_path):
    async with opened(tmp_path / "spool") as outbox:
        (tmp_path / "spool").rename(tmp_path / "elsewhere")
        first, second = add_start(outbox, 1), add_start(outbox, 2)
        assert [one.done() for one in (first, second)] == [False, False]
        assert outbox.next_batch() == [start(1), start(2)]
        outbox.acknowledge()
        (tmp_path / "elsewhere").rename(tmp_path / "spool")
        third = add_start(outbox, 3)
        assert (third.done(), on_disk(tmp_path / "spool"), outbox.trouble) == (True, [start(3)], "")


@pytest.mark.expects_log(FULL)
async def test_an_end_the_spool_has_not_got_is_not_let_go_with_its_start(tmp_path):
    async with opened(tmp_path, room=2) as outbox:
        add_start(outbox, 1)
        add(outbox, end(9), end(1))
        assert (outbox.trouble, on_disk(tmp_path)) == (
            "the spool is full: 216 of 216 bytes are taken",
            [start(1), end(9)],
        )
        outbox.mark_unavailable()
        assert (outbox.queued, outbox.spool.records) == (1, 2)
        assert await read(outbox) == [start(1), end(9)]
        assert outbox.next_batch() == [end(1)]
        outbox.acknowledge()
        assert on_disk(tmp_path) == []


class Disk:
    """A disk whose next sync fails if it is told so."""

    def __init__(self):
        self.fails = False

    def sync(self, descriptor):
        if self.fails:
            self.fails = False
            raise OSError(5, "Input/output error")


@pytest.mark.expects_log(UNSYNCED)
async def test_a_disk_that_does_not_sync_is_trouble_until_it_takes_a_record(tmp_path):
    disk = Disk()
    async with opened(tmp_path, fsync=disk.sync) as outbox:
        outbox.mark_unavailable()
        assert await add_start(outbox, 1) is None
        disk.fails = True
        await outbox.sync()
        unavailable = "the database is unavailable"
        assert (outbox.healthy, outbox.trouble) == (
            False,
            f"{unavailable}; the spool cannot be written: Input/output error",
        )
        assert await add_start(outbox, 2) is None
        assert (outbox.healthy, outbox.trouble) == (True, unavailable)
        assert await read(outbox) == [start(1), start(2)]


class Calls:
    """Calls that start and end in front of a database that comes and goes. Each step is one thing that may happen."""

    def __init__(self, outbox, disk):
        self.outbox = outbox
        self.disk = disk
        self.database = {}
        self.starts = []
        self.ended = set()

    async def start(self):
        self.starts.append(add_start(self.outbox, len(self.starts)))

    async def end(self):
        running = [number for number, start in enumerate(self.starts) if number not in self.ended and accepted(start)]
        if running:
            self.ended.add(running[-1])
            add(self.outbox, end(running[-1]))

    async def amend(self):
        running = [number for number, start in enumerate(self.starts) if number not in self.ended and accepted(start)]
        if running:
            self.outbox.enqueue(checkpoint(running[0]))

    async def commit(self):
        self._write(self.outbox.next_batch())
        self.outbox.mark_available()
        self.outbox.acknowledge()

    async def unacknowledged_commit(self):
        self._write(self.outbox.next_batch())
        await self.outage()

    async def lost_commit(self):
        self.outbox.next_batch()
        await self.outage()

    async def slow_commit(self):
        batch = self.outbox.next_batch()
        await self.start()
        await self.end()
        await self.start()
        self._write(batch)
        self.outbox.mark_available()
        self.outbox.acknowledge()

    async def slow_unacknowledged_commit(self):
        self._write(self.outbox.next_batch())
        await self.end()
        await self.start()
        await self.outage()

    async def replay(self):
        self._replayed(await self.outbox.spool.read())

    async def slow_replay(self):
        reading = asyncio.create_task(self.outbox.spool.read())
        await asyncio.sleep(0)
        await self.end()
        await self.start()
        await self.start()
        found = await reading
        await self.commit()
        await self.end()
        self._replayed(found)

    async def unacknowledged_replay(self):
        if found := await self.outbox.spool.read():
            self._write([RecordOperation.decode(record) for record in found[1]])
        await self.outage()

    def _replayed(self, found):
        if found is not None:
            file, records = found
            self._write([RecordOperation.decode(record) for record in records])
            self.outbox.mark_available()
            self.outbox.spool.finish(file)

    async def outage(self):
        self.outbox.mark_unavailable()

    async def disk_fails(self):
        self.disk.fails = True

    async def back(self):
        self.outbox.mark_available()

    async def time_passes(self):
        await self.outbox.sync()

    async def moments_pass(self):
        self.outbox.hurry()

    async def finish_batch(self):
        while self.outbox.queued or self.outbox.spool.records:
            self.outbox.hurry()
            await self.commit()
            await self.replay()
            await asyncio.sleep(0)

    def _write(self, operations):
        for operation in operations:
            if operation.action is RecordAction.START:
                self.database.setdefault(operation.id.int, "in flight")
            elif operation.action is RecordAction.END:
                self.database[operation.id.int] = "ended"

    def check(self):
        for number, start in enumerate(self.starts):
            if start.result() is None:
                assert self.database[number] == ("ended" if number in self.ended else "in flight")
            else:
                assert start.result().maybe_written or number not in self.database


# The more often a step stands here, the more often it is taken: calls come and go more often than databases.
STEPS = [
    *(Calls.start, Calls.start, Calls.time_passes, Calls.end, Calls.end, Calls.end, Calls.amend),
    *(Calls.commit, Calls.commit, Calls.replay, Calls.outage, Calls.back, Calls.moments_pass, Calls.moments_pass),
    *(Calls.lost_commit, Calls.unacknowledged_commit, Calls.unacknowledged_replay),
    *(Calls.slow_commit, Calls.slow_unacknowledged_commit, Calls.slow_replay, Calls.disk_fails),
]


@pytest.mark.expects_log(FULL)
@pytest.mark.expects_log(UNSYNCED)
@given(
    steps=st.lists(st.sampled_from(STEPS), min_size=20, max_size=60),
    strict=st.booleans(),
    room=st.sampled_from([0, 2, 4, 8, PLENTY]),
    tail_records=st.integers(1, 5),
    batch=st.integers(1, 2),
)
@settings(max_examples=examples(40, 600))
def test_whatever_happens_in_whatever_order_no_acknowledged_record_is_lost(
    run_apart, *, steps, strict, room, tail_records, batch
):
    async def live(folder):
        disk = Disk()
        async with opened(folder, strict, room, fsync=disk.sync) as outbox:
            calls = Calls(outbox, disk)
            for step in steps:
                await step(calls)
            await calls.finish_batch()
            calls.check()
            assert (on_disk(folder), outbox.size, outbox.spool.size) == ([], 0, 0)

    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox_module, "TAIL_BYTES", tail_records * SIZE)
        patch.setattr(outbox_module, "BATCH_RECORDS", batch)
        run_apart(live(Path(name)))


@pytest.mark.expects_log(FULL)
@given(
    steps=st.lists(st.sampled_from(STEPS), min_size=10, max_size=60),
    room=st.sampled_from([2, 4, PLENTY]),
    tail_records=st.integers(1, 5),
)
@settings(max_examples=examples(25, 400))
def test_whenever_the_process_dies_the_next_one_brings_what_it_had_acknowledged(
    run_apart, *, steps, room, tail_records
):
    async def live(folder):
        spool = spool_with(folder, room, PLENTY, file_bytes=3 * SIZE)
        outbox = Outbox(spool)
        calls = Calls(outbox, Disk())
        for step in steps:
            await step(calls)
        acknowledged = {number for number, start in enumerate(calls.starts) if accepted(start)}
        spool.close()
        async with opened(folder) as survivor:
            calls.outbox = survivor
            await calls.finish_batch()
        assert calls.database.keys() >= acknowledged
        assert {number: calls.database[number] for number in acknowledged} == {
            number: "ended" if number in calls.ended else "in flight" for number in acknowledged
        }

    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox_module, "TAIL_BYTES", tail_records * SIZE)
        run_apart(live(Path(name)))


def accepted(start):
    return start.done() and start.result() is None
