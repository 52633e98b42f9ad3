from __future__ import annotations

from io import BytesIO
from struct import Struct
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from storage.recording.outbox import segment as segments
from storage.recording.outbox.segment import BEGINNING, FRAME_BYTES, Boundary, Segment, frame, read_frames
from tests.cases import for_each

RECORDS = st.lists(st.binary(max_size=40), max_size=8)


def read(data):
    return list(read_frames(BytesIO(data), len(data)))


def whole(records, size):
    """The records that end within the first `size` bytes of their file."""
    kept = []
    for record in records:
        size -= FRAME_BYTES + len(record)
        if size < 0:
            break
        kept.append(record)
    return kept


def test_a_frame_is_length_checksum_and_record_in_little_endian():
    checksum = crc32(b"\x03\x00\x00\x00abc")
    assert frame(b"abc") == b"\x03\x00\x00\x00" + checksum.to_bytes(4, "little") + b"abc"


@given(RECORDS)
def test_what_was_framed_is_read_back(records):
    assert read(b"".join(map(frame, records))) == records


@given(RECORDS, st.data())
def test_every_prefix_gives_the_records_that_are_whole_in_it(records, data):
    file = b"".join(map(frame, records))
    size = data.draw(st.integers(0, len(file)))
    assert read(file[:size]) == whole(records, size)


@given(RECORDS.filter(bool), st.data())
def test_a_flipped_bit_ends_the_reading_before_its_record(records, data):
    file = bytearray(b"".join(map(frame, records)))
    bit = data.draw(st.integers(0, len(file) * 8 - 1))
    file[bit // 8] ^= 1 << bit % 8
    assert read(bytes(file)) == whole(records, bit // 8)


@given(RECORDS, st.binary(min_size=1, max_size=60))
def test_a_tail_of_anything_adds_nothing_but_what_is_a_valid_frame(records, tail):
    file = b"".join(map(frame, records))
    assert read(file + tail) == records + read(tail)


@given(RECORDS, st.integers(0, 100))
def test_a_tail_of_zeros_holds_no_records(records, zeros):
    assert read(b"".join(map(frame, records)) + bytes(zeros)) == records


@given(RECORDS, RECORDS.filter(bool), st.data())
def test_records_inside_a_damaged_record_are_not_taken_for_records(before, inside, data):
    forged = frame(b"".join(map(frame, inside)))
    damaged = bytearray(forged)
    damaged[data.draw(st.integers(4, 7))] ^= 0xFF
    assert read(b"".join(map(frame, before)) + damaged) == before


def test_a_length_beyond_the_end_is_not_read_into_memory():
    class Counting(BytesIO):
        largest = 0

        def read(self, size=-1):
            self.largest = max(self.largest, size)
            return super().read(size)

    file = Counting(Struct("<II").pack(2**32 - 1, 0) + b"x" * 100)
    assert (list(read_frames(file, 108)), file.largest) == ([], FRAME_BYTES)


def segment_of(path, *records, torn=b""):
    path.write_bytes(b"".join(map(frame, records)) + torn)
    return Segment.found(path)


def needs(segment):
    return segment.size, segment.records, segment.start, segment.end, segment.needed


def test_stock_is_taken_of_a_file_that_was_left(tmp_path):
    segment = segment_of(tmp_path / "1.journal", b"one", b"two", torn=frame(b"three")[:-1])
    assert needs(segment) == (22, 2, BEGINNING, Boundary(22, 2), True)


def test_reading_goes_on_from_any_place(tmp_path):
    segment = segment_of(tmp_path / "1.journal", b"a", b"b", b"c")
    assert segment.read(BEGINNING, 2) == ([b"a", b"b"], False)
    end = BEGINNING.after([b"a", b"b"])
    assert end == Boundary(18, 2)
    assert segment.read(end, 2) == ([b"c"], False)


def test_a_read_ends_soon_after_its_limit_of_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "READ_BYTES", 20)
    segment = segment_of(tmp_path / "1.journal", b"abcd", b"efgh", b"ijkl")
    assert segment.read(BEGINNING, 10) == ([b"abcd", b"efgh"], False)


def test_a_read_ends_before_what_is_in_memory_too(tmp_path):
    segment = segment_of(tmp_path / "1.journal", b"a", b"b")
    segment.end = Boundary(9, 1)
    assert segment.read(BEGINNING, 5) == ([b"a"], False)


def test_a_record_damaged_since_then_is_given_up_with_all_behind_it(tmp_path):
    path = tmp_path / "1.journal"
    segment = segment_of(path, b"a", b"b", b"c")
    path.write_bytes(frame(b"a") + b"\xff" * 18)
    assert segment.read(BEGINNING, 3) == ([b"a"], True)
    segment.cut(Boundary(9, 1))
    assert needs(segment) == (9, 1, BEGINNING, Boundary(9, 1), True)
    segment.mark_unread(Boundary(18, 2))  # which was in memory
    assert (segment.unread, segment.read(Boundary(9, 1), 3)) == (1, ([], False))


def test_what_memory_lets_go_of_is_to_be_read_with_all_behind_it(tmp_path):
    segment = Segment(tmp_path / "1.journal")
    segment.size, segment.records = 30, 3
    assert not segment.needed
    segment.mark_unread(Boundary(20, 2))
    assert needs(segment) == (30, 3, Boundary(20, 2), Boundary(30, 3), True)
    segment.mark_unread(Boundary(10, 1))
    segment.mark_unread(Boundary(20, 2))
    assert (segment.start, segment.unread) == (Boundary(10, 1), 2)


def test_a_file_that_was_read_whole_is_deleted(tmp_path):
    path = tmp_path / "1.journal"
    path.write_bytes(frame(b"a"))
    Segment.found(path).remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_an_unreadable_part_is_set_aside(tmp_path, expected_logs):
    path = tmp_path / "1.journal"
    path.write_bytes(frame(b"a") + b"torn")
    expected_logs.append(
        r"^ERROR storage\.recording\.outbox\.segment: unreadable bytes of the spool: 4, kept in .*/1\.damaged from byte 9 on$"
    )
    Segment.found(path).remove()
    assert [file.name for file in tmp_path.iterdir()] == ["1.damaged"]
    assert (tmp_path / "1.damaged").read_bytes() == frame(b"a") + b"torn"


@for_each("size", [0, 1, 7])
def test_a_file_shorter_than_a_frame_has_no_records(tmp_path, size):
    path = tmp_path / "1.journal"
    path.write_bytes(b"\x00" * size)
    assert needs(Segment.found(path)) == (0, 0, BEGINNING, BEGINNING, False)
