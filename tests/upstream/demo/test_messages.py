import msgspec
import pytest

from upstream.demo.api_call import Stamp
from upstream.demo.generation import GenerationRequest, generate
from upstream.demo.messages import Message

PROMPT = "Ask get_weather and get_time about Utrecht."
USER = {"role": "user", "content": PROMPT}


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
async def test_a_stream_names_its_events_and_pings(http):
    request = {"model": "demo", "max_tokens": 9, "messages": [USER], "stream": True}
    async with http.post("/v1/messages", json=request) as response:
        text = await response.text()
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert 'event: ping\ndata: {"type":"ping"}\n\n' in text
    assert text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')


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


def test_an_error_event_says_overloaded():
    call = Message(b'{"model":"demo","max_tokens":9,"messages":[]}', Stamp("k", 0))
    assert call.error_event(3) == (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":'
        b'"Overloaded: the demo provider fails for this model, as you asked."},"request_id":"req_k"}\n\n'
    )
