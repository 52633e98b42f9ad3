"""The text of a response is kept where that is asked for, of every dialect, as far as it came."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from intercept.apis import EVENT_STREAM, EVENTS
from intercept.catalog import CHAT_COMPLETIONS, COMPLETIONS, CONVERSE, GENERATE_CONTENT, INVOKE, MESSAGES, RESPONSES
from intercept.dialects import drafts
from intercept.dialects.openai.chat_completions import MAX_CONTENT_PARTS
from intercept.formats.content_encoding import decoded
from intercept.records import ModelResponse
from tests.cases import for_each
from tests.intercept.formats.event_streams import chunk, event

JSON = "application/json"


def sse(*events):
    return b"".join(
        b"data: " + (json.dumps(one).encode() if isinstance(one, dict) else one) + b"\n\n" for one in events
    )


def delta(**fields):
    return {"choices": [{"index": 0, "delta": fields}]}


def block_delta(index, **fields):
    return {"type": "content_block_delta", "index": index, "delta": fields}


def block_start(index, **fields):
    return {"type": "content_block_start", "index": index, "content_block": fields}


def parts(*each):
    return {"candidates": [{"content": {"parts": list(each)}}]}


TOOL = {"function": {"name": "Bash", "arguments": "{}"}}
OUTPUT = [
    {"type": "message", "phase": "commentary", "content": [{"type": "output_text", "text": "I look."}]},
    {"type": "message", "content": [{"type": "output_text", "text": "Né "}, {"type": "output_text", "text": "🚀"}]},
    {"type": "function_call", "call_id": "c", "name": "Bash", "arguments": "{}"},
    {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]},
]
COMPLETED = {"type": "response.completed", "response": {"id": "r", "output": OUTPUT}}
MESSAGE = [
    {"type": "thinking", "thinking": "hm"},
    {"type": "text", "text": "Né "},
    {"type": "text", "text": "🚀"},
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
    {"type": "text", "text": "No."},
]
MESSAGE_EVENTS = [
    block_start(0, type="thinking", thinking=""),
    block_delta(0, type="thinking_delta", thinking="hm"),
    block_start(1, type="text", text="N"),
    block_delta(1, type="text_delta", text="é "),
    block_start(2, type="text", text=""),
    block_delta(2, type="text_delta", text="🚀"),
    block_start(3, type="server_tool_use", id="s", name="web_search", input={}),
    block_delta(3, type="input_json_delta", partial_json="{}"),
    block_start(4, type="text", text=""),
    block_delta(4, type="text_delta", text="No."),
]
CONTENT = [
    {"reasoningContent": {"reasoningText": {"text": "hm"}}},
    {"text": "Né "},
    {"citationsContent": {"content": [{"text": "🚀"}]}},
    {"toolUse": {"toolUseId": "t", "name": "Bash", "input": {}}},
    {"text": "No."},
]
CONVERSED = [
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Né "}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"text": "🚀"}}),
    ("contentBlockStart", {"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "t", "name": "Bash"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": "{}"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 4, "delta": {"text": "No."}}),
]
PARTS = [
    {"text": "hm", "thought": True},
    {"text": "Né "},
    {"text": "🚀"},
    {"functionCall": {"name": "Bash", "args": {}}},
    {"text": "No."},
]
TEXT = "Né 🚀\n\nNo."
STREAMS = {
    "chat": (
        CHAT_COMPLETIONS,
        EVENTS,
        sse(
            delta(role="assistant", content=""),
            delta(reasoning_content="hm"),
            delta(content="Né "),
            delta(content=[{"type": "text", "text": "🚀"}]),
            {"choices": [{"index": 1, "delta": {"content": "another"}}]},
            delta(tool_calls=[{"index": 0, "id": "c", **TOOL}]),
            delta(refusal="No."),
            b"[DONE]",
        ),
    ),
    "completions": (
        COMPLETIONS,
        EVENTS,
        sse(*({"choices": [{"index": 0, "text": text}]} for text in ("Né ", "🚀", "\n\nNo.")), b"[DONE]"),
    ),
    "responses": (
        RESPONSES,
        EVENTS,
        sse(
            {"type": "response.output_item.added", "output_index": 0, "item": OUTPUT[0] | {"content": []}},
            {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "I look."},
            {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "content": []}},
            {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Né "},
            {"type": "response.output_text.delta", "output_index": 1, "content_index": 1, "delta": "🚀"},
            {"type": "response.output_item.done", "output_index": 1, "item": OUTPUT[1]},
            {"type": "response.output_item.done", "output_index": 2, "item": OUTPUT[2]},
            {"type": "response.output_item.added", "output_index": 3, "item": {"type": "message", "content": []}},
            {"type": "response.refusal.delta", "output_index": 3, "delta": "No."},
            COMPLETED,
        ),
    ),
    "responses without deltas": (
        RESPONSES,
        EVENTS,
        sse(
            {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "content": []}},
            *({"type": "response.output_item.done", "output_index": at, "item": OUTPUT[at]} for at in range(4)),
        ),
    ),
    "messages": (MESSAGES, EVENTS, sse(*MESSAGE_EVENTS, {"type": "message_stop"})),
    "gemini": (GENERATE_CONTENT, EVENTS, sse(*map(parts, PARTS))),
    "gemini, an array": (GENERATE_CONTENT, JSON, json.dumps(list(map(parts, PARTS))).encode()),
    "converse": (CONVERSE, EVENT_STREAM, b"".join(event(*one) for one in CONVERSED)),
    "invoke, Claude": (INVOKE, EVENT_STREAM, b"".join(map(chunk, MESSAGE_EVENTS))),
    "invoke, Nova": (INVOKE, EVENT_STREAM, b"".join(chunk({kind: data}) for kind, data in CONVERSED)),
}
BODIES = {
    "chat": (CHAT_COMPLETIONS, {"choices": [{"message": {"content": TEXT, "tool_calls": [TOOL]}}]}),
    "chat, a list": (
        CHAT_COMPLETIONS,
        {"choices": [{"message": {"content": [{"type": "text", "text": "Né 🚀"}, 1, {"text": "\n\nNo."}]}}]},
    ),
    "completions": (COMPLETIONS, {"choices": [{"index": 0, "text": TEXT}, {"index": 1, "text": "another"}]}),
    "responses": (RESPONSES, {"id": "r", "output": OUTPUT}),
    "messages": (MESSAGES, {"content": MESSAGE}),
    "gemini": (GENERATE_CONTENT, parts(*PARTS)),
    "converse": (CONVERSE, {"output": {"message": {"content": CONTENT}}}),
    "invoke, Claude": (INVOKE, {"content": MESSAGE}),
    "invoke, Nova": (INVOKE, {"output": {"message": {"content": CONTENT}}}),
}
ALL = STREAMS | {f"{name}, blocking": (api, JSON, json.dumps(body).encode()) for name, (api, body) in BODIES.items()}


def reading(api, content_type, pieces, keep_text=True, encoding=""):
    reader = decoded(api.reader_for(content_type, keep_text=keep_text), encoding)
    for piece in pieces:
        reader.feed(piece)
    return reader.result()


@for_each("name", *ALL)
def test_the_text_is_kept_beside_what_is_recorded_anyway(name):
    api, content_type, body = ALL[name]
    kept, without = (reading(api, content_type, [body], keep_text=keep) for keep in (True, False))
    assert kept.response == ModelResponse(text=TEXT)
    assert replace(kept, response=None) == without


@for_each("name", *STREAMS)
def test_wherever_a_stream_is_cut_its_text_is_a_beginning_of_the_whole(name):
    api, content_type, body = STREAMS[name]
    found = {""}
    for end in range(0, len(body), 7):
        response = reading(api, content_type, [body[:end]]).response
        assert response is None or (TEXT.startswith(response.text) and not response.truncated)
        found.add(response.text if response else "")
    assert len(found) >= 2


@given(data=st.data())
def test_the_text_is_the_same_however_the_bytes_come(data):
    api, content_type, body = ALL[data.draw(st.sampled_from(list(ALL)))]
    encoding = data.draw(st.sampled_from(["", "gzip"]))
    body = gzip.compress(body) if encoding else body
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert reading(api, content_type, pieces, encoding=encoding).response == ModelResponse(text=TEXT)


@given(st.lists(st.text(), max_size=6), st.integers(1, 12))
def test_a_text_beyond_its_bound_is_cut_and_says_so(pieces, bound):
    whole = "".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drafts, "MAX_RESPONSE", bound)
        streamed = reading(CHAT_COMPLETIONS, EVENTS, [sse(*(delta(content=piece) for piece in pieces))]).response
        body = json.dumps({"choices": [{"message": {"content": whole}}]}).encode()
        assert reading(CHAT_COMPLETIONS, JSON, [body]).response == streamed
    expected = ModelResponse(text=whole.encode("utf-8", "replace").decode()[:bound], truncated=len(whole) > bound)
    assert streamed == (expected if whole else None)


def test_a_response_of_many_parts_takes_nothing_from_tool_calls():
    parts = [{"type": "text", "text": "x" * 1024}] * 1000
    body = json.dumps({"content": [*parts, {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]}).encode()
    kept = reading(MESSAGES, JSON, [body])
    assert [call.input for call in kept.tool_usages] == ["{}"]
    assert kept.response == ModelResponse(text="x" * drafts.MAX_RESPONSE, truncated=True)


def test_of_a_content_of_very_many_parts_the_first_are_kept():
    parts_ = [{"type": "text", "text": "x"}] * (MAX_CONTENT_PARTS + 1)
    for name, content_type in ("delta", EVENTS), ("message", JSON):
        chunk_ = {"choices": [{name: {"content": parts_}}]}
        body = sse(chunk_) if content_type == EVENTS else json.dumps(chunk_).encode()
        kept = reading(CHAT_COMPLETIONS, content_type, [body]).response
        assert kept == ModelResponse(text="x" * MAX_CONTENT_PARTS, truncated=True)


def test_a_finished_response_replaces_the_text_that_was_assembled():
    first = {"type": "response.output_text.delta", "output_index": 0, "delta": "another order"}
    assert reading(RESPONSES, EVENTS, [sse(first, COMPLETED)]).response == ModelResponse(text=TEXT)
