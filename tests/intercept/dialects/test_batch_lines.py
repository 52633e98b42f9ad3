import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.dialects.anthropic import read_line, usages_of
from intercept.dialects.batch_lines import MAX_LINE_BYTES, BatchResult, BatchResultLines
from intercept.records import TokenUsage
from tests.cases import for_each


def result(name):
    return BatchResult(name, name, "m", (TokenUsage(provider_response_id=name),))


def read_name(line):
    """Read a line that is a name in JSON."""
    try:
        return result(json.loads(line))
    except ValueError:
        return None


def read(*chunks):
    lines = BatchResultLines(read_name)
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
    lines = BatchResultLines(read_name)
    for _ in range(3):
        assert lines.feed(b"x" * (MAX_LINE_BYTES // 2 + 1)) == []
        assert len(lines._line) <= MAX_LINE_BYTES
    assert (lines.feed(b'\n"next"\n'), lines.skipped) == ([result("next")], 1)


IN_A_BATCH = {"service_tier": "batch"}


def line(kind="succeeded", **message):
    result = {"id": "msg_1", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 4}} | message
    return json.dumps({"custom_id": "\u00fc", "result": {"type": kind, "message": result}}).encode()


def test_a_line_is_read_if_its_request_got_a_message():
    usage = {"input_tokens": 3, "output_tokens": 4}
    used = TokenUsage(provider_response_id="msg_1", input_tokens=3, output_tokens=4, usage=usage | IN_A_BATCH)
    assert read_line(line()) == BatchResult("\u00fc", "msg_1", "m", (used,))
    assert [read_line(one) for one in (line("errored"), b"", b"no JSON", b"[]")] == [None] * 4


def test_what_a_compaction_used_is_a_usage_of_its_own():
    compaction = {"type": "compaction", "input_tokens": 180, "output_tokens": 35}
    usage = {"input_tokens": 3, "output_tokens": 4, "iterations": [compaction, {"type": "message", "input_tokens": 3}]}
    assert read_line(line(usage=usage)).usages == (
        TokenUsage(provider_response_id="msg_1", input_tokens=180, output_tokens=35, usage=compaction | IN_A_BATCH),
        TokenUsage(provider_response_id="msg_1", input_tokens=3, output_tokens=4, usage=usage | IN_A_BATCH),
    )


def test_a_compaction_is_made_at_the_speed_of_the_message_and_advice_is_not():
    iterations = [
        {"type": "compaction", "input_tokens": 9},
        {"type": "advisor_message", "model": "n", "input_tokens": 8},
    ]
    usage = {"service_tier": "standard", "speed": "fast", "input_tokens": 3, "iterations": iterations}
    assert [(used.model, used.usage) for used in usages_of(usage)] == [
        ("", iterations[0] | {"speed": "fast"}),
        ("n", iterations[1]),
        ("", usage),
    ]


@for_each("message", {"usage": {}}, {"usage": None}, {"model": ""}, {"model": "m" * 257})
def test_without_a_model_or_tokens_there_is_nothing_to_record(message):
    assert read_line(line(**message)) is None
