"""Frames, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.authority.frames import MAX_FRAME_BYTES, FrameError, FrameReader, frame

PAYLOADS = st.lists(st.binary(max_size=40), max_size=8)


@given(PAYLOADS, st.lists(st.integers(0, 400), max_size=20))
def test_frames_are_read_whole_wherever_they_are_cut(payloads, cuts):
    data = b"".join(map(frame, payloads))
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reader = FrameReader()
    read = [one for begin, end in pairwise(edges) for one in reader.feed(data[begin:end])]
    assert read == payloads


def test_a_frame_that_comes_byte_by_byte_is_read_with_its_last():
    reader = FrameReader()
    data = frame(b"whole")
    assert [reader.feed(bytes([byte])) for byte in data] == [[]] * (len(data) - 1) + [[b"whole"]]


@given(PAYLOADS, st.integers(11, 2**32 - 1))
def test_a_frame_that_is_too_large_is_refused_by_its_head(payloads, size):
    reader = FrameReader(max_bytes=10)
    small = [one[:10] for one in payloads]
    assert reader.feed(b"".join(map(frame, small))) == small
    with pytest.raises(FrameError, match=f"a frame of {size} bytes; at most 10 are allowed"):
        reader.feed(size.to_bytes(4, "big"))


def test_a_payload_of_the_largest_size_is_sent_and_no_larger_one():
    assert len(frame(bytes(MAX_FRAME_BYTES))) == MAX_FRAME_BYTES + 4
    with pytest.raises(FrameError):
        frame(bytes(MAX_FRAME_BYTES + 1))
