from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.recording.journal import Journal, JournalError, JournalFullError, JournalLockedError, JournalWriteError
from storage.recording.segment import FRAME_BYTES, frame
from tests.storage.recording.disks import largest_file

RECORDS = st.lists(st.binary(max_size=30), max_size=10)


async def append(journal, *records):
    await asyncio.gather(*[journal.append(record) for record in records])


async def drain(journal, limit=500):
    """Take everything there is, as whoever replays it does."""
    taken = []
    while records := await journal.read(limit):
        taken += records
        await journal.discard()
    return taken


def segments(folder):
    return sorted(path for path in folder.iterdir() if path.name != "lock")


class Gate:
    """A sync to disk that waits until it is let through; counts how often it was asked."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.let_through = threading.Semaphore(0)

    def __call__(self, descriptor):
        self.entered.release()
        assert self.let_through.acquire(timeout=10)

    async def reached(self):
        assert await asyncio.get_running_loop().run_in_executor(None, self.entered.acquire, True, 10)


@pytest.mark.gen_test
async def test_records_are_read_back_in_order_until_they_are_discarded(tmp_path):
    journal = Journal(tmp_path)
    await append(journal, b"a", b"b", b"c")
    assert await journal.read(2) == [b"a", b"b"]
    assert await journal.read(2) == [b"a", b"b"]
    await journal.discard()
    await journal.discard()
    assert await journal.read(2) == [b"c"]
    assert journal.records == 1
    await journal.close()


@pytest.mark.gen_test
async def test_an_empty_journal_leaves_no_file_but_its_lock(tmp_path):
    journal = Journal(tmp_path)
    await append(journal, b"a", b"b")
    assert await drain(journal) == [b"a", b"b"]
    assert (journal.records, segments(tmp_path)) == (0, [])
    assert await journal.read(1) == []
    await journal.close()


@pytest.mark.gen_test
async def test_records_written_while_others_are_read_come_after_them(tmp_path):
    journal = Journal(tmp_path)
    await append(journal, b"a", b"b")
    assert await journal.read(5) == [b"a", b"b"]
    await append(journal, b"c")
    await journal.discard()
    await append(journal, b"d")
    assert await drain(journal) == [b"c", b"d"]
    await journal.close()


@pytest.mark.gen_test
async def test_records_are_there_after_a_restart(tmp_path):
    journal = Journal(tmp_path)
    await append(journal, b"a", b"b", b"c")
    await journal.close()
    journal = Journal(tmp_path)
    await append(journal, b"d")
    assert journal.records == 4
    assert await drain(journal) == [b"a", b"b", b"c", b"d"]
    await journal.close()


@pytest.mark.gen_test
async def test_a_restart_before_a_segment_is_done_reads_it_again(tmp_path):
    journal = Journal(tmp_path)
    await append(journal, b"a", b"b", b"c")
    await journal.read(2)
    await journal.discard()
    await journal.close()
    journal = Journal(tmp_path)
    assert await drain(journal) == [b"a", b"b", b"c"]
    await journal.close()


@pytest.mark.gen_test
async def test_a_full_segment_is_closed_and_deleted_when_its_records_are_discarded(tmp_path):
    journal = Journal(tmp_path, segment_bytes=2 * (FRAME_BYTES + 1))
    for record in (b"a", b"b", b"c"):
        await append(journal, record)
    assert [path.name for path in segments(tmp_path)] == ["0000000000000001.journal", "0000000000000002.journal"]
    assert await journal.read(5) == [b"a", b"b"]
    await journal.discard()
    assert [path.name for path in segments(tmp_path)] == ["0000000000000002.journal"]
    assert await drain(journal) == [b"c"]
    await journal.close()


@given(st.lists(RECORDS, max_size=4), st.integers(9, 200), st.integers(1, 7))
@settings(max_examples=40)
def test_any_records_in_any_segments_come_back_over_any_restarts(run_apart, runs, segment_bytes, limit):
    async def one_run(folder, records):
        journal = Journal(folder, segment_bytes=segment_bytes)
        for record in records:
            await append(journal, record)
        await journal.close()

    async def last_run(folder):
        journal = Journal(folder, segment_bytes=segment_bytes)
        count = journal.records
        taken = await drain(journal, limit)
        await journal.close()
        return count, taken

    with TemporaryDirectory() as name:
        for records in runs:
            run_apart(one_run(Path(name), records))
        expected = [record for records in runs for record in records]
        assert run_apart(last_run(Path(name))) == (len(expected), expected)
        assert segments(Path(name)) == []


@pytest.mark.expects_log(r"^ERROR storage\.recording\.segment: unreadable bytes of the spool: ")
@given(RECORDS.filter(bool), st.data())
@settings(max_examples=60)
def test_whatever_became_of_the_tail_all_records_before_it_come_back(run_apart, records, data):
    file = bytearray(b"".join(map(frame, records)))
    cut = data.draw(st.integers(0, len(file)))
    tail = data.draw(st.sampled_from(["cut", "flipped", "zeros"]))
    if tail == "cut":
        del file[cut:]
    elif tail == "zeros":
        file[cut:] = bytes(len(file) - cut)
    elif cut < len(file):
        file[cut] ^= data.draw(st.integers(1, 255))
    ends = [sum(FRAME_BYTES + len(record) for record in records[: n + 1]) for n in range(len(records))]
    untouched = [record for record, end in zip(records, ends, strict=True) if end <= cut]

    async def restart(folder):
        journal = Journal(folder)
        await append(journal, b"new")
        taken = await drain(journal)
        await journal.close()
        return taken

    with TemporaryDirectory() as name:
        (Path(name) / "0000000000000001.journal").write_bytes(file)
        taken = run_apart(restart(Path(name)))
        # Zeros may be what stood there before.
        whole = len(untouched) if tail != "zeros" else len(taken) - 1
        assert taken == [*records[:whole], b"new"]
        assert whole >= len(untouched)


@pytest.mark.expects_log(
    r"^ERROR storage\.recording\.segment: unreadable bytes of the spool: 3, kept in .*/0000000000000001\.damaged from byte 9 on$"
)
@pytest.mark.gen_test
async def test_a_torn_tail_is_kept_for_a_look_and_its_name_not_used_again(tmp_path):
    (tmp_path / "0000000000000001.journal").write_bytes(frame(b"a") + b"\x07\x00\x00")
    journal = Journal(tmp_path)
    assert await drain(journal) == [b"a"]
    await journal.close()
    journal = Journal(tmp_path)
    await append(journal, b"b")
    assert [path.name for path in segments(tmp_path)] == ["0000000000000001.damaged", "0000000000000002.journal"]
    assert (tmp_path / "0000000000000001.damaged").read_bytes() == frame(b"a") + b"\x07\x00\x00"
    await journal.close()


@pytest.mark.expects_log(r"^ERROR storage\.recording\.segment: unreadable bytes of the spool: 18, kept in ")
@pytest.mark.gen_test
async def test_damage_found_while_reading_loses_what_is_behind_it_in_its_segment_only(tmp_path):
    journal = Journal(tmp_path, segment_bytes=3 * (FRAME_BYTES + 1), max_bytes=1000)
    await append(journal, b"a", b"b", b"c")
    await append(journal, b"d")
    path = segments(tmp_path)[0]
    path.write_bytes(frame(b"a") + bytes(2 * (FRAME_BYTES + 1)))
    assert journal.records == 4
    assert await drain(journal) == [b"a", b"d"]
    assert journal.records == 0
    assert journal._bytes == 0
    await journal.close()


@pytest.mark.gen_test
async def test_a_record_is_acknowledged_only_when_it_is_on_disk(tmp_path):
    gate = Gate()
    journal = Journal(tmp_path, sync=gate)
    written = journal.append(b"a")
    await gate.reached()  # the folder, which has a new file
    gate.let_through.release()
    await gate.reached()
    assert not written.done()
    assert segments(tmp_path)[0].read_bytes() == frame(b"a")
    gate.let_through.release()
    await written
    await journal.close()


@pytest.mark.gen_test
async def test_records_that_arrive_during_a_sync_share_the_next_one(tmp_path):
    gate = Gate()
    journal = Journal(tmp_path, sync=gate)
    first = journal.append(b"first")
    await gate.reached()
    others = [journal.append(b"%d" % number) for number in range(100)]
    gate.let_through.release(3)  # the folder, the first record, all the others
    await asyncio.gather(first, *others)
    assert not gate.let_through.acquire(blocking=False)
    assert await drain(journal) == [b"first", *(b"%d" % number for number in range(100))]
    await journal.close()


@pytest.mark.gen_test
async def test_who_stops_waiting_disturbs_nobody(tmp_path):
    gate = Gate()
    journal = Journal(tmp_path, sync=gate)
    one, other = journal.append(b"one"), journal.append(b"other")
    one.cancel()
    gate.let_through.release(2)
    await other
    assert await drain(journal) == [b"one", b"other"]
    await journal.close()


@pytest.mark.gen_test
async def test_a_full_journal_says_so_until_something_is_discarded(tmp_path):
    journal = Journal(tmp_path, max_bytes=80)  # 70 for what is not urgent
    await append(journal, b"x" * 12, b"x" * 12, b"x" * 12)
    assert not journal.has_room(3)
    with pytest.raises(JournalFullError) as full:
        journal.append(b"abc")
    assert str(full.value) == "the spool is full: 60 of 80 bytes are taken"
    await journal.append(b"ab")
    await drain(journal)
    assert journal.has_room(62)
    assert not journal.has_room(63)
    await journal.close()


@pytest.mark.gen_test
async def test_the_last_eighth_is_for_urgent_records(tmp_path):
    journal = Journal(tmp_path, max_bytes=80)
    await append(journal, b"x" * 62)
    assert (journal.has_room(), journal.has_room(urgent=True)) == (False, True)
    await journal.append(b"xx", urgent=True)
    with pytest.raises(JournalFullError):
        journal.append(b"", urgent=True)
    assert journal.records == 2
    await journal.close()


@pytest.mark.gen_test
async def test_what_an_earlier_process_left_counts_against_the_bound(tmp_path):
    journal = Journal(tmp_path)
    await append(journal, b"x" * 62)
    await journal.close()
    journal = Journal(tmp_path, max_bytes=80)
    with pytest.raises(JournalFullError):
        journal.append(b"")
    await journal.close()


@pytest.mark.gen_test
async def test_a_disk_that_takes_no_more_fails_the_record_and_leaves_nothing_of_it(tmp_path):
    journal = Journal(tmp_path)
    await append(journal, b"before")
    with largest_file(100), pytest.raises(JournalWriteError) as failed:
        await journal.append(b"x" * 200)
    assert str(failed.value) == "the spool cannot be written: File too large"
    assert journal.records == 1
    assert segments(tmp_path)[0].read_bytes() == frame(b"before")
    await append(journal, b"after")
    assert await drain(journal) == [b"before", b"after"]
    assert segments(tmp_path) == []
    await journal.close()


@pytest.mark.gen_test
async def test_a_disk_that_takes_nothing_leaves_no_file(tmp_path):
    journal = Journal(tmp_path)
    with largest_file(0), pytest.raises(JournalWriteError):
        await journal.append(b"a")
    assert (journal.records, segments(tmp_path)) == (0, [])
    await journal.close()


@pytest.mark.gen_test
async def test_after_a_failed_sync_the_file_is_not_written_again(tmp_path):
    failures = iter([None, OSError(5, "Input/output error")])

    def sync(descriptor):
        if failure := next(failures, None):
            raise failure

    journal = Journal(tmp_path, sync=sync)
    with pytest.raises(JournalWriteError) as failed:
        await journal.append(b"a")
    assert str(failed.value) == "the spool cannot be written: Input/output error"
    await append(journal, b"b")
    assert [path.name for path in segments(tmp_path)] == ["0000000000000002.journal"]
    assert await drain(journal) == [b"b"]
    await journal.close()


@pytest.mark.gen_test
async def test_a_folder_that_cannot_be_synced_acknowledges_nothing(tmp_path):
    failures = iter([OSError(5, "Input/output error")])

    def sync(descriptor):
        if failure := next(failures, None):
            raise failure

    journal = Journal(tmp_path, sync=sync)
    with pytest.raises(JournalWriteError):
        await journal.append(b"a")
    assert segments(tmp_path) == []
    await journal.close()


@pytest.mark.gen_test
async def test_two_processes_cannot_share_a_journal(tmp_path):
    journal = Journal(tmp_path)
    program = (
        "import sys; from pathlib import Path; from storage.recording.journal import Journal, JournalLockedError\n"
        "try: Journal(Path(sys.argv[1]))\n"
        "except JournalLockedError as error: print(error)"
    )
    other = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert other.stdout == f"another process uses the spool in {tmp_path}: give each its own data-dir\n"
    with pytest.raises(JournalLockedError):
        Journal(tmp_path)
    await journal.close()
    await Journal(tmp_path).close()


@pytest.mark.gen_test
async def test_nobody_else_may_read_the_files(tmp_path):
    mask = os.umask(0)
    try:
        journal = Journal(tmp_path / "data" / "spool")
        await append(journal, b"a")
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data" / "spool").iterdir()}
    assert modes == {"lock": 0o600, "0000000000000001.journal": 0o600}
    assert stat.S_IMODE((tmp_path / "data" / "spool").stat().st_mode) == 0o700
    await journal.close()


@pytest.mark.gen_test
async def test_closing_writes_what_was_appended_and_takes_no_more(tmp_path):
    journal = Journal(tmp_path)
    written = journal.append(b"a")
    await journal.close()
    assert written.done()
    with pytest.raises(JournalError, match=r"^the spool is closed$"):
        journal.append(b"b")
    journal = Journal(tmp_path)
    assert await drain(journal) == [b"a"]
    await journal.close()


@pytest.mark.gen_test
async def test_files_that_are_none_of_its_own_are_left_alone(tmp_path):
    (tmp_path / "notes.journal").write_bytes(b"mine")
    journal = Journal(tmp_path)
    assert await journal.read(1) == []
    await journal.close()
    assert (tmp_path / "notes.journal").read_bytes() == b"mine"
