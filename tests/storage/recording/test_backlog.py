from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.recording import backlog as backlog_module
from storage.recording import write_ahead_log
from storage.recording.backlog import Backlog, RecordPolicy
from storage.recording.entry import Entry
from storage.recording.journal import Journal
from storage.recording.operations import Action, Operation
from storage.recording.segment import FRAME_BYTES, Segment
from tests.storage.conditions import until
from tests.storage.recording.disks import largest_file

SIZE = 100
FULL = r"^ERROR storage\.recording\.backlog: the spool is full: \d+ of \d+ bytes are taken$"


def operation(action, number):
    encoded = Operation(action, UUID(int=number), {"padding": ""})
    padding = "x" * (SIZE - len(encoded.record))
    return Operation(action, UUID(int=number), {"padding": padding})


def start(number):
    return operation(Action.START, number)


def end(number):
    return operation(Action.END, number)


def waiting(number):
    return Entry(start(number), asyncio.get_running_loop().create_future())


def refusal(entry):
    return str(entry.answer.result())


def queue(backlog):
    """What would go to the database, now that it would."""
    backlog.hurry()
    batch = backlog.take()
    backlog.put_back(batch)
    return [entry.operation for entry in batch]


def ahead(folder):
    """What the write-ahead log has."""
    segments = [Segment.found(path) for path in sorted(folder.glob(write_ahead_log.NAMES))]
    return [Operation.decode(record) for segment in segments if segment.records for record in segment.read(100)]


@asynccontextmanager
async def opened(folder=None, policy=RecordPolicy.SPOOL, room=1000):
    """A backlog whose journal has room for that many operations, of which an eighth is for urgent ones."""
    journal = None if folder is None else Journal(folder, max_bytes=room * (SIZE + FRAME_BYTES))
    backlog = Backlog(policy=policy, journal=journal)
    yield backlog
    await backlog.close()


async def spooled(backlog):
    """What the journal has, now that it is on disk."""
    while len(records := await backlog.read_journal()) < backlog.spooled:
        pass
    return [Operation.decode(record) for record in records]


@pytest.mark.gen_test
async def test_a_database_that_answers_gets_everything_from_the_queue(tmp_path):
    async with opened(tmp_path) as backlog:
        entries = [Entry(end(0)), Entry(operation(Action.AMEND, 2), optional=True), waiting(1)]
        for entry in entries:
            backlog.put(entry)
        assert (backlog.queued, backlog.spooled, backlog.work.is_set()) == (3, 0, True)
        assert not any(entry.tried for entry in entries)
        backlog.hurry()
        assert backlog.take() == entries
        assert all(entry.tried for entry in entries)
        assert backlog.queued == 0


@pytest.mark.gen_test
async def test_a_batch_that_is_put_back_stands_before_what_came_since(tmp_path):
    async with opened(tmp_path) as backlog:
        backlog.put(Entry(end(1)))
        backlog.put(Entry(end(2)))
        batch = backlog.take()
        backlog.put(Entry(end(3)))
        backlog.put_back(batch)
        assert queue(backlog) == [end(1), end(2), end(3)]


@pytest.mark.gen_test
async def test_while_the_database_is_away_the_journal_has_it(tmp_path):
    async with opened(tmp_path) as backlog:
        backlog.away = True
        entry = waiting(1)
        backlog.put(entry)
        backlog.put(Entry(end(1)))
        assert await entry.answer is None
        assert (backlog.queued, backlog.spooled, backlog.accepts) == (0, 2, True)
        assert await spooled(backlog) == [start(1), end(1)]
        assert backlog._starts_in_journal == set()


@pytest.mark.gen_test
async def test_what_follows_a_start_in_the_journal_goes_there_and_the_rest_does_not(tmp_path):
    async with opened(tmp_path) as backlog:
        backlog.away = True
        backlog.put(waiting(1))
        backlog.away = False
        backlog.put(Entry(end(1)))
        backlog.put(Entry(end(2)))
        assert queue(backlog) == [end(2)]
        assert await spooled(backlog) == [start(1), end(1)]


@pytest.mark.gen_test
async def test_what_follows_a_start_that_has_left_the_journal_takes_the_queue(tmp_path):
    async with opened(tmp_path) as backlog:
        backlog.away = True
        entry = waiting(1)
        backlog.put(entry)
        await entry.answer
        backlog.away = False
        await backlog.read_journal()
        await backlog.discard_read()
        backlog.put(Entry(end(1)))
        assert queue(backlog) == [end(1)]


@pytest.mark.expects_log(FULL)
@pytest.mark.gen_test
async def test_an_end_that_does_not_fit_behind_its_start_waits_until_the_journal_has_moved_on(tmp_path):
    async with opened(tmp_path, room=2) as backlog:
        backlog.away = True
        entry = waiting(1)
        backlog.put(entry)
        await entry.answer
        backlog.put(Entry(end(2)))
        backlog.put(Entry(end(1)))
        backlog.away = False
        assert (queue(backlog), backlog.queued, backlog.trouble) == (
            [],
            1,
            "the spool is full: 216 of 216 bytes are taken",
        )
        assert await spooled(backlog) == [start(1), end(2)]
        await backlog.discard_read()
        assert (queue(backlog), backlog.trouble) == ([end(1)], "")


@pytest.mark.expects_log("ERROR storage.recording.backlog: .*the spool cannot be written: File too large")
@pytest.mark.gen_test
async def test_a_journal_that_takes_nothing_is_in_trouble_until_the_database_has_what_was_to_be_in_it(tmp_path):
    async with opened(tmp_path) as backlog:
        backlog.away = True
        with largest_file(0):
            backlog.put(Entry(end(1)))
            trying = asyncio.create_task(backlog.read_journal())
            await until(lambda: backlog.trouble)
            assert await trying == []
            await backlog.discard_read()
        assert (queue(backlog), backlog.accepts, backlog.trouble) == (
            [end(1)],
            False,
            "the spool cannot be written: File too large",
        )
        backlog.away = False
        await backlog.discard_read()
        assert (backlog.accepts, backlog.trouble) == (True, "")
        backlog.accept(*backlog.take())


@pytest.mark.expects_log(FULL)
@pytest.mark.gen_test
async def test_a_full_journal_refuses_starts_and_lets_ends_wait_in_memory(tmp_path):
    async with opened(tmp_path, room=1) as backlog:
        backlog.away = True
        entry = waiting(1)
        backlog.put(entry)
        assert refusal(entry) == "Recording is unavailable: the spool is full: 0 of 108 bytes are taken."
        backlog.put(Entry(end(2)))
        backlog.put(Entry(end(3)))
        assert (backlog.spooled, queue(backlog), backlog.accepts) == (1, [end(3)], False)
        assert await spooled(backlog) == [end(2)]
        await backlog.discard_read()
        backlog.spill()
        assert (backlog.spooled, backlog.queued) == (1, 0)


@pytest.mark.parametrize("journaled", [False, True])
@pytest.mark.gen_test
async def test_a_strict_backlog_refuses_starts_while_the_database_is_away(tmp_path, journaled):
    async with opened(tmp_path if journaled else None, RecordPolicy.STRICT) as backlog:
        tried, untried = waiting(1), waiting(2)
        backlog.put(tried)
        backlog.put_back(backlog.take())
        backlog.put(untried)
        backlog.away = True
        backlog.spill()
        assert refusal(tried) == refusal(untried) == "Recording is unavailable: the database is away."
        assert (tried.answer.result().maybe_written, untried.answer.result().maybe_written) == (True, False)
        backlog.put(Entry(end(3)))
        assert (backlog.queued, backlog.spooled, backlog.accepts) == ((0, 1) if journaled else (1, 0)) + (False,)
        await spooled(backlog)
        await backlog.discard_read()
        backlog.take()


@pytest.mark.gen_test
async def test_a_long_queue_spills_into_the_journal(tmp_path, monkeypatch):
    monkeypatch.setattr(backlog_module, "SPILL_BYTES", 3 * SIZE)
    async with opened(tmp_path) as backlog:
        entry = waiting(1)
        backlog.put(entry)
        for number in (2, 3, 4):
            backlog.put(Entry(end(number)))
        assert queue(backlog) == [end(4)]
        assert await entry.answer is None
        assert await spooled(backlog) == [end(2), end(3), start(1)]


@pytest.mark.expects_log(rf"^ERROR storage\.recording\.backlog: the end of interception {UUID(int=5)} is lost$")
@pytest.mark.gen_test
async def test_without_a_journal_starts_are_refused_first_and_ends_lost_last(monkeypatch):
    monkeypatch.setattr(backlog_module, "SPILL_BYTES", 2 * SIZE)
    monkeypatch.setattr(backlog_module, "MEMORY_BYTES", 3 * SIZE)
    async with opened() as backlog:
        backlog.put(Entry(end(1)))
        backlog.put(Entry(end(2)))
        entry = waiting(3)
        backlog.put(entry)
        assert refusal(entry) == "Recording is unavailable: too much waits to be recorded."
        backlog.put(Entry(operation(Action.AMEND, 1), optional=True))
        backlog.put(Entry(end(4)))
        backlog.put(Entry(end(5)))
        assert [entry.operation for entry in backlog.take()] == [end(1), end(2), end(4)]


@pytest.mark.gen_test
async def test_a_start_that_nobody_waits_for_any_more_is_kept(tmp_path):
    async with opened(tmp_path, RecordPolicy.STRICT) as backlog:
        entry = waiting(1)
        backlog.put(entry)
        entry.answer.cancel()
        backlog.away = True
        backlog.spill()
        assert await spooled(backlog) == [start(1)]


@pytest.mark.gen_test
async def test_rest_and_work_exclude_each_other(tmp_path):
    async with opened(tmp_path) as backlog:
        assert not backlog.idle.is_set()
        backlog.rest()
        assert (backlog.work.is_set(), backlog.idle.is_set()) == (False, True)
        backlog.put(Entry(end(1)))
        assert (backlog.work.is_set(), backlog.idle.is_set()) == (True, False)


@pytest.mark.expects_log(r"^ERROR storage\.recording\.backlog: the spool is closed$")
@pytest.mark.expects_log(rf"^ERROR storage\.recording\.backlog: the end of interception {UUID(int=3)} is lost$")
@pytest.mark.gen_test
async def test_closing_leaves_everything_to_the_journal(tmp_path):
    async with opened(tmp_path) as backlog:
        entry = waiting(1)
        backlog.put(entry)
        backlog.put(Entry(end(2)))
    assert entry.answer.result() is None
    assert (backlog.accepts, backlog.queued, backlog.spooled) == (False, 0, 2)
    assert ahead(tmp_path) == []
    backlog.put(Entry(end(3)))
    async with opened(tmp_path) as backlog:
        assert await spooled(backlog) == [end(2), start(1)]


@pytest.mark.gen_test
async def test_a_start_is_accepted_when_the_log_has_it_and_leaves_it_for_the_database(tmp_path):
    async with opened(tmp_path) as backlog:
        entry = waiting(1)
        backlog.put(entry)
        assert entry.answer.result() is None
        assert (backlog.queued, backlog.due, ahead(tmp_path)) == (1, False, [start(1)])
        backlog.hurry()
        assert (backlog.queued, backlog.due) == (1, True)
        backlog.accept(*backlog.take())
        assert (backlog.queued, backlog.due, ahead(tmp_path)) == (0, False, [])


@pytest.mark.gen_test
async def test_a_start_that_the_database_refuses_leaves_the_log_as_well(tmp_path):
    async with opened(tmp_path) as backlog:
        backlog.put(waiting(1))
        backlog.hurry()
        backlog.refuse(*backlog.take(), "the database refuses the record")
        assert ahead(tmp_path) == []


@pytest.mark.gen_test
async def test_a_start_and_its_end_make_one_operation(tmp_path):
    async with opened(tmp_path) as backlog:
        backlog.put(waiting(1))
        backlog.put(Entry(end(1)))
        [entry] = backlog.take()
        assert entry.operation == start(1).ended_by(end(1))
        assert ahead(tmp_path) == [start(1), end(1)]
        backlog.accept(entry)
        assert ahead(tmp_path) == []
        assert backlog._bytes == 0


@pytest.mark.gen_test
async def test_a_start_goes_before_what_amends_it(tmp_path):
    async with opened(tmp_path) as backlog:
        backlog.put(waiting(1))
        backlog.put(Entry(operation(Action.AMEND, 1)))
        assert [entry.operation for entry in backlog.take()] == [start(1), operation(Action.AMEND, 1)]


@pytest.mark.gen_test
async def test_a_start_that_was_tried_is_not_changed_any_more(tmp_path):
    async with opened(tmp_path) as backlog:
        backlog.put(waiting(1))
        backlog.hurry()
        batch = backlog.take()
        backlog.put(Entry(end(1)))
        backlog.put_back(batch)
        assert queue(backlog) == [start(1), end(1)]


@pytest.mark.gen_test
async def test_what_nobody_waits_for_waits_for_more(tmp_path, monkeypatch):
    monkeypatch.setattr(backlog_module, "GATHER_SECONDS", 0.05)
    loop = asyncio.get_running_loop()
    async with opened(tmp_path) as backlog:
        backlog.put(Entry(end(1)))
        began = loop.time()
        await backlog.gather()
        assert loop.time() - began >= 0.05


@pytest.mark.parametrize(
    "press",
    [
        lambda backlog: backlog.put(waiting(2)),
        lambda backlog: backlog.hurry(),
        lambda backlog: [backlog.put(Entry(end(number))) for number in range(1, backlog_module.ENOUGH_RECORDS)],
    ],
    ids=["someone waits", "it is to hurry", "enough is there"],
)
@pytest.mark.gen_test
async def test_waiting_for_more_ends_when(tmp_path, monkeypatch, press):
    monkeypatch.setattr(backlog_module, "GATHER_SECONDS", 60)
    async with opened(tmp_path, RecordPolicy.STRICT) as backlog:
        backlog.put(Entry(end(1)))
        gathering = asyncio.create_task(backlog.gather())
        await asyncio.sleep(0)
        assert not gathering.done()
        press(backlog)
        await gathering
        backlog.take()
        backlog.take()
        backlog.put(Entry(end(3)))
        gathering = asyncio.create_task(backlog.gather())
        await asyncio.sleep(0)
        assert not gathering.done()
        gathering.cancel()


@pytest.mark.gen_test
async def test_who_waits_behind_a_full_batch_waits_for_nothing_more(tmp_path, monkeypatch):
    monkeypatch.setattr(backlog_module, "GATHER_SECONDS", 60)
    monkeypatch.setattr(backlog_module, "BATCH_RECORDS", 1)
    async with opened(tmp_path, RecordPolicy.STRICT) as backlog:
        entries = [waiting(1), waiting(2)]
        for entry in entries:
            backlog.put(entry)
        for entry in entries:
            await backlog.gather()
            assert backlog.take() == [entry]


@pytest.mark.parametrize(("policy", "folder"), [(RecordPolicy.STRICT, "spool"), (RecordPolicy.SPOOL, None)])
@pytest.mark.gen_test
async def test_where_the_database_is_to_have_starts_they_wait_for_it(tmp_path, policy, folder):
    async with opened(folder and tmp_path / folder, policy) as backlog:
        entry = waiting(1)
        backlog.put(entry)
        assert (entry.waited_for, backlog.due) == (True, True)
        backlog.accept(*backlog.take())
        assert entry.answer.result() is None


@pytest.mark.expects_log(
    r"^ERROR storage\.recording\.backlog: records wait for the database in memory alone: the spool cannot be written: No such file"
)
@pytest.mark.gen_test
async def test_where_the_log_cannot_be_written_starts_wait_for_the_database(tmp_path):
    async with opened(tmp_path / "spool") as backlog:
        (tmp_path / "spool").rename(tmp_path / "elsewhere")
        first, second = waiting(1), waiting(2)
        backlog.put(first)
        backlog.put(second)
        assert [entry.waited_for for entry in (first, second)] == [True, True]
        assert backlog.take() == [first, second]
        (tmp_path / "elsewhere").rename(tmp_path / "spool")
        third = waiting(3)
        backlog.put(third)
        assert (third.waited_for, ahead(tmp_path / "spool")) == (False, [start(3)])


class Calls:
    """Calls that start and end in front of a database that comes and goes. Each step is one thing that may happen."""

    def __init__(self, backlog):
        self.backlog = backlog
        self.database = {}
        self.starts = []
        self.ended = set()

    async def start(self):
        entry = waiting(len(self.starts))
        self.starts.append(entry)
        self.backlog.put(entry)

    async def end(self):
        running = [
            number
            for number, entry in enumerate(self.starts)
            if number not in self.ended and entry.answer.done() and entry.answer.result() is None
        ]
        if running:
            self.ended.add(running[-1])
            self.backlog.put(Entry(end(running[-1])))

    async def commit(self):
        batch = self.backlog.take()
        self._write(entry.operation for entry in batch)
        self.backlog.away = False
        for entry in batch:
            self.backlog.accept(entry)

    async def unacknowledged_commit(self):
        batch = self.backlog.take()
        self._write(entry.operation for entry in batch)
        self.backlog.put_back(batch)
        await self.outage()

    async def lost_commit(self):
        self.backlog.put_back(self.backlog.take())
        await self.outage()

    async def replay(self):
        self._write([Operation.decode(record) for record in await self.backlog.read_journal()])
        self.backlog.away = False
        await self.backlog.discard_read()

    async def unacknowledged_replay(self):
        self._write([Operation.decode(record) for record in await self.backlog.read_journal()])
        await self.outage()

    async def outage(self):
        self.backlog.away = True
        self.backlog.spill()

    async def back(self):
        self.backlog.away = False

    async def time_passes(self):
        await self.backlog.read_journal()

    async def moments_pass(self):
        self.backlog.hurry()

    async def finish(self):
        while self.backlog.queued or self.backlog.spooled:
            self.backlog.hurry()
            await self.commit()
            await self.replay()

    def _write(self, operations):
        for operation in operations:
            if operation.action is Action.START:
                self.database.setdefault(operation.id.int, "in flight")
            elif operation.action is Action.WHOLE or operation.id.int in self.database:
                self.database[operation.id.int] = "ended"

    def check(self):
        for number, entry in enumerate(self.starts):
            if entry.answer.result() is None:
                assert self.database[number] == ("ended" if number in self.ended else "in flight")
            else:
                assert entry.answer.result().maybe_written or number not in self.database


# The more often a step stands here, the more often it is taken: calls come and go more often than databases.
STEPS = [
    *(Calls.start, Calls.start, Calls.time_passes, Calls.end, Calls.end, Calls.end),
    *(Calls.commit, Calls.commit, Calls.replay, Calls.outage, Calls.back, Calls.moments_pass, Calls.moments_pass),
    *(Calls.lost_commit, Calls.unacknowledged_commit, Calls.unacknowledged_replay),
]


@pytest.mark.expects_log(FULL)
@given(
    steps=st.lists(st.sampled_from(STEPS), min_size=20, max_size=60),
    policy=st.sampled_from(RecordPolicy),
    room=st.sampled_from([None, 2, 4, 8, 1000]),
    spill=st.integers(1, 5),
    batch=st.integers(1, 2),
)
@settings(max_examples=300)
def test_whatever_happens_in_whatever_order_no_acknowledged_record_is_lost(
    run_apart, *, steps, policy, room, spill, batch
):
    async def live(folder):
        async with opened(None if room is None else folder, policy, room or 0) as backlog:
            calls = Calls(backlog)
            for step in steps:
                await step(calls)
            await calls.finish()
            calls.check()
            assert room is None or ahead(folder) == []

    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(backlog_module, "SPILL_BYTES", spill * SIZE)
        patch.setattr(backlog_module, "BATCH_RECORDS", batch)
        run_apart(live(Path(name)))


@pytest.mark.expects_log(FULL)
@given(
    steps=st.lists(st.sampled_from(STEPS), max_size=40),
    room=st.sampled_from([2, 4, 1000]),
    spill=st.integers(1, 5),
)
@settings(max_examples=200)
def test_whenever_the_process_dies_the_next_one_brings_what_it_had_acknowledged(run_apart, *, steps, room, spill):
    async def live(folder):
        backlog = Backlog(policy=RecordPolicy.SPOOL, journal=Journal(folder, max_bytes=room * (SIZE + FRAME_BYTES)))
        calls = Calls(backlog)
        for step in steps:
            await step(calls)
        acknowledged = {number for number, entry in enumerate(calls.starts) if accepted(entry)}
        await die(backlog)
        async with opened(folder) as survivor:
            calls.backlog = survivor
            await calls.finish()
        assert {number: calls.database.get(number) for number in acknowledged} == {
            number: "ended" if number in calls.ended else "in flight" for number in acknowledged
        }

    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(backlog_module, "SPILL_BYTES", spill * SIZE)
        run_apart(live(Path(name)))


def accepted(entry):
    return entry.answer.done() and entry.answer.result() is None


async def die(backlog):
    """Let go of the lock, as the system does for a process that has died, and write nothing more."""
    journal = backlog._journal
    if journal._writing is not None:
        await journal._writing  # what the disk is about to have when the process dies
    await asyncio.sleep(0)  # who waited for that hears of it
    journal._thread.shutdown()
    os.close(journal._lock)
