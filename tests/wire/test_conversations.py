import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intercept.formats.streams.sse import Decoder
from tests.examples import examples
from tests.intercept.summaries import plain
from tests.wire.conversations import conversations

CONVERSATIONS = conversations()
SMALL = 64 * 1024
# What a reader looks for, where it means nothing, and half a character, for which JSON is looked at more closely.
NOTE = (
    '"usage":{"prompt_tokens":9},"error":{"message":"x"},"tool_calls":[{}],"finish_reason":"stop"\n\ndata: [DONE]\n\n'
)
HALF = "\ud83d"
RESPONSES = [
    pytest.param(reader, body, conversation.record.reading, id=f"{conversation.api.name}-{conversation.name}-{kind}")
    for conversation in CONVERSATIONS
    for kind, reader, body in (
        ("stream", conversation.api.stream_reader, conversation.stream),
        ("body", conversation.api.body_reader, conversation.body),
    )
    if body is not None
]


def read(reader, chunks):
    for chunk in chunks:
        reader.feed(chunk)
    return reader.result()


def test_every_api_has_at_least_fifteen_conversations():
    counted = Counter(conversation.api.name for conversation in CONVERSATIONS)
    assert {name for name, count in counted.items() if count >= 15} == {"chat_completions", "messages", "responses"}


@pytest.mark.parametrize(
    "conversation", [pytest.param(each, id=f"{each.api.name}-{each.name}") for each in CONVERSATIONS]
)
def test_a_request_is_summed_up_as_recorded(conversation):
    assert plain(conversation.api.parse_request(conversation.request)) == conversation.record.request


@pytest.mark.parametrize(("reader", "body", "reading"), RESPONSES)
def test_a_response_reads_as_recorded_when_it_comes_whole(reader, body, reading):
    assert read(reader(), [body]) == reading


def bytewise(body):
    """Each byte by itself; the middle of a body of millions, where all is alike, a hundred at a time."""
    first, last = min(len(body), SMALL // 2), max(SMALL // 2, len(body) - SMALL // 2)
    yield from (body[at : at + 1] for at in range(first))
    yield from (body[at : min(at + 100, last)] for at in range(first, last, 100))
    yield from (body[at : at + 1] for at in range(last, len(body)))


@pytest.mark.parametrize(("reader", "body", "reading"), RESPONSES)
def test_a_response_reads_as_recorded_when_it_comes_byte_by_byte(reader, body, reading):
    assert b"".join(bytewise(body)) == body
    assert read(reader(), bytewise(body)) == reading


@pytest.mark.parametrize(("reader", "body", "reading"), RESPONSES)
@settings(max_examples=examples(8, 40))
@given(data=st.data())
def test_a_response_reads_as_recorded_wherever_it_is_cut(reader, body, reading, data):
    cuts = data.draw(st.sets(st.integers(0, len(body)), max_size=12).map(sorted))
    assert read(reader(), (body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True))) == reading


@pytest.mark.parametrize(("reader", "body", "reading"), [case for case in RESPONSES if len(case.values[1]) < SMALL])
def test_asking_for_the_result_in_between_changes_nothing(reader, body, reading):
    asked = reader()
    for at in range(0, len(body), 7):
        asked.feed(body[at : at + 7])
        asked.result()
    assert asked.result() == reading


@pytest.mark.parametrize(
    ("reader", "body", "reading"),
    [case for case in RESPONSES if case.id.endswith("stream") and b"\r" not in case.values[1]],
)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"], ids=["CRLF", "CR"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b": a comment\n\n"], ids=["bare", "BOM", "comment"])
def test_a_stream_reads_the_same_with_every_line_end_and_beginning(reader, body, reading, line_end, start):
    assert read(reader(), [(start + body).replace(b"\n", line_end)]) == reading


def spelled(value, space, name):
    """JSON with its members the other way round. The input of a tool is kept as it is spelled, and so it stays that way."""
    if isinstance(value, dict):
        members = (
            f"{name(key)}{space}:{space}{json.dumps(item) if key == 'input' else spelled(item, space, name)}"
            for key, item in reversed(value.items())
        )
        return f"{{{space}{f',{space}'.join(members)}}}"
    if isinstance(value, list):
        return f"[{space}{f'{space},'.join(spelled(item, space, name) for item in value)}]"
    return json.dumps(value)


def escaped(name):
    return '"' + "".join(rf"\u{ord(character):04x}" for character in name) + '"'


@pytest.mark.parametrize(
    ("reader", "body", "reading"),
    [case for case in RESPONSES if case.id.endswith("stream") and len(case.values[1]) < SMALL],
)
@pytest.mark.parametrize(
    "spelling",
    [
        ("", json.dumps, {}),
        ("\t ", json.dumps, {"note": NOTE}),
        ("", escaped, {"note": NOTE}),
        (" ", json.dumps, {"half": HALF}),
        (" ", escaped, {"half": HALF}),
    ],
    ids=["narrow", "with a note", "escaped with a note", "with a half", "escaped with a half"],
)
def test_a_stream_reads_the_same_however_its_json_is_spelled(reader, body, reading, spelling):
    space, name, more = spelling
    chunks = []
    for event in Decoder().feed(body):
        try:
            told = json.loads(event.data)
        except ValueError:
            data = event.data
        else:
            data = spelled(told | more if isinstance(told, dict) else told, space, name).encode()
        chunks.append(b"event: %b\ndata: %b\n\n" % (event.name.encode(), data))
    assert read(reader(), chunks) == reading
