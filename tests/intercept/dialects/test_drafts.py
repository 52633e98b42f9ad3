import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from intercept.dialects.drafts import (
    MAX_ERROR_BYTES,
    MAX_ERROR_MESSAGE,
    MAX_ERROR_TYPE,
    MAX_NAME,
    MAX_PARTS,
    MAX_TEXT,
    MAX_THOUGHT,
    MAX_TIER,
    MAX_TOOL_INPUT,
    MAX_USAGE_BYTES,
    BoundedText,
    CharacterBudget,
    Draft,
    read_error,
)
from intercept.dialects.gemini import interactions
from intercept.dialects.openai import chat_completions, responses
from intercept.records import ModelThought, ProviderError, Reading, ToolUsage
from tests.cases import for_each
from tests.intercept import malformed_responses


@given(pieces=st.lists(st.text()), cap=st.integers(0, 20), allowed=st.integers(0, 20))
def test_text_is_the_beginning_of_its_pieces_and_says_when_it_is_cut(pieces, cap, allowed):
    allowance = CharacterBudget(allowed)
    text = BoundedText(cap, allowance)
    for piece in pieces:
        text.add(piece)
    whole = "".join(pieces)
    assert str(text) == whole[: min(cap, allowed)]
    assert text.truncated == (len(whole) > min(cap, allowed))
    assert allowance.characters == allowed - len(str(text))
    text.release()
    assert allowance.characters == allowed


def test_a_usage_is_an_object_of_a_bounded_size():
    draft = Draft()
    assert [draft.read_usage(Raw(text)) for text in (b"", b"null", b"[1]", b'"usage"', b"12345")] == [{}] * 5
    largest = b'{"a": [1], "b": "%b"}' % (b"x" * (MAX_USAGE_BYTES - 19))
    assert len(largest) == MAX_USAGE_BYTES
    assert draft.read_usage(Raw(largest)) == json.loads(largest)
    assert not draft.truncated
    assert draft.read_usage(Raw(largest + b" ")) == {}
    assert draft.truncated


@for_each(
    ("call_id", "name", "text", "truncated"),
    ("i" * MAX_NAME, "n" * MAX_NAME, "x" * MAX_TOOL_INPUT, False),
    ("i" * MAX_NAME + "i", "n", "x", True),
    ("i", "n" * MAX_NAME + "n", "x", True),
    ("i", "n", "x" * MAX_TOOL_INPUT + "x", True),
    ids=["at the caps", "id", "name", "input"],
)
def test_a_call_is_marked_where_one_of_its_fields_was_cut(call_id, name, text, truncated):
    draft = Draft()
    call = draft.begin_tool_call(0)
    call.identify(call_id, name)
    call.input.add(text)
    assert draft.reading().tool_usages == (
        ToolUsage(
            provider_response_id="",
            provider_tool_call_id=call_id[:MAX_NAME],
            tool=name[:MAX_NAME],
            input=text[:MAX_TOOL_INPUT],
            truncated=truncated,
        ),
    )


def test_a_thought_is_cut_at_its_cap_and_between_characters():
    draft = Draft()
    draft.begin_thought(0, "thinking").text.add("🚀" * MAX_THOUGHT + "!")
    assert draft.reading().model_thoughts == (
        ModelThought(content="🚀" * MAX_THOUGHT, source="thinking", truncated=True),
    )


def test_all_texts_together_are_bounded():
    draft = Draft()
    for key in range(MAX_PARTS):
        draft.begin_thought(key, "thinking").text.add("x" * MAX_THOUGHT)
    thoughts = draft.reading().model_thoughts
    assert sum(len(thought.content) for thought in thoughts) == MAX_TEXT
    assert [thought.truncated for thought in thoughts] == [False] * 4


def test_parts_beyond_the_most_are_refused_and_the_reading_says_so():
    draft = Draft()
    for key in range(MAX_PARTS):
        draft.begin_tool_call(key).identify(f"call_{key}", "f")
    assert not draft.reading().truncated
    assert draft.begin_tool_call("more") is None
    assert draft.begin_thought("more", "thinking") is None
    assert draft.part("more") is None
    reading = draft.reading()
    assert (len(reading.tool_usages), reading.truncated) == (MAX_PARTS, True)


def test_a_part_begun_again_is_replaced_and_gives_its_room_back():
    draft = Draft()
    for _ in range(3 * MAX_PARTS):
        draft.begin_thought(0, "thinking").text.add("x" * MAX_THOUGHT)
        call = draft.begin_tool_call(1)
        call.identify("call_1", "f")
        call.initial.add("{}")
        call.input.add("y" * MAX_TOOL_INPUT)
    assert draft.reading() == Reading(
        tool_usages=(
            ToolUsage(provider_response_id="", provider_tool_call_id="call_1", tool="f", input="y" * MAX_TOOL_INPUT),
        ),
        model_thoughts=(ModelThought(content="x" * MAX_THOUGHT, source="thinking"),),
    )


@for_each(
    ("error", "kind", "message"),
    ({"type": "overloaded_error", "message": "Overloaded"}, "overloaded_error", "Overloaded"),
    ({"type": None, "code": "server_error", "message": "Oh"}, "server_error", "Oh"),
    ({"type": "tokens", "code": "rate_limit_exceeded", "message": "Slow"}, "tokens", "Slow"),
    ({"code": 502, "message": ["Bad"]}, "unnamed_error", ""),
    ("just text", "unnamed_error", "just text"),
    ([1], "unnamed_error", ""),
    (True, "unnamed_error", ""),
    ("x" * MAX_ERROR_BYTES, "unnamed_error", ""),
    ({"type": "t" * 1000, "message": "🚀" * 10_000}, "t" * MAX_ERROR_TYPE, "🚀" * MAX_ERROR_MESSAGE),
)
def test_an_error_has_a_type_and_a_message_whatever_it_is(error, kind, message):
    text = Raw(json.dumps(error, ensure_ascii=False).encode())
    assert read_error(text) == ProviderError(type=kind, message=message)


@for_each("text", b"", b"null", b"false", b"0", b'""', b"{}", b"[\n]", b"{ \t\r\n}")
def test_an_empty_error_is_none(text):
    assert read_error(Raw(text)) is None


OPENAI = {"input_tokens": 3, "output_tokens": 4}
CHAT = {"prompt_tokens": 3, "completion_tokens": 4}
GOOGLE = {"total_input_tokens": 3, "total_output_tokens": 4}


def usages(said):
    """What the readers keep of a usage, by API, where the response says this of its tier."""
    read = {
        "chat": (chat_completions.body_reader(), {"id": "r", "choices": [], "usage": CHAT}),
        "responses": (responses.body_reader(), {"id": "r", "usage": OPENAI}),
        "interactions": (interactions.body_reader(), {"id": "r", "status": "completed", "usage": GOOGLE}),
    }
    return {
        name: [usage.usage for usage in malformed_responses.read(reader, json.dumps(body | said).encode()).token_usages]
        for name, (reader, body) in read.items()
    }


def every_api(**more):
    return {"chat": [CHAT | more], "responses": [OPENAI | more], "interactions": [GOOGLE | more]}


@pytest.mark.parametrize("tier", ["flex", "priority", "x" * MAX_TIER])
def test_a_tier_that_is_said_beside_the_usage_is_kept_with_it(tier):
    assert usages({"service_tier": tier}) == every_api(service_tier=tier)


def test_the_default_tier_and_what_is_none_is_not_kept():
    for tier in ("default", "auto", "standard", "on_demand", "", None, 5, ["flex"], {"a": 1}, "x" * (MAX_TIER + 1)):
        assert usages({"service_tier": tier}) == every_api(), tier
    assert usages({}) == every_api()


def test_the_tier_of_the_response_stands_for_one_that_its_usage_does_not_say():
    body = json.dumps({"id": "r", "usage": CHAT | {"service_tier": None}, "service_tier": "flex"}).encode()
    (usage,) = malformed_responses.read(chat_completions.body_reader(), body).token_usages
    assert usage.usage == CHAT | {"service_tier": "flex"}
