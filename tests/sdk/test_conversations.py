"""The conversations of `tests/wire` by the `openai` and `anthropic` packages: read as they were sent, recorded as they were."""

import json

import pytest

from intercept.catalog import ANTHROPIC, OPENAI
from intercept.formats.streams import Decoder
from tests.fake_upstream import CLOSE, RESET
from tests.sdk.wiring import data_events, essence, record, stream, tokens, typed_events, whole
from tests.wire.conversations import conversations

WITH_USAGE = {"stream_options": {"include_usage": True}}
# What of an SDK is called, what a request needs beside what is in the conversation, and how events are written.
APIS = {
    "chat_completions": (OPENAI, lambda sdk: sdk.openai().chat.completions.create, {}, WITH_USAGE, data_events),
    "responses": (OPENAI, lambda sdk: sdk.openai().responses.create, {}, {}, typed_events),
    "messages": (ANTHROPIC, lambda sdk: sdk.anthropic().messages.create, {"max_tokens": 9}, {}, typed_events),
}
EACH = pytest.mark.parametrize("api", APIS)
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of what is newer than the SDK


def chosen(api):
    """The conversations of an API that come as a stream and as a body, without an error, in what Python's UTF-8 can have."""
    return [
        one
        for one in conversations()
        if one.api.name == api and one.stream and one.body and len(one.body) < 10_000
        if not one.record.reading.error and one.name != "characters_of_every_width"
    ]


def objects(conversation):
    """What an SDK makes of a stream, without pings."""
    data = [event.data for event in Decoder().feed(conversation.stream)]
    return [one for one in map(json.loads, (one for one in data if one != b"[DONE]")) if one.get("type") != "ping"]


async def collected(events):
    return [event.to_dict() async for event in events]


def recorded_as(provider, conversation, *, streaming):
    reading, prompt = conversation.record.reading, conversation.record.request.user_prompt
    return record(
        provider,
        streaming=streaming,
        user_prompts=[prompt.prompt] if prompt else [],
        token_usages=[
            tokens(
                one.input_tokens,
                one.output_tokens,
                read=one.cache_read_input_tokens,
                write=one.cache_write_input_tokens,
            )
            for one in reading.token_usages
        ],
        tool_usages=[(one.provider_tool_call_id, one.tool, one.input) for one in reading.tool_usages],
        model_thoughts=[(one.source, one.content) for one in reading.model_thoughts],
    )


@EACH
async def test_a_conversation_is_read_as_it_was_sent_with_pings_of_the_bridge_and_recorded_as_it_was(
    running, wiring, api
):
    dialect, create, more, streaming, encode = APIS[api]
    create, calls = create(wiring), 0
    for conversation in chosen(api):
        request = json.loads(conversation.request) | more | {"model": "m", "stream": False}
        running.upstream.scripts[:] = [whole(json.loads(conversation.body))]
        response = await create(**request)
        assert response.to_dict() == json.loads(conversation.body), conversation.name
        events = objects(conversation)
        running.upstream.scripts[:] = [stream([dialect.ping, *(event + dialect.ping for event in encode(events))])]
        received = await create(**request | streaming | {"stream": True})
        assert await collected(received) == events, conversation.name
        calls += 2
        streamed, blocking, *_ = await running.ended(calls)
        for recorded, is_streaming in ((blocking, False), (streamed, True)):
            expected = recorded_as(dialect.name.lower(), conversation, streaming=is_streaming)
            assert essence(recorded) == expected, conversation.name
            assert recorded["client"].endswith(" SDK (Python)")
    assert calls >= 10


@EACH
async def test_a_stream_that_is_cut_is_an_error_and_never_a_short_success(running, wiring, api):
    _, create, more, streaming, encode = APIS[api]
    (conversation,) = [one for one in chosen(api) if one.name == "interleaved_parallel_tool_calls"]
    request = json.loads(conversation.request) | more | streaming | {"model": "m", "stream": True}
    for calls, end in enumerate((RESET, CLOSE), start=1):
        running.upstream.scripts[:] = [stream(encode(objects(conversation))[:3], end)]
        received = await create(wiring)(**request)
        with pytest.raises(
            Exception, match=r"peer closed connection|Connection error"
        ):  # the SDK's own or its transport's
            await collected(received)
        recorded, *_ = await running.ended(calls)
        assert recorded["end_reason"] == "upstream_truncated"
