import msgspec
import pytest

from upstream.demo.api_call import Stamp
from upstream.demo.generation import GenerationRequest, generate
from upstream.demo.messages import Message

PROMPT = "Ask get_weather and get_time about Utrecht."
USER = {"role": "user", "content": PROMPT}
TOOLS = [
    {
        "name": "get_weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
    {"name": "get_time", "input_schema": {"type": "object"}},
]
CALLS = [
    ("toolu_key00", "get_weather", {"city": "demo", "days": 1}),
    ("toolu_key01", "get_time", {}),
]
THINKING = {"type": "enabled", "budget_tokens": 1024}


def generation(prompt="", **rest):
    return generate(GenerationRequest(size=0, prompt=prompt, **rest))


def valid(parsed):
    """The parsed object, after the strict validation that the SDK itself leaves out."""
    assert type(parsed).model_validate(parsed.to_dict()) == parsed
    return parsed


def send(client, **rest):
    return client.messages.create(**{"model": "demo", "max_tokens": 2048, "messages": [USER]} | rest)


@pytest.mark.gen_test
async def test_the_prompt_before_claude_codes_own_last_message_is_repeated(anthropic):
    behind = {"role": "system", "content": "The tools have changed."}
    message = await send(anthropic, messages=[USER, behind])
    assert message.content[0].text == generation(PROMPT).text


@pytest.mark.gen_test
async def test_a_blocking_message_is_what_the_sdk_expects(anthropic):
    message = valid(await send(anthropic, model="claude-any"))
    assert message.to_dict() == {
        "id": "msg_key0",
        "type": "message",
        "role": "assistant",
        "model": "claude-any",
        "content": [{"type": "text", "text": generation(PROMPT).text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": message.usage.to_dict(),
    }
    assert message._request_id == "req_key0"


@pytest.mark.gen_test
async def test_usage_counts_cached_input_apart(anthropic):
    usage = (await send(anthropic)).usage
    assert usage.input_tokens - usage.cache_read_input_tokens in {0, 1}
    assert usage.input_tokens > 10
    assert usage.cache_creation_input_tokens == 0
    assert usage.output_tokens == generation(PROMPT).output_tokens
    assert usage.service_tier == "standard"


@pytest.mark.gen_test
async def test_a_stream_has_every_event_of_a_text_in_order(anthropic):
    events = [valid(event) async for event in await send(anthropic, stream=True)]
    words = generation(PROMPT).text.count(" ") + 1
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * words,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0].message.content == []
    assert events[0].message.stop_reason is None
    assert events[0].message.usage.output_tokens == 1
    assert events[2].delta.to_dict() == {"type": "text_delta", "text": "Hello "}
    assert events[-2].delta.stop_reason == "end_turn"
    assert events[-2].usage.output_tokens == generation(PROMPT).output_tokens


@pytest.mark.gen_test
async def test_a_stream_names_its_events_and_pings(http):
    request = {"model": "demo", "max_tokens": 9, "messages": [USER], "stream": True}
    async with http.post("/v1/messages", json=request) as response:
        text = await response.text()
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert 'event: ping\ndata: {"type":"ping"}\n\n' in text
    assert text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')


@pytest.mark.gen_test
async def test_streamed_and_blocking_answers_are_the_same(anthropic):
    request = {"tools": TOOLS, "thinking": THINKING}
    message = valid(await send(anthropic, **request))
    async with anthropic.messages.stream(model="demo", max_tokens=2048, messages=[USER], **request) as stream:
        streamed = await stream.get_final_message()
    assert streamed.stop_reason == message.stop_reason == "tool_use"
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [(block.id, block.name, block.input) for block in message.content[2:]] == CALLS

    def without_key(block):
        return {
            name: value for name, value in block.to_dict().items() if name not in {"id", "signature", "parsed_output"}
        }

    assert [without_key(block) for block in streamed.content] == [without_key(block) for block in message.content]
    assert streamed.usage.output_tokens == message.usage.output_tokens


@pytest.mark.gen_test
@pytest.mark.parametrize(
    ("thinking", "is_displayed"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, True),
        ({"type": "adaptive"}, True),
        ({"type": "adaptive", "display": "omitted"}, False),
        ({"type": "disabled"}, False),
    ],
)
async def test_thinking_is_shown_where_it_is_on_and_displayed(anthropic, thinking, is_displayed):
    message = await send(anthropic, thinking=thinking)
    assert [block.type for block in message.content] == ["thinking", "text"] if is_displayed else ["text"]
    if is_displayed:
        assert message.content[0].thinking == generation(wants_thought=True).thought
        assert message.content[0].signature == "demokey0"


@pytest.mark.gen_test
async def test_a_tool_result_leads_to_a_closing_text(anthropic):
    first = await send(anthropic, tools=TOOLS)
    results = [{"type": "tool_result", "tool_use_id": call_id, "content": "fine"} for call_id, _, _ in CALLS]
    messages = [USER, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = await send(anthropic, tools=TOOLS, messages=messages)
    assert second.stop_reason == "end_turn"
    assert [block.text for block in second.content] == [generation(tool_result_id="toolu_key01").text]


@pytest.mark.gen_test
async def test_tokens_are_counted_before_they_are_spent(anthropic, http):
    body = msgspec.json.encode({"model": "demo", "messages": [USER]})
    async with http.post("/v1/messages/count_tokens", data=body) as response:
        assert await response.json() == {"input_tokens": -(-len(body) // 4)}
    count = valid(await anthropic.messages.count_tokens(model="demo", messages=[USER]))
    assert count.input_tokens > 10


def test_a_tool_that_the_provider_would_run_is_not_called():
    request = {
        "model": "demo",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Use web_search"}]}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
    }
    body = Message(msgspec.json.encode(request), Stamp("k", 0)).body()
    assert body["content"] == [{"type": "text", "text": generation("Use web_search").text}]


def test_an_empty_conversation_is_greeted():
    body = Message(b'{"model":"demo","max_tokens":9,"messages":[]}', Stamp("k", 0)).body()
    assert body["content"] == [{"type": "text", "text": generation().text}]


def test_an_error_event_says_overloaded():
    call = Message(b'{"model":"demo","max_tokens":9,"messages":[]}', Stamp("k", 0))
    assert call.error_event(3) == (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":'
        b'"Overloaded: the demo provider fails for this model, as you asked."},"request_id":"req_k"}\n\n'
    )
