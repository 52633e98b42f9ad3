import asyncio
from contextlib import asynccontextmanager
from uuid import UUID

import bson
import pytest

from storage.recording.outbox import outbox as outbox_module
from storage.recording.outbox import writer as writer_module
from storage.recording.outbox.outbox import Outbox
from storage.recording.outbox.spool import FRAME_BYTES, Spool
from storage.recording.outbox.writer import Writer
from tests.bridge import until
from tests.storage.recording.writes import checkpoint, end, nested, start

UNAVAILABLE = (
    r"^WARNING storage\.recording\.outbox\.writer: records wait: MongoDB (is unavailable|does not take records): "
)
FULL = r"^ERROR storage\.recording\.outbox\.outbox: the spool is full: \d+ of \d+ bytes are taken$"
IS_UNAVAILABLE = "Recording is unavailable: the database is unavailable."

pytestmark = pytest.mark.usefixtures("brief_outages")


async def found(database):
    return {document.pop("_id").int: document async for document in database.interceptions.find()}


def left_behind(folder, *records):
    spool = Spool(folder)
    for record in records:
        spool.append(record)
    spool.close()


@pytest.fixture
def patient(brief_outages, monkeypatch):
    monkeypatch.setattr(writer_module, "COMMIT_SECONDS", 30)


@asynccontextmanager
async def opened(database, folder, strict=False, **options):
    outbox = Outbox(Spool(folder, **options), strict=strict)
    writer = Writer(database, outbox)
    try:
        yield outbox
    finally:
        await writer.close(0)


async def committing(outbox, commands):
    await until(lambda: commands.batches and outbox.batch)


@pytest.mark.expects_log(
    rf"^ERROR storage\.recording\.outbox\.writer: MongoDB refuses the start of interception {UUID(int=1)}: error 15$"
)
async def test_a_refused_document_fails_alone(database, tmp_path):
    async with opened(database, tmp_path, strict=True) as outbox:
        operations = [start(0), start(1, secret=nested(300)), start(2)]
        results = await asyncio.gather(*map(outbox.write, operations), return_exceptions=True)
        assert [results[0], str(results[1]), results[2]] == [
            None,
            "Recording is unavailable: the database refuses the record.",
            None,
        ]
        assert set(await found(database)) == {0, 2}
        assert (outbox.healthy, outbox.trouble) == (True, "")


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.parametrize("outage", ["frozen", pytest.param("killed", marks=pytest.mark.own_mongodb)])
@pytest.mark.gen_test(timeout=60)
async def test_no_record_is_lost_or_doubled_by_an_outage_under_load(
    private_database, private_mongodb, tmp_path, outage
):
    numbers = iter(range(1_000_000))
    allowed = asyncio.Semaphore(0)
    made, acknowledged = 0, []

    async def call(outbox):
        while True:
            await allowed.acquire()
            number = next(numbers)
            await outbox.write(start(number, made_by=number))
            acknowledged.append(number)
            outbox.enqueue(end(number, made_by=number, tokens=number))

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

    async with opened(private_database, tmp_path / "spool") as outbox:
        calls = [asyncio.create_task(call(outbox)) for _ in range(20)]
        begin(60)
        await one_more()
        if outage == "frozen":
            private_mongodb.freeze()
        else:
            await private_mongodb.kill()
        begin(1)  # all that was written before may have been answered
        await until(lambda: outbox.trouble)
        begin(60)
        await finished()
        begin(60)
        if outage == "frozen":
            private_mongodb.thaw()
        else:
            await private_mongodb.start()
        await until(lambda: not outbox.trouble)
        begin(60)
        await finished()
        assert await outbox.flush(20)
        for one in calls:
            one.cancel()
    assert await found(private_database) == {
        number: {"status": "completed", "made_by": number, "tokens": number} for number in range(made)
    }


@pytest.mark.expects_log(UNAVAILABLE)
async def test_a_strict_writer_refuses_while_the_database_is_unavailable(private_database, private_mongodb, tmp_path):
    async with opened(private_database, tmp_path / "spool", strict=True) as outbox:
        await outbox.write(start(1))
        private_mongodb.freeze()
        results = await asyncio.gather(*[outbox.write(start(number)) for number in (2, 3)], return_exceptions=True)
        assert [(str(result), result.maybe_written) for result in results] == [(IS_UNAVAILABLE, True)] * 2
        assert (outbox.healthy, outbox.trouble) == (False, "the database is unavailable")

        writing = asyncio.create_task(outbox.write(start(4)))
        for _ in range(10):  # turns of the loop: nothing is waited for
            await asyncio.sleep(0)
        assert writing.done()
        assert (str(writing.exception()), writing.exception().maybe_written) == (IS_UNAVAILABLE, False)

        outbox.enqueue(end(1))
        assert (outbox.queued, outbox.spool.records) == (0, 1)
        private_mongodb.thaw()
        assert await outbox.flush(10)
        assert outbox.healthy
        await outbox.write(start(5))
        documents = await found(private_database)
        assert documents[1] == {"status": "completed"}
        assert 5 in documents
        assert 4 not in documents


@pytest.mark.expects_log(UNAVAILABLE)
@pytest.mark.expects_log(FULL)
async def test_a_full_spool_refuses_starts_and_keeps_ends(private_database, private_mongodb, tmp_path):
    size = FRAME_BYTES + len(start(0).record)
    async with opened(private_database, tmp_path / "spool", max_bytes=20 * size, reserve_bytes=0) as outbox:
        private_mongodb.freeze()
        await outbox.write(start(0))
        await until(lambda: outbox.spool.records)
        taken = [0]
        refusal = None
        while refusal is None:
            (refusal,) = await asyncio.gather(outbox.write(start(len(taken))), return_exceptions=True)
            taken.append(len(taken))
        taken.pop()
        assert str(refusal).startswith("Recording is unavailable: the spool is full: ")
        assert not outbox.healthy
        assert outbox.trouble.startswith("the database is unavailable; the spool is full: ")
        for number in taken:
            outbox.enqueue(end(number))
        private_mongodb.thaw()
        assert await outbox.flush(10)
        assert (outbox.healthy, outbox.trouble) == (True, "")
        assert await found(private_database) == {number: {"status": "completed"} for number in taken}
        assert len(taken) == 20


@pytest.mark.usefixtures("patient")
async def test_a_database_that_is_only_slow_does_not_fill_the_memory(
    private_database, private_mongodb, commands, tmp_path, monkeypatch
):
    monkeypatch.setattr(outbox_module, "TAIL_BYTES", 5_000)
    async with opened(private_database, tmp_path / "spool") as outbox:
        private_mongodb.freeze()
        outbox.enqueue(start(0))
        await committing(outbox, commands)
        for number in range(300):
            outbox.enqueue(start(number))
            outbox.enqueue(end(number, tokens=number))
            assert outbox.size <= 5_000
        assert (outbox.queued + outbox.spool.records, outbox.healthy, outbox.trouble) == (601, True, "")
        private_mongodb.thaw()
        assert await outbox.flush(20)
        assert await found(private_database) == {
            number: {"status": "completed", "tokens": number} for number in range(300)
        }


@pytest.mark.expects_log(FULL)
@pytest.mark.expects_log(rf"^ERROR storage\.recording\.outbox\.outbox: the end of interception {UUID(int=3)} is lost$")
@pytest.mark.usefixtures("patient")
async def test_without_a_spool_memory_is_bounded_too(
    private_database, private_mongodb, commands, tmp_path, monkeypatch
):
    async with opened(private_database, tmp_path / "spool", strict=True, max_bytes=0, reserve_bytes=0) as outbox:
        await asyncio.gather(*[outbox.write(start(number)) for number in range(1, 4)])
        private_mongodb.freeze()
        outbox.enqueue(start(0))
        commands.sent.clear()
        await committing(outbox, commands)
        note, ending = checkpoint(1, note="fits"), end(1)
        monkeypatch.setattr(outbox_module, "TAIL_BYTES", len(note.record) + len(ending.record))
        monkeypatch.setattr(outbox_module, "MEMORY_BYTES", len(note.record) + 2 * len(ending.record))
        outbox.enqueue(note)
        outbox.enqueue(ending)
        outbox.enqueue(checkpoint(1, note="left out"))
        (refusal,) = await asyncio.gather(outbox.write(start(9)), return_exceptions=True)
        assert str(refusal) == "Recording is unavailable: too much waits to be recorded."
        assert not refusal.maybe_written
        outbox.enqueue(end(2))
        outbox.enqueue(end(3))
        private_mongodb.thaw()
        await until(lambda: outbox.queued == 0)
        assert await found(private_database) == {
            0: {"status": "in_flight"},
            1: {"status": "completed"},
            2: {"status": "completed"},
            3: {"status": "in_flight"},
        }


@pytest.mark.expects_log(
    r"^ERROR storage\.recording\.outbox\.writer: a record of the spool is not one of this version; it is left out$"
)
async def test_what_cannot_be_understood_does_not_hold_up_the_rest(database, tmp_path):
    left_behind(tmp_path, b"nothing", bson.encode({"action": "rename"}), start(1).record)
    async with opened(database, tmp_path) as outbox:
        assert await outbox.flush(10)
        assert await found(database) == {1: {"status": "in_flight"}}


@pytest.mark.expects_log(r"^ERROR storage\.recording\.outbox\.writer: records cannot be written$")
@pytest.mark.expects_log(r"^WARNING storage\.recording\.outbox\.writer: records wait: FileNotFoundError$")
async def test_a_spool_that_cannot_be_read_is_tried_again(database, tmp_path):
    left_behind(tmp_path / "spool", start(1).record)
    file = tmp_path / "spool" / "0000000000000001.journal"
    outbox = Outbox(Spool(tmp_path / "spool"))
    file.rename(tmp_path / "elsewhere")
    writer = Writer(database, outbox)
    try:
        await until(lambda: outbox.trouble)
        (tmp_path / "elsewhere").rename(file)
        assert await outbox.flush(10)
        assert await found(database) == {1: {"status": "in_flight"}}
    finally:
        await writer.close(0)


@pytest.mark.expects_log(UNAVAILABLE)
async def test_closing_leaves_the_rest_to_the_spool_and_the_next_process(private_database, private_mongodb, tmp_path):
    outbox = Outbox(Spool(tmp_path / "spool"))
    writer = Writer(private_database, outbox)
    await outbox.write(start(1))
    private_mongodb.freeze()
    waiting = asyncio.create_task(outbox.write(start(2)))
    outbox.enqueue(end(1))
    await until(lambda: outbox.trouble)
    await writer.close(5)
    assert await waiting is None
    private_mongodb.thaw()
    async with opened(private_database, tmp_path / "spool") as outbox:
        assert await outbox.flush(10)
        assert await found(private_database) == {1: {"status": "completed"}, 2: {"status": "in_flight"}}


@pytest.mark.usefixtures("patient")
async def test_closing_in_the_middle_of_a_batch_loses_nothing_of_it(
    private_database, private_mongodb, commands, tmp_path
):
    outbox = Outbox(Spool(tmp_path / "spool"))
    writer = Writer(private_database, outbox)
    private_mongodb.freeze()
    waiting = asyncio.create_task(outbox.write(start(1)))
    await committing(outbox, commands)
    outbox.enqueue(start(2))
    await writer.close(0)
    assert await waiting is None
    private_mongodb.thaw()
    async with opened(private_database, tmp_path / "spool") as outbox:
        assert outbox.spool.records == 2
        assert await outbox.flush(10)
        assert await found(private_database) == {1: {"status": "in_flight"}, 2: {"status": "in_flight"}}


@pytest.mark.expects_log(FULL)
@pytest.mark.expects_log(rf"^ERROR storage\.recording\.outbox\.outbox: the end of interception {UUID(int=1)} is lost$")
@pytest.mark.usefixtures("patient")
async def test_closing_says_what_the_spool_does_not_take(private_database, private_mongodb, commands, tmp_path):
    outbox = Outbox(Spool(tmp_path / "spool", max_bytes=0, reserve_bytes=0), strict=True)
    writer = Writer(private_database, outbox)
    await outbox.write(start(1))
    commands.sent.clear()
    private_mongodb.freeze()
    outbox.enqueue(end(1))
    await committing(outbox, commands)
    waiting = asyncio.create_task(outbox.write(start(2)))
    await until(lambda: outbox.queued == 2)
    await writer.close(0)
    (refusal,) = await asyncio.gather(waiting, return_exceptions=True)
    assert str(refusal) == "Recording is unavailable: the server is stopping."
