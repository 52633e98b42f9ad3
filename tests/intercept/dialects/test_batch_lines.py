import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.dialects.batch_lines import MAX_LINE_BYTES, BatchResult, BatchResultLines
from intercept.records import TokenUsage


def result(name):
    return BatchResult(name, name, "m", (TokenUsage(provider_response_id=name),))


def read_line(line):
    """Read a line that is a name in JSON."""
    try:
        return result(json.loads(line))
    except ValueError:
        return None


def read(*chunks):
    lines = BatchResultLines(read_line)
    return [one for chunk in chunks for one in lines.feed(chunk)] + lines.end(), lines.skipped


@given(st.integers(1, 30), st.booleans())
def test_the_results_are_the_same_however_they_are_cut(size, ends):
    body = b"\n".join([b'"a"', b"", b"no JSON", '"\u00fc"'.encode(), b'"b"']) + b"\n" * ends
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    assert read(*chunks) == ([result("a"), result("\u00fc"), result("b")], 0)


@pytest.mark.parametrize("ends", [True, False])
def test_a_line_may_be_as_long_as_it_may_be_and_no_byte_longer(ends):
    for too_long in (0, 1):
        name = "x" * (MAX_LINE_BYTES - 2 + too_long)
        body = b'"first"\n' + json.dumps(name).encode() + b'\n"last"' * ends
        found = [result("first"), *([] if too_long else [result(name)]), *([result("last")] if ends else [])]
        assert read(*(body[at : at + 2**18] for at in range(0, len(body), 2**18))) == (found, too_long)


def test_of_a_line_that_is_too_long_neither_the_beginning_nor_the_end_is_read():
    assert read(b'"begin"', b" " * MAX_LINE_BYTES, b'"end"\n"next"\n') == ([result("next")], 1)


def test_of_a_line_without_end_no_more_is_held_than_is_read():
    lines = BatchResultLines(read_line)
    for _ in range(3):
        assert lines.feed(b"x" * (MAX_LINE_BYTES // 2 + 1)) == []
        assert len(lines._line) <= MAX_LINE_BYTES
    assert (lines.feed(b'\n"next"\n'), lines.skipped) == ([result("next")], 1)
