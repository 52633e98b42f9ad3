import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.dialects.anthropic.message_batches import read_line
from intercept.dialects.batch_lines import MAX_LINE_BYTES, BatchResult, BatchResultLines
from intercept.records import TokenUsage


def line(custom_id="a", kind="succeeded", **message):
    result = {"id": "msg_1", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 4}} | message
    return json.dumps({"custom_id": custom_id, "result": {"type": kind, "message": result}}).encode()


def result(custom_id="a"):
    usage = {"input_tokens": 3, "output_tokens": 4}
    return BatchResult(
        custom_id, "m", TokenUsage(provider_response_id="msg_1", input_tokens=3, output_tokens=4, usage=usage)
    )


def read(*chunks):
    lines = BatchResultLines(read_line)
    return [one for chunk in chunks for one in lines.feed(chunk)] + lines.end(), lines.skipped


@given(st.integers(1, 200), st.booleans())
def test_the_results_are_the_same_however_they_are_cut(size, ends):
    body = b"\n".join([line("a"), b"", line("\u00fc", "errored"), b"no JSON", line("b")]) + b"\n" * ends
    assert read(*[body[at : at + size] for at in range(0, len(body), size)]) == ([result("a"), result("b")], 0)


@pytest.mark.parametrize("message", [{"usage": {}}, {"usage": None}, {"model": ""}, {"model": "m" * 257}])
def test_without_a_model_or_tokens_there_is_nothing_to_record(message):
    assert read(line(**message)) == ([], 0)


def test_a_line_that_is_too_long_is_skipped_and_not_held():
    lines = BatchResultLines(read_line)
    for _ in range(MAX_LINE_BYTES // 2**16 + 2):
        assert lines.feed(b"x" * 2**16) == []
    assert lines.feed(b"\n" + line() + b"\n") == [result()]
    assert lines.skipped == 1
