import gzip
import tracemalloc
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from intercept.apis import InvalidRequestError
from intercept.formats.request_encoding import InflatedTooLargeError, check_utf8, has_ascii, inflated
from tests.cases import for_each

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
    "body",
    [b"neither of them", b"\x1f\x8b", gzip.compress(b"cut", mtime=0)[:-9], gzip.compress(b"x", mtime=0) + b"junk"],
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
    [
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
    ],
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
