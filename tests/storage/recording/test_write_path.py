from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from uuid import UUID

import bson
import pytest

from storage.recording import backlog, write_path
from storage.recording.backlog import RecordPolicy
from storage.recording.journal import Journal
from storage.recording.segment import FRAME_BYTES
from storage.recording.write_path import WritePath
from tests.storage.conditions import until
from tests.storage.recording.disks import largest_file
from tests.storage.recording.writes import amend, end, nested, start

STRICT, SPOOL = RecordPolicy.STRICT, RecordPolicy.SPOOL
AWAY = (
    r"^WARNING storage\.recording\.write_path: the database is away: MongoDB (is unavailable|does not take records): "
)
IS_AWAY = "Recording is unavailable: the database is away."

pytestmark = pytest.mark.usefixtures("brief_outages")


async def found(database):
    """Everything in the database, by number."""
    return {document.pop("_id").int: document async for document in database.interceptions.find()}


async def counts(database):
    """How many documents there are with each status."""
    statuses = [document["status"] for document in (await found(database)).values()]
    return {status: statuses.count(status) for status in set(statuses)}


@pytest.fixture
def patient(brief_outages, monkeypatch):
    """A database may be slow."""
    monkeypatch.setattr(write_path, "COMMIT_SECONDS", 30)


@asynccontextmanager
async def opened(database, policy=SPOOL, journal=None):
    path = WritePath(database, policy=policy, journal=journal)
    path.open()
    try:
        yield path
    finally:
        await path.close(0)


async def committing(path, commands):
    """Wait until a batch is on its way."""
    await until(lambda: commands.batches and path._in_batch)


@pytest.mark.gen_test
async def test_what_is_waited_for_is_in_the_database_afterwards(database):
    async with opened(database) as path:
        await path.write(start(1))
        assert await found(database) == {1: {"status": "in_flight"}}
        assert (path.queued, path.spooled, path.healthy, path.trouble) == (0, 0, True, "")


@pytest.mark.gen_test
async def test_what_is_put_is_in_the_database_soon(database):
    async with opened(database) as path:
        await path.write(start(1))
        path.put(amend(1, tokens=3))
        path.put(end(1, tokens=5))
        assert await path.flush(5)
        assert await found(database) == {1: {"status": "completed", "tokens": 5}}


@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test(timeout=20)
async def test_starts_that_wait_for_one_another_share_one_command(private_database, private_mongodb, commands):
    async with opened(private_database) as path:
        private_mongodb.freeze()
        first = asyncio.create_task(path.write(start(0)))
        await committing(path, commands)
        others = [asyncio.create_task(path.write(start(number))) for number in range(1, 257)]
        await until(lambda: path.queued == 257)
        private_mongodb.thaw()
        await asyncio.gather(first, *others)
        assert commands.batches == [1, 256]
        assert set(await found(private_database)) == set(range(257))


@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test(timeout=20)
async def test_a_batch_ends_at_its_bounds(private_database, private_mongodb, commands, monkeypatch):
    monkeypatch.setattr(backlog, "BATCH_RECORDS", 4)
    monkeypatch.setattr(backlog, "BATCH_BYTES", 500)
    async with opened(private_database) as path:
        private_mongodb.freeze()
        path.put(start(0))
        await committing(path, commands)
        for number, size in enumerate([1, 1, 1, 1, 1, 300, 300, 1, 1], 1):
            path.put(start(number, text="x" * size))
        private_mongodb.thaw()
        assert await path.flush(10)
        assert commands.batches == [1, 4, 3, 2]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("when", ["queued", "in the batch"])
@pytest.mark.gen_test(timeout=20)
async def test_who_is_cancelled_disturbs_no_other(private_database, private_mongodb, commands, when):
    async with opened(private_database) as path:
        private_mongodb.freeze()
        first = [asyncio.create_task(path.write(start(number))) for number in range(3)]
        await committing(path, commands)
        second = [asyncio.create_task(path.write(start(number))) for number in range(3, 6)]
        await until(lambda: path.queued == 6)
        cancelled = second[1] if when == "queued" else first[1]
        cancelled.cancel()
        private_mongodb.thaw()
        results = await asyncio.gather(*first, *second, return_exceptions=True)
        assert isinstance(results.pop(4 if when == "queued" else 1), asyncio.CancelledError)
        assert results == [None] * 5
        assert set(await found(private_database)) == set(range(6))


@pytest.mark.expects_log(
    rf"^ERROR storage\.recording\.write_path: MongoDB refuses the start of interception {UUID(int=1)}: error 15$"
)
@pytest.mark.gen_test
async def test_a_refused_document_fails_alone(database):
    async with opened(database) as path:
        operations = [start(0), start(1, secret=nested(300)), start(2)]
        results = await asyncio.gather(*map(path.write, operations), return_exceptions=True)
        assert [results[0], str(results[1]), results[2]] == [
            None,
            "Recording is unavailable: the database refuses the record.",
            None,
        ]
        assert set(await found(database)) == {0, 2}
        assert (path.healthy, path.trouble) == (True, "")


@pytest.mark.expects_log(AWAY)
@pytest.mark.gen_test(timeout=30)
async def test_the_journal_takes_over_when_the_database_freezes(private_database, private_mongodb, tmp_path, caplog):
    caplog.set_level(logging.INFO, "storage.recording.write_path")
    loop = asyncio.get_running_loop()
    async with opened(private_database, journal=Journal(tmp_path / "spool")) as path:
        private_mongodb.freeze()
        began = loop.time()
        await path.write(start(1))
        await until(lambda: path.spooled)
        assert loop.time() - began < 2
        assert (path.spooled, path.healthy, path.trouble) == (1, True, "the database is away")

        began = loop.time()
        for number in range(2, 52):
            await path.write(start(number))
            path.put(end(number))
        assert loop.time() - began < 2
        assert not await path.flush(0)

        private_mongodb.thaw()
        assert await path.flush(10)
        assert await counts(private_database) == {"in_flight": 1, "completed": 50}
        assert (path.spooled, path.healthy, path.trouble) == (0, True, "")
        assert caplog.messages[-1] == "the database is back; records in the spool: 101"
        assert {file.name: file.stat().st_size for file in (tmp_path / "spool").iterdir()} == {
            "lock": 0,
            "ahead-0000000000000001.journal": 0,
        }


@pytest.mark.expects_log(AWAY)
@pytest.mark.parametrize("outage", ["frozen", "killed"])
@pytest.mark.gen_test(timeout=60)
async def test_no_record_is_lost_or_doubled_by_an_outage_under_load(
    private_database, private_mongodb, tmp_path, outage
):
    numbers = iter(range(1_000_000))
    allowed = asyncio.Semaphore(0)
    made, acknowledged = 0, []

    async def call(path):
        while True:
            await allowed.acquire()
            number = next(numbers)
            await path.write(start(number, made_by=number))
            acknowledged.append(number)
            path.put(end(number, tokens=number))

    def begin(count):
        nonlocal made
        made += count
        for _ in range(count):
            allowed.release()

    async def finished():
        await until(lambda: len(acknowledged) == made)

    async with opened(private_database, journal=Journal(tmp_path / "spool")) as path:
        calls = [asyncio.create_task(call(path)) for _ in range(20)]
        for _ in range(2):
            begin(500)
            await until(lambda: path.queued)
            if outage == "frozen":
                private_mongodb.freeze()
            else:
                await private_mongodb.kill()
            begin(1)  # all that was written before may have been answered
            await until(lambda: path.trouble)
            begin(500)
            await finished()
            begin(500)
            if outage == "frozen":
                private_mongodb.thaw()
            else:
                await private_mongodb.start()
            await until(lambda: not path.trouble)
            begin(500)
            await finished()
            assert await path.flush(20)
        for one in calls:
            one.cancel()
    assert await found(private_database) == {
        number: {"status": "completed", "made_by": number, "tokens": number} for number in range(made)
    }


@pytest.mark.expects_log(AWAY)
@pytest.mark.parametrize("journaled", [False, True])
@pytest.mark.gen_test(timeout=30)
async def test_a_strict_path_refuses_while_the_database_is_away(private_database, private_mongodb, tmp_path, journaled):
    loop = asyncio.get_running_loop()
    async with opened(private_database, STRICT, Journal(tmp_path / "spool") if journaled else None) as path:
        await path.write(start(1))
        private_mongodb.freeze()
        results = await asyncio.gather(*[path.write(start(number)) for number in (2, 3)], return_exceptions=True)
        assert [(str(result), result.maybe_written) for result in results] == [(IS_AWAY, True)] * 2
        assert (path.healthy, path.trouble) == (False, "the database is away")

        began = loop.time()
        (result,) = await asyncio.gather(path.write(start(4)), return_exceptions=True)
        assert (str(result), result.maybe_written) == (IS_AWAY, False)
        assert loop.time() - began < 0.2

        path.put(end(1))
        assert (path.queued, path.spooled) in ([(0, 1)] if journaled else [(1, 0), (1, 0)])
        private_mongodb.thaw()
        assert await path.flush(10)
        assert path.healthy
        await path.write(start(5))
        documents = await found(private_database)
        assert documents[1] == {"status": "completed"}
        assert 5 in documents
        assert 4 not in documents


@pytest.mark.expects_log(AWAY)
@pytest.mark.gen_test(timeout=30)
async def test_a_strict_path_with_nothing_to_write_notices_that_the_database_is_back(private_database, private_mongodb):
    async with opened(private_database, STRICT) as path:
        await private_mongodb.kill()
        await asyncio.gather(path.write(start(1)), return_exceptions=True)
        assert not path.healthy
        await private_mongodb.start()
        await until(lambda: path.healthy)
        await path.write(start(2))
        assert set(await found(private_database)) == {2}


@pytest.mark.gen_test
async def test_a_strict_start_does_not_wait_for_what_is_left_in_the_journal(database, tmp_path):
    journal = Journal(tmp_path / "spool")
    await asyncio.gather(*[journal.append(start(number).record) for number in range(3000)])
    async with opened(database, STRICT, journal) as path:
        await path.write(start(9999))
        assert path.spooled > 0
        assert await path.flush(10)
        assert set(await found(database)) == {*range(3000), 9999}


@pytest.mark.expects_log(AWAY)
@pytest.mark.expects_log(r"^ERROR storage\.recording\.backlog: the spool is full: \d+ of \d+ bytes are taken$")
@pytest.mark.gen_test(timeout=30)
async def test_a_full_journal_refuses_starts_and_keeps_ends(private_database, private_mongodb, tmp_path):
    size = FRAME_BYTES + len(start(0).record)
    async with opened(private_database, journal=Journal(tmp_path / "spool", max_bytes=20 * size)) as path:
        private_mongodb.freeze()
        await path.write(start(0))
        await until(lambda: path.spooled)
        taken = [0]
        refusal = None
        while refusal is None:
            (refusal,) = await asyncio.gather(path.write(start(len(taken))), return_exceptions=True)
            taken.append(len(taken))
        taken.pop()
        assert str(refusal).startswith("Recording is unavailable: the spool is full: ")
        assert not path.healthy
        assert path.trouble.startswith("the database is away; the spool is full: ")
        for number in taken:
            path.put(end(number))
        private_mongodb.thaw()
        assert await path.flush(10)
        assert (path.healthy, path.trouble) == (True, "")
        assert await found(private_database) == {number: {"status": "completed"} for number in taken}
        assert 15 <= len(taken) <= 18


@pytest.mark.expects_log(
    r"^ERROR storage\.recording\.backlog: records wait for the database in memory alone: the spool cannot be written: File too large$"
)
@pytest.mark.expects_log(AWAY)
@pytest.mark.expects_log(r"^ERROR storage\.recording\.backlog: the spool cannot be written: File too large$")
@pytest.mark.gen_test(timeout=30)
async def test_a_disk_that_fails_refuses_starts_and_ends_wait_in_memory(private_database, private_mongodb, tmp_path):
    async with opened(private_database, journal=Journal(tmp_path / "spool")) as path:
        await path.write(start(1))
        assert await path.flush(10)
        private_mongodb.freeze()
        with largest_file(0):
            (refusal,) = await asyncio.gather(path.write(start(2)), return_exceptions=True)
            assert str(refusal) == "Recording is unavailable: the spool cannot be written: File too large."
            path.put(end(1))
            await until(lambda: path.queued == 1)
            assert (path.spooled, path.healthy) == (0, False)
        await path.write(start(3))
        assert path.healthy
        private_mongodb.thaw()
        assert await path.flush(10)
        documents = await found(private_database)
        assert (documents[1], documents[3]) == ({"status": "completed"}, {"status": "in_flight"})


@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test(timeout=30)
async def test_a_database_that_is_only_slow_does_not_fill_the_memory(
    private_database, private_mongodb, commands, tmp_path, monkeypatch
):
    monkeypatch.setattr(backlog, "SPILL_BYTES", 10_000)
    async with opened(private_database, journal=Journal(tmp_path / "spool")) as path:
        private_mongodb.freeze()
        path.put(start(0))
        await committing(path, commands)
        for number in range(1000):
            path.put(start(number))
            path.put(end(number, tokens=number))
            assert path._backlog._bytes <= 10_000
        assert (path.queued + path.spooled, path.healthy, path.trouble) == (2001, True, "")
        private_mongodb.thaw()
        assert await path.flush(20)
        assert await found(private_database) == {
            number: {"status": "completed", "tokens": number} for number in range(1000)
        }


@pytest.mark.expects_log(rf"^ERROR storage\.recording\.backlog: the end of interception {UUID(int=3)} is lost$")
@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test(timeout=30)
async def test_without_a_journal_memory_is_bounded_too(private_database, private_mongodb, commands, monkeypatch):
    async with opened(private_database, STRICT) as path:
        await asyncio.gather(*[path.write(start(number)) for number in range(1, 4)])
        private_mongodb.freeze()
        path.put(start(0))
        commands.sent.clear()
        await committing(path, commands)
        note, ending = amend(1, note="fits"), end(1)
        monkeypatch.setattr(backlog, "SPILL_BYTES", len(note.record) + len(ending.record))
        monkeypatch.setattr(backlog, "MEMORY_BYTES", len(note.record) + 2 * len(ending.record))
        path.put(note, optional=True)
        path.put(ending)
        path.put(amend(1, note="left out"), optional=True)
        (refusal,) = await asyncio.gather(path.write(start(9)), return_exceptions=True)
        assert str(refusal) == "Recording is unavailable: too much waits to be recorded."
        assert not refusal.maybe_written
        path.put(end(2))
        path.put(end(3))
        private_mongodb.thaw()
        await until(lambda: path.queued == 0)
        assert await found(private_database) == {
            0: {"status": "in_flight"},
            1: {"status": "completed", "note": "fits"},
            2: {"status": "completed"},
            3: {"status": "in_flight"},
        }


@pytest.mark.gen_test
async def test_what_an_earlier_process_left_comes_first(database, tmp_path):
    journal = Journal(tmp_path / "spool")
    for operation in (start(1), start(2), amend(2, tokens=3), end(1)):
        await journal.append(operation.record)
    async with opened(database, journal=journal) as path:
        assert path.spooled == 4
        assert await path.flush(10)
        assert await found(database) == {1: {"status": "completed"}, 2: {"status": "in_flight", "tokens": 3}}
        assert path.spooled == 0


@pytest.mark.expects_log(
    r"^ERROR storage\.recording\.write_path: a record of the spool is not one of this version; it is left out$"
)
@pytest.mark.gen_test
async def test_what_cannot_be_understood_does_not_hold_up_the_rest(database, tmp_path):
    journal = Journal(tmp_path / "spool")
    for record in (b"nothing", bson.encode({"action": "rename"}), start(1).record):
        await journal.append(record)
    async with opened(database, journal=journal) as path:
        assert await path.flush(10)
        assert await found(database) == {1: {"status": "in_flight"}}


@pytest.mark.expects_log(r"^ERROR storage\.recording\.write_path: records cannot be written$")
@pytest.mark.expects_log(r"^WARNING storage\.recording\.write_path: the database is away: FileNotFoundError$")
@pytest.mark.gen_test
async def test_a_journal_that_cannot_be_read_is_tried_again(database, tmp_path):
    journal = Journal(tmp_path / "spool")
    await journal.append(start(1).record)
    file = tmp_path / "spool" / "0000000000000001.journal"
    file.rename(tmp_path / "elsewhere")
    async with opened(database, journal=journal) as path:
        await until(lambda: path.trouble)
        (tmp_path / "elsewhere").rename(file)
        assert await path.flush(10)
        assert await found(database) == {1: {"status": "in_flight"}}


@pytest.mark.expects_log(AWAY)
@pytest.mark.gen_test(timeout=30)
async def test_closing_leaves_the_rest_to_the_journal_and_the_next_process(private_database, private_mongodb, tmp_path):
    path = WritePath(private_database, policy=SPOOL, journal=Journal(tmp_path / "spool"))
    path.open()
    await path.write(start(1))
    private_mongodb.freeze()
    waiting = asyncio.create_task(path.write(start(2)))
    path.put(end(1))
    await until(lambda: path.trouble)
    await path.close(5)
    assert await waiting is None
    private_mongodb.thaw()
    async with opened(private_database, journal=Journal(tmp_path / "spool")) as path:
        assert await path.flush(10)
        assert await found(private_database) == {1: {"status": "completed"}, 2: {"status": "in_flight"}}


@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test(timeout=30)
async def test_closing_in_the_middle_of_a_batch_loses_nothing_of_it(
    private_database, private_mongodb, commands, tmp_path
):
    path = WritePath(private_database, policy=SPOOL, journal=Journal(tmp_path / "spool"))
    path.open()
    private_mongodb.freeze()
    waiting = asyncio.create_task(path.write(start(1)))
    await committing(path, commands)
    path.put(start(2))
    await path.close(0)
    assert await waiting is None
    private_mongodb.thaw()
    async with opened(private_database, journal=Journal(tmp_path / "spool")) as path:
        assert path.spooled == 2
        assert await path.flush(10)
        assert await found(private_database) == {1: {"status": "in_flight"}, 2: {"status": "in_flight"}}


@pytest.mark.expects_log(rf"^ERROR storage\.recording\.backlog: the end of interception {UUID(int=1)} is lost$")
@pytest.mark.usefixtures("patient")
@pytest.mark.gen_test(timeout=30)
async def test_closing_without_a_journal_says_what_is_lost(private_database, private_mongodb, commands):
    path = WritePath(private_database, policy=STRICT, journal=None)
    path.open()
    await path.write(start(1))
    commands.sent.clear()
    private_mongodb.freeze()
    path.put(end(1))
    await committing(path, commands)
    waiting = asyncio.create_task(path.write(start(2)))
    await until(lambda: path.queued == 2)
    await path.close(0)
    (refusal,) = await asyncio.gather(waiting, return_exceptions=True)
    assert str(refusal) == "Recording is unavailable: the server is stopping."


@pytest.mark.expects_log(rf"^ERROR storage\.recording\.backlog: the end of interception {UUID(int=1)} is lost$")
@pytest.mark.parametrize("journaled", [False, True])
@pytest.mark.gen_test
async def test_a_closed_path_takes_nothing(database, tmp_path, journaled, expected_logs):
    if journaled:
        expected_logs.append(r"^ERROR storage\.recording\.backlog: the spool is closed$")
    path = WritePath(database, policy=SPOOL, journal=Journal(tmp_path / "spool") if journaled else None)
    path.open()
    await path.close(5)
    assert not path.healthy
    path.put(end(1))
    (refusal,) = await asyncio.gather(path.write(start(2)), return_exceptions=True)
    reason = "the spool is closed" if journaled else "the server is stopping"
    assert str(refusal) == f"Recording is unavailable: {reason}."


@pytest.mark.gen_test
async def test_closing_writes_what_was_put(database):
    path = WritePath(database, policy=SPOOL, journal=None)
    path.open()
    path.put(start(1))
    await path.close(5)
    assert await found(database) == {1: {"status": "in_flight"}}
