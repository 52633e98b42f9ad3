"""The blocks of a request are the same, whether they are read with the rest of it or from its body alone."""

import json

from hypothesis import given
from hypothesis import strategies as st

from intercept.blocks import read_blocks
from intercept.dialects.anthropic import messages
from intercept.dialects.bedrock import requests
from intercept.dialects.gemini import contents
from intercept.dialects.openai import chat_completions, responses
from intercept.formats.large_bodies import abridged
from intercept.formats.steps import finish
from intercept.formats.weight import LIGHT_BODY_VALUES, LIGHT_BYTES
from tests.cases import for_each

MESSAGES_OF = {
    messages.parse_request: "messages",
    chat_completions.parse_request: "messages",
    responses.parse_request: "input",
    contents.parse_request: "contents",
    requests.parse_request: "messages",
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


@for_each("parse", MESSAGES_OF)
def test_without_messages_there_are_no_blocks(parse):
    assert parse(b'{"model":"m","system":"a"}').blocks is None


def test_an_input_that_is_one_text_is_left_to_who_has_the_body():
    assert responses.parse_request(b'{"model":"m","input":"a"}').blocks is None


@for_each("parse", MESSAGES_OF)
def test_a_body_of_which_texts_are_left_out_has_no_blocks(parse):
    many = b'{"a":1},' * LIGHT_BODY_VALUES + b'"%b"' % (b"b" * LIGHT_BYTES)
    body = b'{"model":"m","%b":[%b]}' % (MESSAGES_OF[parse].encode(), many)
    assert parse(body).blocks is None
    assert parse(finish(abridged(body))).blocks is None


@for_each("parse", MESSAGES_OF)
def test_tools_that_are_nested_too_deeply_are_no_error(parse):
    nested = b'{"model":"m","tools":[%b],"%b":["a"]}' % (b"[" * 2_000 + b"]" * 2_000, MESSAGES_OF[parse].encode())
    try:
        blocks = parse(nested).blocks
    except ValueError as error:
        assert "nested too deeply" in str(error)  # noqa: PT017 - either is right, as the depth depends on the stack
    else:
        assert blocks == read_blocks(nested)
