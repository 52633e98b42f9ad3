import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.recording.outbox.spool import FRAME_BYTES, Spool, SpoolError, SpoolOpenError, frame, read_frames
from tests.examples import examples
from tests.storage.recording.disks import largest_file

RECORDS = st.lists(st.binary(max_size=30), max_size=10)


def leave(spool, *records):
    """Have records in the spool alone."""
    for record in records:
        spool.leave(spool.append(record))


async def drain(spool):
    """Take everything there is, as whoever replays it does."""
    taken = []
    while found := await spool.read():
        file, records = found
        taken += records
        spool.finish(file)
    return taken


def files(folder):
    return sorted(path for path in folder.iterdir() if path.name != "lock")


def on_disk(folder):
    return [list(read_frames(path.read_bytes())) for path in files(folder)]


def name_of(descriptor):
    return Path(f"/proc/self/fd/{descriptor}").readlink().name


def open_files(folder):
    """The files that may be written to."""
    opened = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sorted(path.name for path in opened if path.parent == folder and path.name != "lock")


def failing_once(number):
    """A sync to disk that fails the time of that number, from 0 on."""
    failures = iter([*[None] * number, OSError(5, "Input/output error")])

    def fsync(descriptor):
        if failure := next(failures, None):
            raise failure

    return fsync


@given(st.lists(RECORDS, max_size=4), st.integers(9, 200))
@settings(max_examples=examples(10, 150))
def test_any_records_in_any_files_come_back_over_any_restarts(run_apart, runs, file_bytes):
    async def one_run(folder, records):
        spool = Spool(folder, file_bytes=file_bytes)
        leave(spool, *records)
        spool.close()

    async def last_run(folder):
        spool = Spool(folder, file_bytes=file_bytes)
        count = spool.records
        taken = await drain(spool)
        assert (spool.records, spool.size) == (0, 0)
        spool.close()
        return count, taken

    with TemporaryDirectory() as name:
        for records in runs:
            run_apart(one_run(Path(name), records))
        expected = [record for records in runs for record in records]
        assert run_apart(last_run(Path(name))) == (len(expected), expected)
        assert files(Path(name)) == []


@pytest.mark.expects_log(r"^ERROR storage\.recording\.outbox\.spool: unreadable bytes of the spool: ")
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
        leave(spool, b"new")
        taken = await drain(spool)
        spool.close()
        return taken

    with TemporaryDirectory() as name:
        (Path(name) / "0000000000000001.journal").write_bytes(file)
        taken = run_apart(restart(Path(name)))
        # Zeros may be what stood there before.
        whole = len(untouched) if tail != "zeros" else len(taken) - 1
        assert taken == [*records[:whole], b"new"]
        assert whole >= len(untouched)


@pytest.mark.expects_log(
    r"^ERROR storage\.recording\.outbox\.spool: unreadable bytes of the spool: 3, kept in .*/0000000000000001\.damaged from byte 9 on$"
)
async def test_a_torn_tail_is_kept_for_a_look_and_its_name_not_used_again(tmp_path):
    (tmp_path / "0000000000000001.journal").write_bytes(frame(b"a") + b"\x07\x00\x00")
    spool = Spool(tmp_path)
    assert await drain(spool) == [b"a"]
    spool.close()
    spool = Spool(tmp_path)
    leave(spool, b"b")
    assert [path.name for path in files(tmp_path)] == ["0000000000000001.damaged", "0000000000000002.journal"]
    assert (tmp_path / "0000000000000001.damaged").read_bytes() == frame(b"a") + b"\x07\x00\x00"
    spool.close()


@pytest.mark.expects_log(r"^ERROR storage\.recording\.outbox\.spool: unreadable bytes of the spool: 18, kept in ")
async def test_damage_found_while_reading_loses_what_is_behind_it_in_its_file_only(tmp_path):
    spool = Spool(tmp_path, file_bytes=3 * (FRAME_BYTES + 1), max_bytes=1000)
    leave(spool, b"a", b"b", b"c", b"d")
    files(tmp_path)[0].write_bytes(frame(b"a") + bytes(2 * (FRAME_BYTES + 1)))
    assert spool.records == 4
    assert await drain(spool) == [b"a", b"d"]
    assert (spool.records, spool.size) == (0, 0)
    spool.close()


async def test_a_disk_that_takes_no_more_fails_the_record_and_leaves_nothing_of_it(tmp_path):
    spool = Spool(tmp_path)
    leave(spool, b"before")
    with largest_file(100), pytest.raises(SpoolError, match=r"^the spool cannot be written: File too large$"):
        spool.append(b"x" * 200)
    assert (spool.records, on_disk(tmp_path)) == (1, [[b"before"]])
    assert files(tmp_path)[0].read_bytes() == frame(b"before")
    leave(spool, b"after")
    assert await drain(spool) == [b"before", b"after"]
    spool.close()
    assert files(tmp_path) == []


async def test_syncing_has_on_the_disk_what_was_written_and_the_folder_once(tmp_path):
    synced = []
    spool = Spool(tmp_path, file_bytes=FRAME_BYTES + 1, fsync=lambda descriptor: synced.append(name_of(descriptor)))
    a = spool.append(b"a")
    spool.append(b"b")
    assert synced == []
    await spool.sync()
    assert synced == ["0000000000000001.journal", "0000000000000002.journal", tmp_path.name]
    await spool.sync()
    assert len(synced) == 3
    spool.append(b"c")
    spool.release(a)
    await spool.sync()
    assert synced[3:] == ["0000000000000003.journal", tmp_path.name]
    assert open_files(tmp_path) == []
    spool.close()


@pytest.mark.parametrize("failing", [0, 1], ids=["the file", "the folder"])
async def test_after_a_failed_sync_the_file_is_not_written_again(tmp_path, failing):
    spool = Spool(tmp_path, fsync=failing_once(failing))
    a = spool.append(b"a")
    with pytest.raises(SpoolError, match=r"^the spool cannot be written: Input/output error$"):
        await spool.sync()
    spool.append(b"b")
    assert on_disk(tmp_path) == [[b"a"], [b"b"]]
    await spool.sync()
    spool.release(a)
    assert on_disk(tmp_path) == [[b"b"]]
    spool.close()


async def test_two_processes_cannot_share_a_spool(tmp_path):
    spool = Spool(tmp_path)
    program = (
        "import sys; from pathlib import Path; from storage.recording.outbox.spool import Spool, SpoolOpenError\n"
        "try: Spool(Path(sys.argv[1]))\n"
        "except SpoolOpenError as error: print(error)"
    )
    other = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert other.stdout == f"another process uses the spool in {tmp_path}: give each its own data-dir\n"
    with pytest.raises(SpoolOpenError):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()


async def test_nobody_else_may_read_the_files(tmp_path):
    mask = os.umask(0)
    try:
        spool = Spool(tmp_path / "data" / "spool")
        leave(spool, b"a")
    finally:
        os.umask(mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data" / "spool").iterdir()}
    assert modes == {"lock": 0o600, "0000000000000001.journal": 0o600}
    assert stat.S_IMODE((tmp_path / "data" / "spool").stat().st_mode) == 0o700
    spool.close()
