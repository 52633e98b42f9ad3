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

from storage.recording.outbox.segment import FRAME_BYTES, Segment, frame
from storage.recording.outbox.segments import SpoolLockedError
from storage.recording.outbox.spool import Spool, SpoolWriteError
from tests.examples import examples
from tests.storage.recording.disks import largest_file

RECORDS = st.lists(st.binary(max_size=30), max_size=10)


async def append(spool, *records):
    await asyncio.gather(*[spool.append_synced(record) for record in records])


async def drain(spool, limit=500):
    """Take everything there is, as whoever replays it does."""
    taken = []
    while records := await spool.read(limit):
        taken += records
        spool.acknowledge_read()
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


@given(st.lists(RECORDS, max_size=4), st.integers(9, 200), st.integers(1, 7))
@settings(max_examples=examples(10, 150))
def test_any_records_in_any_segments_come_back_over_any_restarts(run_apart, runs, segment_bytes, limit):
    async def one_run(folder, records):
        spool = Spool(folder, segment_bytes=segment_bytes)
        for record in records:
            await append(spool, record)
        await spool.close()

    async def last_run(folder):
        spool = Spool(folder, segment_bytes=segment_bytes)
        count = spool.records
        taken = await drain(spool, limit)
        await spool.close()
        return count, taken

    with TemporaryDirectory() as name:
        for records in runs:
            run_apart(one_run(Path(name), records))
        expected = [record for records in runs for record in records]
        assert run_apart(last_run(Path(name))) == (len(expected), expected)
        assert segments(Path(name)) == []


@pytest.mark.expects_log(r"^ERROR storage\.recording\.outbox\.segment: unreadable bytes of the spool: ")
@given(RECORDS.filter(bool), st.data())
@settings(max_examples=examples(15, 250))
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
        spool = Spool(folder)
        await append(spool, b"new")
        taken = await drain(spool)
        await spool.close()
        return taken

    with TemporaryDirectory() as name:
        (Path(name) / "0000000000000001.journal").write_bytes(file)
        taken = run_apart(restart(Path(name)))
        # Zeros may be what stood there before.
        whole = len(untouched) if tail != "zeros" else len(taken) - 1
        assert taken == [*records[:whole], b"new"]
        assert whole >= len(untouched)


@pytest.mark.expects_log(
    r"^ERROR storage\.recording\.outbox\.segment: unreadable bytes of the spool: 3, kept in .*/0000000000000001\.damaged from byte 9 on$"
)
@pytest.mark.gen_test
async def test_a_torn_tail_is_kept_for_a_look_and_its_name_not_used_again(tmp_path):
    (tmp_path / "0000000000000001.journal").write_bytes(frame(b"a") + b"\x07\x00\x00")
    spool = Spool(tmp_path)
    assert await drain(spool) == [b"a"]
    await spool.close()
    spool = Spool(tmp_path)
    await append(spool, b"b")
    assert [path.name for path in segments(tmp_path)] == ["0000000000000001.damaged", "0000000000000002.journal"]
    assert (tmp_path / "0000000000000001.damaged").read_bytes() == frame(b"a") + b"\x07\x00\x00"
    await spool.close()


@pytest.mark.expects_log(r"^ERROR storage\.recording\.outbox\.segment: unreadable bytes of the spool: 18, kept in ")
@pytest.mark.gen_test
async def test_damage_found_while_reading_loses_what_is_behind_it_in_its_segment_only(tmp_path):
    spool = Spool(tmp_path, segment_bytes=3 * (FRAME_BYTES + 1), max_bytes=1000)
    await append(spool, b"a", b"b", b"c")
    await append(spool, b"d")
    path = segments(tmp_path)[0]
    path.write_bytes(frame(b"a") + bytes(2 * (FRAME_BYTES + 1)))
    assert spool.records == 4
    assert await drain(spool) == [b"a", b"d"]
    assert spool.records == 0
    assert spool.size == 0
    await spool.close()


@pytest.mark.gen_test
async def test_a_record_is_acknowledged_only_when_it_is_on_disk(tmp_path):
    gate = Gate()
    spool = Spool(tmp_path, sync=gate)
    written = spool.append_synced(b"a")
    await gate.reached()  # the folder, which has a new file
    gate.let_through.release()
    await gate.reached()
    assert not written.done()
    assert segments(tmp_path)[0].read_bytes() == frame(b"a")
    gate.let_through.release()
    await written
    await spool.close()


@pytest.mark.gen_test
async def test_records_that_arrive_during_a_sync_share_the_next_one(tmp_path):
    gate = Gate()
    spool = Spool(tmp_path, sync=gate)
    first = spool.append_synced(b"first")
    await gate.reached()
    others = [spool.append_synced(b"%d" % number) for number in range(100)]
    gate.let_through.release(3)  # the folder, the first record, all the others
    await asyncio.gather(first, *others)
    assert not gate.let_through.acquire(blocking=False)
    assert await drain(spool) == [b"first", *(b"%d" % number for number in range(100))]
    await spool.close()


@pytest.mark.gen_test
async def test_a_disk_that_takes_no_more_fails_the_record_and_leaves_nothing_of_it(tmp_path):
    spool = Spool(tmp_path)
    await append(spool, b"before")
    with largest_file(100), pytest.raises(SpoolWriteError) as failed:
        await spool.append_synced(b"x" * 200)
    assert str(failed.value) == "the spool cannot be written: File too large"
    assert spool.records == 1
    assert segments(tmp_path)[0].read_bytes() == frame(b"before")
    await append(spool, b"after")
    assert await drain(spool) == [b"before", b"after"]
    await spool.close()
    assert segments(tmp_path) == []


@pytest.mark.gen_test
async def test_after_a_failed_sync_the_file_is_not_written_again(tmp_path):
    failures = iter([None, OSError(5, "Input/output error")])

    def sync(descriptor):
        if failure := next(failures, None):
            raise failure

    spool = Spool(tmp_path, sync=sync)
    with pytest.raises(SpoolWriteError) as failed:
        await spool.append_synced(b"a")
    assert str(failed.value) == "the spool cannot be written: Input/output error"
    await append(spool, b"b")
    assert [path.name for path in segments(tmp_path)] == ["0000000000000002.journal"]
    assert await drain(spool) == [b"b"]
    await spool.close()


@pytest.mark.gen_test
async def test_a_folder_that_cannot_be_synced_acknowledges_nothing(tmp_path):
    failures = iter([OSError(5, "Input/output error")])

    def sync(descriptor):
        if failure := next(failures, None):
            raise failure

    spool = Spool(tmp_path, sync=sync)
    with pytest.raises(SpoolWriteError):
        await spool.append_synced(b"a")
    assert segments(tmp_path) == []
    await spool.close()


@pytest.mark.gen_test
async def test_two_processes_cannot_share_a_spool(tmp_path):
    spool = Spool(tmp_path)
    program = (
        "import sys; from pathlib import Path; from storage.recording.outbox.spool import Spool; "
        "from storage.recording.outbox.segments import SpoolLockedError\n"
        "try: Spool(Path(sys.argv[1]))\n"
        "except SpoolLockedError as error: print(error)"
    )
    other = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert other.stdout == f"another process uses the spool in {tmp_path}: give each its own data-dir\n"
    with pytest.raises(SpoolLockedError):
        Spool(tmp_path)
    await spool.close()
    await Spool(tmp_path).close()


@pytest.mark.gen_test
async def test_nobody_else_may_read_the_files(tmp_path):
    mask = os.umask(0)
    try:
        spool = Spool(tmp_path / "data" / "spool")
        await append(spool, b"a")
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data" / "spool").iterdir()}
    assert modes == {"lock": 0o600, "0000000000000001.journal": 0o600}
    assert stat.S_IMODE((tmp_path / "data" / "spool").stat().st_mode) == 0o700
    await spool.close()


@pytest.mark.gen_test
async def test_files_that_are_none_of_its_own_are_left_alone(tmp_path):
    (tmp_path / "notes.journal").write_bytes(b"mine")
    spool = Spool(tmp_path)
    assert await spool.read(1) == []
    await spool.close()
    assert (tmp_path / "notes.journal").read_bytes() == b"mine"


# What is written and not synced, which is in memory too.


def kept(folder):
    """The records on disk, by file."""
    found = [Segment.found(path) for path in segments(folder)]
    return [segment.read(segment.start, 100)[0] for segment in found]


@pytest.mark.gen_test
async def test_syncing_has_on_the_disk_what_was_only_written(tmp_path):
    synced = []
    spool = Spool(tmp_path, segment_bytes=FRAME_BYTES + 1, sync=lambda descriptor: synced.append(name_of(descriptor)))
    spool.append(b"a")
    spool.append(b"b")
    assert synced == []
    spool.sync()
    await spool.synced()
    assert synced == [tmp_path.name, "0000000000000001.journal", "0000000000000002.journal"]
    spool.sync()
    await spool.synced()
    assert len(synced) == 3
    await spool.close()


def name_of(descriptor):
    return Path(f"/proc/self/fd/{descriptor}").readlink().name


@pytest.mark.expects_log(
    "^ERROR storage.recording.outbox.spool: records may not outlive a loss of power: the spool cannot be written: Input/output error$"
)
@pytest.mark.gen_test
async def test_a_sync_that_fails_is_logged_and_what_was_written_stays(tmp_path):
    failures = iter([OSError(5, "Input/output error")])

    def sync(descriptor):
        if failure := next(failures, None):
            raise failure

    spool = Spool(tmp_path, sync=sync)
    position = spool.append(b"a")
    spool.sync()
    await spool.synced()
    assert kept(tmp_path) == [[b"a"]]
    spool.append(b"b")
    assert kept(tmp_path) == [[b"a"], [b"b"]]
    spool.acknowledge(position)
    assert kept(tmp_path) == [[b"b"]]
    await spool.close()
