from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from uuid import UUID

import bson
import pytest

from storage.recording.outbox import tail
from storage.recording.outbox import writer as writer_module
from storage.recording.outbox.pending_write import RecordPolicy
from storage.recording.outbox.spool import FRAME_BYTES, Spool
from storage.recording.outbox.writer import Writer
from tests.storage.conditions import until
from tests.storage.recording.disks import largest_file
from tests.storage.recording.writes import checkpoint, end, nested, start

STRICT, SPOOL = RecordPolicy.STRICT, RecordPolicy.SPOOL
UNAVAILABLE = (
    r"^WARNING storage\.recording\.outbox\.writer: records wait: MongoDB (is unavailable|does not take records): "
)
FULL = r"^ERROR storage\.recording\.outbox\.outbox: the spool is full: \d+ of \d+ bytes are taken$"
IS_UNAVAILABLE = "Recording is unavailable: the database is unavailable."

pytestmark = pytest.mark.usefixtures("brief_outages")


async def found(database):
    """Everything in the database, by number."""
    return {document.pop("_id").int: document async for document in database.interceptions.find()}


def left_behind(folder, *records):
    """What a process that is gone left in its spool."""
    spool = Spool(folder)
    for record in records:
        spool.append(record)
    spool.close()


async def counts(database):
    """How many documents there are with each status."""
    statuses = [document["status"] for document in (await found(database)).values()]
    return {status: statuses.count(status) for status in set(statuses)}


@pytest.fixture
def patient(brief_outages, monkeypatch):
    """A database may be slow."""
    monkeypatch.setattr(writer_module, "COMMIT_SECONDS", 30)


@asynccontextmanager
async def opened(database, folder, policy=SPOOL, **options):
    writer = Writer(database, spool=Spool(folder, **options), policy=policy)
    writer.open()
    try:
        yield writer
    finally:
        await writer.close(0)


async def committing(writer, commands):
    """Wait until a batch is on its way."""
    await until(lambda: commands.batches and writer._outbox._tail.batch)


@pytest.mark.gen_test
async def test_what_is_waited_for_is_in_the_database_afterwards(database, tmp_path):
    async with opened(database, tmp_path, STRICT) as writer:
        await writer.write(start(1))
        assert await found(database) == {1: {"status": "in_flight"}}
        assert (writer.queued, writer.spooled, writer.healthy, writer.trouble) == (0, 0, True, "")


@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test
async def test_starts_that_wait_for_one_another_share_one_command(
    private_database, private_mongodb, commands, tmp_path
):
    async with opened(private_database, tmp_path / "spool", STRICT) as writer:
        private_mongodb.freeze()
        first = asyncio.create_task(writer.write(start(0)))
        await committing(writer, commands)
        others = [asyncio.create_task(writer.write(start(number))) for number in range(1, 257)]
        await until(lambda: writer.queued == 257)
        private_mongodb.thaw()
        await asyncio.gather(first, *others)
        assert commands.batches == [1, 256]
        assert set(await found(private_database)) == set(range(257))


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("when", ["queued", "in the batch"])
@pytest.mark.gen_test
async def test_who_is_cancelled_disturbs_no_other(private_database, private_mongodb, commands, tmp_path, when):
    async with opened(private_database, tmp_path / "spool", STRICT) as writer:
        private_mongodb.freeze()
        first = [asyncio.create_task(writer.write(start(number))) for number in range(3)]
        await committing(writer, commands)
        second = [asyncio.create_task(writer.write(start(number))) for number in range(3, 6)]
        await until(lambda: writer.queued == 6)
        cancelled = second[1] if when == "queued" else first[1]
        cancelled.cancel()
        private_mongodb.thaw()
        results = await asyncio.gather(*first, *second, return_exceptions=True)
        assert isinstance(results.pop(4 if when == "queued" else 1), asyncio.CancelledError)
        assert results == [None] * 5
        assert set(await found(private_database)) == set(range(6))


@pytest.mark.expects_log(
    rf"^ERROR storage\.recording\.outbox\.writer: MongoDB refuses the start of interception {UUID(int=1)}: error 15$"
)
@pytest.mark.gen_test
async def test_a_refused_document_fails_alone(database, tmp_path):
    async with opened(database, tmp_path, STRICT) as writer:
        operations = [start(0), start(1, secret=nested(300)), start(2)]
        results = await asyncio.gather(*map(writer.write, operations), return_exceptions=True)
        assert [results[0], str(results[1]), results[2]] == [
            None,
            "Recording is unavailable: the database refuses the record.",
            None,
        ]
        assert set(await found(database)) == {0, 2}
        assert (writer.healthy, writer.trouble) == (True, "")


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.gen_test
async def test_the_spool_takes_over_when_the_database_freezes(private_database, private_mongodb, tmp_path, caplog):
    caplog.set_level(logging.INFO, "storage.recording.outbox.writer")
    loop = asyncio.get_running_loop()
    async with opened(private_database, tmp_path / "spool") as writer:
        private_mongodb.freeze()
        began = loop.time()
        await writer.write(start(1))
        await until(lambda: writer.spooled)
        assert loop.time() - began < 10  # nothing waits for as long as the driver would
        assert (writer.spooled, writer.healthy, writer.trouble) == (1, True, "the database is unavailable")

        began = loop.time()
        for number in range(2, 52):
            await writer.write(start(number))
            writer.enqueue(end(number))
        assert loop.time() - began < 10
        assert not await writer.flush(0)

        private_mongodb.thaw()
        assert await writer.flush(10)
        assert await counts(private_database) == {"in_flight": 1, "completed": 50}
        assert (writer.spooled, writer.healthy, writer.trouble) == (0, True, "")
        assert caplog.messages[-1] == "the database is back; records in the spool: 101"
        assert [file.name for file in (tmp_path / "spool").iterdir()] == ["lock"]


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.parametrize("outage", ["frozen", pytest.param("killed", marks=pytest.mark.own_mongodb)])
@pytest.mark.gen_test(timeout=60)
async def test_no_record_is_lost_or_doubled_by_an_outage_under_load(
    private_database, private_mongodb, tmp_path, outage
):
    numbers = iter(range(1_000_000))
    allowed = asyncio.Semaphore(0)
    made, acknowledged = 0, []

    async def call(writer):
        while True:
            await allowed.acquire()
            number = next(numbers)
            await writer.write(start(number, made_by=number))
            acknowledged.append(number)
            writer.enqueue(end(number, made_by=number, tokens=number))

    def begin(count):
        nonlocal made
        made += count
        for _ in range(count):
            allowed.release()

    async def finished():
        await until(lambda: len(acknowledged) == made)

    async def one_more():
        known = len(acknowledged)
        await until(lambda: len(acknowledged) > known)

    async with opened(private_database, tmp_path / "spool") as writer:
        calls = [asyncio.create_task(call(writer)) for _ in range(20)]
        begin(60)
        await one_more()
        if outage == "frozen":
            private_mongodb.freeze()
        else:
            await private_mongodb.kill()
        begin(1)  # all that was written before may have been answered
        await until(lambda: writer.trouble)
        begin(60)
        await finished()
        begin(60)
        if outage == "frozen":
            private_mongodb.thaw()
        else:
            await private_mongodb.start()
        await until(lambda: not writer.trouble)
        begin(60)
        await finished()
        assert await writer.flush(20)
        for one in calls:
            one.cancel()
    assert await found(private_database) == {
        number: {"status": "completed", "made_by": number, "tokens": number} for number in range(made)
    }


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.gen_test
async def test_a_strict_writer_refuses_while_the_database_is_unavailable(private_database, private_mongodb, tmp_path):
    async with opened(private_database, tmp_path / "spool", STRICT) as writer:
        await writer.write(start(1))
        private_mongodb.freeze()
        results = await asyncio.gather(*[writer.write(start(number)) for number in (2, 3)], return_exceptions=True)
        assert [(str(result), result.maybe_written) for result in results] == [(IS_UNAVAILABLE, True)] * 2
        assert (writer.healthy, writer.trouble) == (False, "the database is unavailable")

        writing = asyncio.create_task(writer.write(start(4)))
        for _ in range(10):  # turns of the loop: nothing is waited for
            await asyncio.sleep(0)
        assert writing.done()
        assert (str(writing.exception()), writing.exception().maybe_written) == (IS_UNAVAILABLE, False)

        writer.enqueue(end(1))
        assert (writer.queued, writer.spooled) == (0, 1)
        private_mongodb.thaw()
        assert await writer.flush(10)
        assert writer.healthy
        await writer.write(start(5))
        documents = await found(private_database)
        assert documents[1] == {"status": "completed"}
        assert 5 in documents
        assert 4 not in documents


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.expects_log(FULL)
@pytest.mark.gen_test
async def test_a_full_spool_refuses_starts_and_keeps_ends(private_database, private_mongodb, tmp_path):
    size = FRAME_BYTES + len(start(0).record)
    async with opened(private_database, tmp_path / "spool", max_bytes=20 * size, reserve_bytes=0) as writer:
        private_mongodb.freeze()
        await writer.write(start(0))
        await until(lambda: writer.spooled)
        taken = [0]
        refusal = None
        while refusal is None:
            (refusal,) = await asyncio.gather(writer.write(start(len(taken))), return_exceptions=True)
            taken.append(len(taken))
        taken.pop()
        assert str(refusal).startswith("Recording is unavailable: the spool is full: ")
        assert not writer.healthy
        assert writer.trouble.startswith("the database is unavailable; the spool is full: ")
        for number in taken:
            writer.enqueue(end(number))
        private_mongodb.thaw()
        assert await writer.flush(10)
        assert (writer.healthy, writer.trouble) == (True, "")
        assert await found(private_database) == {number: {"status": "completed"} for number in taken}
        assert 15 <= len(taken) <= 18


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.expects_log(r"^ERROR storage\.recording\.outbox\.outbox: the spool cannot be written: File too large$")
@pytest.mark.gen_test
async def test_a_disk_that_fails_refuses_starts_and_ends_wait_in_memory(private_database, private_mongodb, tmp_path):
    async with opened(private_database, tmp_path / "spool") as writer:
        await writer.write(start(1))
        assert await writer.flush(10)
        private_mongodb.freeze()
        with largest_file(0):
            (refusal,) = await asyncio.gather(writer.write(start(2)), return_exceptions=True)
            assert str(refusal) == "Recording is unavailable: the spool cannot be written: File too large."
            writer.enqueue(end(1))
            await until(lambda: writer.queued == 1)
            assert (writer.spooled, writer.healthy) == (0, False)
        await writer.write(start(3))
        assert writer.healthy
        private_mongodb.thaw()
        assert await writer.flush(10)
        documents = await found(private_database)
        assert (documents[1], documents[3]) == ({"status": "completed"}, {"status": "in_flight"})


@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test
async def test_a_database_that_is_only_slow_does_not_fill_the_memory(
    private_database, private_mongodb, commands, tmp_path, monkeypatch
):
    monkeypatch.setattr(tail, "TAIL_BYTES", 5_000)
    async with opened(private_database, tmp_path / "spool") as writer:
        private_mongodb.freeze()
        writer.enqueue(start(0))
        await committing(writer, commands)
        for number in range(300):
            writer.enqueue(start(number))
            writer.enqueue(end(number, tokens=number))
            assert writer._outbox._tail.size <= 5_000
        assert (writer.queued + writer.spooled, writer.healthy, writer.trouble) == (601, True, "")
        private_mongodb.thaw()
        assert await writer.flush(20)
        assert await found(private_database) == {
            number: {"status": "completed", "tokens": number} for number in range(300)
        }


@pytest.mark.expects_log(FULL)
@pytest.mark.expects_log(rf"^ERROR storage\.recording\.outbox\.outbox: the end of interception {UUID(int=3)} is lost$")
@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test
async def test_without_a_spool_memory_is_bounded_too(
    private_database, private_mongodb, commands, tmp_path, monkeypatch
):
    async with opened(private_database, tmp_path / "spool", STRICT, max_bytes=0, reserve_bytes=0) as writer:
        await asyncio.gather(*[writer.write(start(number)) for number in range(1, 4)])
        private_mongodb.freeze()
        writer.enqueue(start(0))
        commands.sent.clear()
        await committing(writer, commands)
        note, ending = checkpoint(1, note="fits"), end(1)
        monkeypatch.setattr(tail, "TAIL_BYTES", len(note.record) + len(ending.record))
        monkeypatch.setattr(tail, "MEMORY_BYTES", len(note.record) + 2 * len(ending.record))
        writer.enqueue(note, optional=True)
        writer.enqueue(ending)
        writer.enqueue(checkpoint(1, note="left out"), optional=True)
        (refusal,) = await asyncio.gather(writer.write(start(9)), return_exceptions=True)
        assert str(refusal) == "Recording is unavailable: too much waits to be recorded."
        assert not refusal.maybe_written
        writer.enqueue(end(2))
        writer.enqueue(end(3))
        private_mongodb.thaw()
        await until(lambda: writer.queued == 0)
        assert await found(private_database) == {
            0: {"status": "in_flight"},
            1: {"status": "completed"},
            2: {"status": "completed"},
            3: {"status": "in_flight"},
        }


@pytest.mark.expects_log(
    r"^ERROR storage\.recording\.outbox\.writer: a record of the spool is not one of this version; it is left out$"
)
@pytest.mark.gen_test
async def test_what_cannot_be_understood_does_not_hold_up_the_rest(database, tmp_path):
    left_behind(tmp_path, b"nothing", bson.encode({"action": "rename"}), start(1).record)
    async with opened(database, tmp_path) as writer:
        assert await writer.flush(10)
        assert await found(database) == {1: {"status": "in_flight"}}


@pytest.mark.expects_log(r"^ERROR storage\.recording\.outbox\.writer: records cannot be written$")
@pytest.mark.expects_log(r"^WARNING storage\.recording\.outbox\.writer: records wait: FileNotFoundError$")
@pytest.mark.gen_test
async def test_a_spool_that_cannot_be_read_is_tried_again(database, tmp_path):
    left_behind(tmp_path / "spool", start(1).record)
    file = tmp_path / "spool" / "0000000000000001.journal"
    writer = Writer(database, spool=Spool(tmp_path / "spool"), policy=SPOOL)
    file.rename(tmp_path / "elsewhere")
    writer.open()
    try:
        await until(lambda: writer.trouble)
        (tmp_path / "elsewhere").rename(file)
        assert await writer.flush(10)
        assert await found(database) == {1: {"status": "in_flight"}}
    finally:
        await writer.close(0)


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.gen_test
async def test_closing_leaves_the_rest_to_the_spool_and_the_next_process(private_database, private_mongodb, tmp_path):
    writer = Writer(private_database, spool=Spool(tmp_path / "spool"), policy=SPOOL)
    writer.open()
    await writer.write(start(1))
    private_mongodb.freeze()
    waiting = asyncio.create_task(writer.write(start(2)))
    writer.enqueue(end(1))
    await until(lambda: writer.trouble)
    await writer.close(5)
    assert await waiting is None
    private_mongodb.thaw()
    async with opened(private_database, tmp_path / "spool") as writer:
        assert await writer.flush(10)
        assert await found(private_database) == {1: {"status": "completed"}, 2: {"status": "in_flight"}}


@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test
async def test_closing_in_the_middle_of_a_batch_loses_nothing_of_it(
    private_database, private_mongodb, commands, tmp_path
):
    writer = Writer(private_database, spool=Spool(tmp_path / "spool"), policy=SPOOL)
    writer.open()
    private_mongodb.freeze()
    waiting = asyncio.create_task(writer.write(start(1)))
    await committing(writer, commands)
    writer.enqueue(start(2))
    await writer.close(0)
    assert await waiting is None
    private_mongodb.thaw()
    async with opened(private_database, tmp_path / "spool") as writer:
        assert writer.spooled == 2
        assert await writer.flush(10)
        assert await found(private_database) == {1: {"status": "in_flight"}, 2: {"status": "in_flight"}}


@pytest.mark.expects_log(FULL)
@pytest.mark.expects_log(rf"^ERROR storage\.recording\.outbox\.outbox: the end of interception {UUID(int=1)} is lost$")
@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test
async def test_closing_says_what_the_spool_does_not_take(private_database, private_mongodb, commands, tmp_path):
    writer = Writer(private_database, spool=Spool(tmp_path / "spool", max_bytes=0, reserve_bytes=0), policy=STRICT)
    writer.open()
    await writer.write(start(1))
    commands.sent.clear()
    private_mongodb.freeze()
    writer.enqueue(end(1))
    await committing(writer, commands)
    waiting = asyncio.create_task(writer.write(start(2)))
    await until(lambda: writer.queued == 2)
    await writer.close(0)
    (refusal,) = await asyncio.gather(waiting, return_exceptions=True)
    assert str(refusal) == "Recording is unavailable: the server is stopping."


@pytest.mark.expects_log(rf"^ERROR storage\.recording\.outbox\.outbox: the end of interception {UUID(int=1)} is lost$")
@pytest.mark.gen_test
async def test_a_closed_writer_takes_nothing(database, tmp_path):
    writer = Writer(database, spool=Spool(tmp_path), policy=SPOOL)
    writer.open()
    await writer.close(5)
    assert not writer.healthy
    writer.enqueue(end(1))
    (refusal,) = await asyncio.gather(writer.write(start(2)), return_exceptions=True)
    assert str(refusal) == "Recording is unavailable: the server is stopping."
