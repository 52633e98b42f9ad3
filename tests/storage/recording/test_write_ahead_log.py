from __future__ import annotations

import pytest

from storage.recording.journal import Journal
from storage.recording.segment import FRAME_BYTES, Segment
from storage.recording.write_ahead_log import NAMES, WriteAheadLog
from tests.storage.recording.disks import largest_file


def kept(folder):
    """The records on disk, by file."""
    segments = [Segment.found(path) for path in sorted(folder.glob(NAMES))]
    return [segment.read(100) for segment in segments]


def test_what_is_added_is_on_disk_at_once_and_gone_when_nothing_is_needed(tmp_path):
    log = WriteAheadLog(tmp_path)
    first, second = log.add(b"one"), log.add(b"two")
    assert kept(tmp_path) == [[b"one", b"two"]]
    log.remove(first)
    assert kept(tmp_path) == [[b"one", b"two"]]
    log.remove(second)
    assert kept(tmp_path) == [[]]
    log.add(b"three")
    assert kept(tmp_path) == [[b"three"]]


def test_no_file_is_made_before_there_is_something_to_write(tmp_path):
    WriteAheadLog(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_long_file_is_closed_and_deleted_when_nothing_in_it_is_needed(tmp_path):
    log = WriteAheadLog(tmp_path, segment_bytes=2 * (FRAME_BYTES + 3))
    files = [log.add(record) for record in (b"one", b"two", b"333")]
    assert kept(tmp_path) == [[b"one", b"two"], [b"333"]]
    log.remove(files[2])
    assert kept(tmp_path) == [[b"one", b"two"], []]
    log.remove(files[0])
    log.remove(files[1])
    assert kept(tmp_path) == [[]]


def test_closing_keeps_what_is_needed_and_nothing_else(tmp_path):
    log = WriteAheadLog(tmp_path)
    file = log.add(b"one")
    log.close()
    assert kept(tmp_path) == [[b"one"]]
    assert file.records == 1
    other = WriteAheadLog(tmp_path)
    other.remove(other.add(b"two"))
    other.close()
    assert kept(tmp_path) == [[b"one"]]


@pytest.mark.gen_test
async def test_the_next_journal_reads_what_was_left_behind_its_own_records(tmp_path):
    log = WriteAheadLog(tmp_path)
    log.add(b"ahead")
    log.close()
    (tmp_path / "0000000000000003.journal").write_bytes((tmp_path / "ahead-0000000000000001.journal").read_bytes())
    log = WriteAheadLog(tmp_path)
    log.add(b"later")
    log.close()
    journal = Journal(tmp_path)
    await journal.append(b"new")
    read = []
    while records := await journal.read(100):
        read += records
        await journal.discard()
    assert read == [b"ahead", b"ahead", b"later", b"new"]
    assert kept(tmp_path) == []
    await journal.close()


def test_a_record_that_does_not_fit_on_the_disk_leaves_nothing_of_it(tmp_path):
    log = WriteAheadLog(tmp_path)
    first = log.add(b"one")
    with largest_file(first.size + 5), pytest.raises(OSError, match="No space left on device"):
        log.add(b"two")
    assert kept(tmp_path) == [[b"one"]]
    assert first.path.stat().st_size == first.size
    log.add(b"three")
    assert kept(tmp_path) == [[b"one"], [b"three"]]
    log.remove(first)
    assert kept(tmp_path) == [[b"three"]]


def test_a_disk_that_takes_nothing_leaves_no_file(tmp_path):
    log = WriteAheadLog(tmp_path)
    with largest_file(0), pytest.raises(OSError, match="File too large"):
        log.add(b"one")
    assert list(tmp_path.iterdir()) == []
