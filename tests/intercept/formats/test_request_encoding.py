import gzip
import tracemalloc
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from intercept.apis import InvalidRequestError
from intercept.formats.request_encoding import InflatedTooLargeError, has_ascii, inflated
from intercept.formats.steps import finish
from tests.cases import for_each
from tests.processor import is_within, seconds_of

MIB = 2**20
COMPRESSORS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}
EACH = pytest.mark.parametrize("encoding", COMPRESSORS)


@EACH
@given(bodies=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=3))
def test_a_body_is_inflated_in_all_its_members(encoding, bodies):
    sent = b"".join(map(COMPRESSORS[encoding], bodies))
    assert finish(inflated(sent, encoding, MIB)) == b"".join(bodies)


@pytest.mark.timed
@EACH
def test_a_large_body_is_inflated_in_short_steps(encoding):
    body = bytes(range(256)) * (3 * MIB // 256) + b"{}"
    sent = COMPRESSORS[encoding](body) * 2

    def longest():
        steps, seconds = inflated(bytearray(sent), encoding, 64 * MIB), []
        with suppress(StopIteration, InflatedTooLargeError):
            while True:
                seconds.append(seconds_of(lambda: next(steps)))
        return max(seconds)

    assert is_within(0.02, longest)


@EACH
def test_a_bomb_is_refused_before_it_takes_memory(encoding):
    bomb = COMPRESSORS[encoding](bytes(16 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(InflatedTooLargeError):
            finish(inflated(bomb, encoding, 64 * MIB))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(bomb) * 1.2 + 2 * MIB


@EACH
def test_a_body_beyond_the_most_is_refused(encoding):
    sent = COMPRESSORS[encoding](bytes(range(256)) * 8)
    assert len(finish(inflated(sent, encoding, 2048))) == 2048
    with pytest.raises(InflatedTooLargeError) as raised:
        finish(inflated(sent, encoding, 2047))
    assert "larger than the allowed 2047 bytes" in str(raised.value)


@for_each(
    "body",
    [b"neither of them", b"\x1f\x8b", gzip.compress(b"cut", mtime=0)[:-9], gzip.compress(b"x", mtime=0) + b"junk"],
)
def test_what_is_not_gzip_is_refused(body):
    with pytest.raises(InvalidRequestError, match="request body is not valid gzip"):
        finish(inflated(body, "gzip", MIB))


def test_what_is_not_zstd_is_refused():
    with pytest.raises(InvalidRequestError, match="request body is not valid zstd"):
        finish(inflated(b"neither of them", "zstd", MIB))


@EACH
@given(body=st.binary(max_size=200), cut=st.integers(0, 200))
def test_any_bytes_are_inflated_or_refused(encoding, body, cut):
    for each in (body, COMPRESSORS[encoding](body)[:cut]):
        with suppress(InvalidRequestError):
            assert len(finish(inflated(each, encoding, MIB))) <= MIB


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
