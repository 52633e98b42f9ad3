import gzip
import tracemalloc
import zlib
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from intercept.apis import InvalidRequestError
from intercept.formats.content_encoding import (
    MAX_INFLATED_BYTES,
    MAX_STEP_BYTES,
    InflatedTooLargeError,
    check_utf8,
    decoded,
    has_ascii,
    inflated,
)
from intercept.records import Reading
from tests.cases import for_each


class Collector:
    """A reader that keeps everything, and is complete at a full stop."""

    def __init__(self):
        self.pieces = []

    def feed(self, chunk):
        self.pieces.append(bytes(chunk))

    def result(self):
        return Reading(complete=self.body.endswith(b"."))

    @property
    def body(self):
        return b"".join(self.pieces)


ENCODERS = {"gzip": gzip.compress, "x-gzip": gzip.compress, " GZip ": gzip.compress, "deflate": zlib.compress}


def pieces(body, cuts):
    cuts = sorted(cut % (len(body) + 1) for cut in cuts)
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@pytest.mark.parametrize("encoding", ENCODERS)
@given(body=st.binary(max_size=300).map(lambda body: body + b"."), cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_a_compressed_body_is_read_wherever_it_is_cut(encoding, body, cuts):
    collector = Collector()
    reader = decoded(collector, encoding)
    for piece in pieces(ENCODERS[encoding](body), cuts):
        reader.feed(piece)
    assert collector.body == body
    assert reader.result() == Reading(complete=True)


@for_each("encoding", *ENCODERS)
def test_a_flushed_event_is_read_before_the_body_ends(encoding):
    collector = Collector()
    reader = decoded(collector, encoding)
    wbits = {zlib.compress: zlib.MAX_WBITS}.get(ENCODERS[encoding], 16 + zlib.MAX_WBITS)
    compressor = zlib.compressobj(wbits=wbits)
    reader.feed(compressor.compress(b"data: 1\n\n") + compressor.flush(zlib.Z_SYNC_FLUSH))
    assert collector.body == b"data: 1\n\n"
    assert reader.result() == Reading()


def test_all_that_the_bytes_so_far_say_is_read_also_where_a_step_ends():
    body = gzip.compress(bytes(MAX_STEP_BYTES + 100))
    for cut in range(len(body)):
        collector = Collector()
        reader = decoded(collector, "gzip")
        reader.feed(body[:cut])
        reader.result()
        assert collector.body == zlib.decompressobj(wbits=16 + zlib.MAX_WBITS).decompress(body[:cut])


@for_each(("first", "reading"), (b"one.", Reading(complete=True)), (b"one ", Reading(open_ended=True)))
def test_behind_the_end_of_a_body_nothing_is_read(first, reading):
    collector = Collector()
    reader = decoded(collector, "gzip")
    for piece in (gzip.compress(first), gzip.compress(b"two.")):
        reader.feed(piece)
    assert (collector.body, reader.result()) == (first, reading)


@for_each("encoding", "gzip", "deflate")
@for_each("body", b"neither of them", b"\xff\xff\xff\xff")
def test_a_body_that_is_not_compressed_as_it_says_is_opaque(encoding, body):
    collector = Collector()
    reader = decoded(collector, encoding)
    reader.feed(body)
    reader.feed(gzip.compress(b"too late."))
    assert collector.body == b""
    assert reader.result() == Reading(open_ended=True)


def test_a_cut_compressed_body_is_incomplete_and_not_opaque():
    collector = Collector()
    reader = decoded(collector, "gzip")
    reader.feed(gzip.compress(bytes(range(256)) + b".")[:100])
    assert collector.body != b""
    assert reader.result() == Reading()


def test_a_bomb_is_inflated_no_further_than_the_most():
    collector = Collector()
    reader = decoded(collector, "gzip")
    reader.feed(gzip.compress(bytes(range(256)) * (2 * MAX_INFLATED_BYTES // 256)) + bytes(MAX_INFLATED_BYTES // 50))
    assert len(collector.body) == MAX_INFLATED_BYTES
    reader.feed(gzip.compress(b"more."))
    assert len(collector.body) == MAX_INFLATED_BYTES
    assert reader.result() == Reading(open_ended=True)


def test_a_body_that_repeats_itself_like_a_stream_is_read():
    body = b"".join(b'data: {"id":"chatcmpl-1","choices":[{"delta":{"content":"%d"}}]}\n\n' % n for n in range(9999))
    collector = Collector()
    reader = decoded(collector, "gzip")
    reader.feed(gzip.compress(body))
    reader.result()
    assert collector.body == body


def test_inflating_a_bomb_takes_little_memory():
    class Sink(Collector):
        def feed(self, chunk):
            self.pieces = [chunk[-1:]]

    bomb = gzip.compress(bytes(16 * 2**20))
    reader = decoded(Sink(), "gzip")
    tracemalloc.start()
    reader.feed(bomb)
    reader.result()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1024 * 1024


MIB = 2**20
COMPRESSORS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}
EACH = pytest.mark.parametrize("encoding", COMPRESSORS)


@EACH
@given(bodies=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=3))
def test_a_body_is_inflated_in_all_its_members(encoding, bodies):
    sent = b"".join(map(COMPRESSORS[encoding], bodies))
    assert inflated(sent, encoding, MIB) == b"".join(bodies)


@EACH
def test_a_bomb_is_refused_before_it_takes_memory(encoding):
    bomb = COMPRESSORS[encoding](bytes(16 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(InflatedTooLargeError):
            inflated(bomb, encoding, 64 * MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(bomb) * 1.2 + 2 * MIB


@EACH
def test_a_body_beyond_the_most_is_refused(encoding):
    sent = COMPRESSORS[encoding](bytes(range(256)) * 8)
    assert len(inflated(sent, encoding, 2048)) == 2048
    with pytest.raises(InflatedTooLargeError) as raised:
        inflated(sent, encoding, 2047)
    assert "larger than the allowed 2047 bytes" in str(raised.value)


@for_each(
    "body", b"neither of them", b"\x1f\x8b", gzip.compress(b"cut", mtime=0)[:-9], gzip.compress(b"x", mtime=0) + b"junk"
)
def test_what_is_not_gzip_is_refused(body):
    with pytest.raises(InvalidRequestError, match="request body is not valid gzip"):
        inflated(body, "gzip", MIB)


def test_what_is_not_zstd_is_refused():
    with pytest.raises(InvalidRequestError, match="request body is not valid zstd"):
        inflated(b"neither of them", "zstd", MIB)


@EACH
@given(body=st.binary(max_size=200), cut=st.integers(0, 200))
def test_any_bytes_are_inflated_or_refused(encoding, body, cut):
    for each in (body, COMPRESSORS[encoding](body)[:cut]):
        with suppress(InvalidRequestError):
            assert len(inflated(each, encoding, MIB)) <= MIB


@for_each(
    ("content_type", "expected"),
    ("", True),
    ("application/json", True),
    ('application/json;charset="UTF-8"', True),
    ("text/plain ; Charset = us-ascii ; x=y", True),
    ("application/json; charset=utf-8,application/json; charset=ISO-8859-1", True),
    ("application/json; charset=utf-7", False),
    ("application/json; charset=utf-16", False),
    ("application/json; charset=utf-8, application/json; charset=utf-7", False),
    ("application/json; charset=utf-8; charset=utf-7", False),
    ("application/json; charset*=us-ascii''utf-7", False),
    ('application/json; charset="utf-8', False),
    ("application/json; charset=", False),
)
def test_what_looks_like_ascii_is_that_unless_a_charset_says_otherwise(content_type, expected):
    assert has_ascii(content_type) is expected


@given(text=st.text(), junk=st.binary(max_size=3), at=st.sampled_from([0, 2**20 - 2, 2**20 + 1]))
def test_a_body_is_utf_8_or_refused_with_the_place(text, junk, at):
    body = b"a" * at + text.encode() + junk + b"a"
    try:
        body.decode()
        place = None
    except UnicodeDecodeError as error:
        place = error.start
    if place is None:
        check_utf8(body)
        return
    with pytest.raises(InvalidRequestError) as raised:
        check_utf8(body)
    assert str(raised.value) == f"request body is not valid UTF-8 (byte {place})"
