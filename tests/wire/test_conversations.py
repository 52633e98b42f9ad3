import json
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from intercept.formats.streams import Decoder
from tests.cases import for_each
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
KEPT = ("input", "action", "actions", "operation")
RESPONSES = {
    f"{conversation.api.name}-{conversation.name}-{kind}": (reader, body, conversation.record.reading)
    for conversation in CONVERSATIONS
    for kind, reader, body in (
        ("stream", conversation.api.stream_reader, conversation.stream),
        ("body", conversation.api.body_reader, conversation.body),
    )
    if body is not None
}


def each_response(*, stream=False, below=float("inf"), without=b"\0"):
    """Let a test read every response, or the streams, or what is small or has no such byte, as it was recorded."""
    chosen = {
        name: case
        for name, case in RESPONSES.items()
        if (name.endswith("stream") or not stream) and len(case[1]) < below and without not in case[1]
    }
    return for_each(("reader", "body", "reading"), *chosen.values(), ids=chosen)


def read(reader, chunks):
    for chunk in chunks:
        reader.feed(chunk)
    return reader.result()


def test_every_api_has_at_least_fifteen_conversations():
    counted = Counter(conversation.api.name for conversation in CONVERSATIONS)
    assert {name for name, count in counted.items() if count >= 15} == {"chat_completions", "messages", "responses"}


@for_each("conversation", *CONVERSATIONS, ids=lambda each: f"{each.api.name}-{each.name}")
def test_a_request_is_summed_up_as_recorded(conversation):
    assert plain(conversation.api.parse_request(conversation.request)) == conversation.record.request


@each_response()
def test_a_response_reads_as_recorded_when_it_comes_whole(reader, body, reading):
    assert read(reader(), [body]) == reading


def bytewise(body):
    """Each byte by itself; the middle of a body of millions, where all is alike, a hundred at a time."""
    first, last = min(len(body), SMALL // 2), max(SMALL // 2, len(body) - SMALL // 2)
    yield from (body[at : at + 1] for at in range(first))
    yield from (body[at : min(at + 100, last)] for at in range(first, last, 100))
    yield from (body[at : at + 1] for at in range(last, len(body)))


@each_response()
def test_a_response_reads_as_recorded_when_it_comes_byte_by_byte(reader, body, reading):
    assert b"".join(bytewise(body)) == body
    assert read(reader(), bytewise(body)) == reading


@settings(max_examples=examples(4, 40))
@given(places=st.sets(st.integers(0, 2**22), max_size=12))
@each_response()
def test_a_response_reads_as_recorded_wherever_it_is_cut(reader, body, reading, places):
    cuts = sorted(place % (len(body) + 1) for place in places)
    assert read(reader(), (body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True))) == reading


@each_response(below=SMALL)
def test_asking_for_the_result_in_between_changes_nothing(reader, body, reading):
    made = reader()
    for at in range(0, len(body), 7):
        made.feed(body[at : at + 7])
        made.result()
    assert made.result() == reading


@each_response(stream=True, without=b"\r")
@for_each("line_end", b"\r\n", b"\r")
@for_each("start", b"", b"\xef\xbb\xbf", b": a comment\n\n")
def test_a_stream_reads_the_same_with_every_line_end_and_beginning(reader, body, reading, line_end, start):
    assert read(reader(), [(start + body).replace(b"\n", line_end)]) == reading


def spelled(value, space, name):
    """JSON with its members the other way round. The input of a tool is kept as it is spelled, and so it stays that way."""
    if isinstance(value, dict):
        members = (
            f"{name(key)}{space}:{space}{json.dumps(item) if key in KEPT else spelled(item, space, name)}"
            for key, item in reversed(value.items())
        )
        return f"{{{space}{f',{space}'.join(members)}}}"
    if isinstance(value, list):
        return f"[{space}{f'{space},'.join(spelled(item, space, name) for item in value)}]"
    return json.dumps(value)


def escaped(name):
    return '"' + "".join(rf"\u{ord(character):04x}" for character in name) + '"'


@each_response(stream=True, below=SMALL)
@for_each(
    "spelling",
    ("", json.dumps, {}),
    ("\t ", json.dumps, {"note": NOTE}),
    ("", escaped, {"note": NOTE}),
    (" ", json.dumps, {"half": HALF}),
    (" ", escaped, {"half": HALF}),
    ids=["narrow", "with a note", "escaped with a note", "with a half", "escaped with a half"],
)
def test_a_stream_reads_the_same_however_its_json_is_spelled(reader, body, reading, spelling):
    space, name, more = spelling
    chunks = []
    for event in Decoder().feed(body):
        try:
            result = json.loads(event.data)
        except ValueError:
            data = event.data
        else:
            data = spelled(result | more if isinstance(result, dict) else result, space, name).encode()
        chunks.append(b"event: %b\ndata: %b\n\n" % (event.name.encode(), data))
    assert read(reader(), chunks) == reading
