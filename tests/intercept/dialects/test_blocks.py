"""The blocks of a request are the same, whether they are read with the rest of it or from its body alone."""

import json

from hypothesis import given
from hypothesis import strategies as st

from intercept.dialects import anthropic as messages
from intercept.dialects.bedrock import converse
from intercept.dialects.gemini import generate_content
from intercept.dialects.openai import chat_completions, responses
from intercept.formats.json_text import MAX_READ_VALUES
from tests.cases import for_each
from tests.intercept.packed import read_blocks

MESSAGES_OF = {
    messages.parse_request: "messages",
    chat_completions.parse_request: "messages",
    responses.parse_request: "input",
    generate_content.parse_request: "contents",
    converse.parse_request: "messages",
}
FIRST = ("tools", "functions", "toolConfig", "system", "instructions", "systemInstruction", "system_instruction")

text = st.text(max_size=9)
one = st.none() | text | st.dictionaries(st.sampled_from(["type", "name", "text"]), text, max_size=2)
MARKED = {"text": "a", "cache_control": {"type": "ephemeral"}}


@given(
    st.sampled_from(list(MESSAGES_OF)),
    st.dictionaries(st.sampled_from(FIRST), one | st.lists(one | st.just(MARKED), max_size=3), max_size=4),
    st.lists(one | st.just({"role": "user", "content": [MARKED]}), min_size=1, max_size=4),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_every_dialect_reads_the_blocks_that_its_body_has(parse, first, messages_, separators):
    body = json.dumps({"model": "m", **first, MESSAGES_OF[parse]: messages_}, separators=separators).encode()
    assert parse(body).blocks == read_blocks(body) is not None


@for_each("parse", *MESSAGES_OF)
def test_without_messages_there_are_no_blocks(parse):
    assert parse(b'{"model":"m","system":"a"}').blocks is None


def test_an_input_that_is_one_text_is_a_block():
    body = b'{"model":"m","input":"a"}'
    assert responses.parse_request(body).blocks == read_blocks(body) is not None


@for_each("parse", *MESSAGES_OF)
def test_a_body_with_too_much_in_it_has_no_blocks(parse):
    body = b'{"model":"m","%b":[%b0]}' % (MESSAGES_OF[parse].encode(), b'{"a":1},' * MAX_READ_VALUES)
    assert parse(body).blocks is None


@for_each("parse", *MESSAGES_OF)
def test_tools_that_are_nested_too_deeply_are_no_error(parse):
    nested = b'{"model":"m","tools":[%b],"%b":["a"]}' % (b"[" * 2_000 + b"]" * 2_000, MESSAGES_OF[parse].encode())
    try:
        blocks = parse(nested).blocks
    except ValueError as error:
        assert "nested too deeply" in str(error)  # noqa: PT017 - either is right, as the depth depends on the stack
    else:
        assert blocks == read_blocks(nested)
