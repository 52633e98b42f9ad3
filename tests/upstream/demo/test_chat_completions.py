import pytest

from upstream.demo.api_call import Stamp
from upstream.demo.chat_completions import ChatCompletion

PROMPT = "Ask get_weather and get_time about Utrecht."
USER = {"role": "user", "content": PROMPT}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
        },
    },
    {"type": "function", "function": {"name": "get_time"}},
]
CALLS = [("get_weather", '{"city": "demo", "days": 1}'), ("get_time", "{}")]


@pytest.mark.gen_test
async def test_a_stream_mentions_usage_only_where_it_was_asked_for(http):
    request = {"model": "demo", "messages": [USER], "stream": True}
    async with http.post("/v1/chat/completions", json=request) as response:
        text = await response.text()
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert "usage" not in text
    assert text.endswith('"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')


@pytest.mark.gen_test
async def test_streamed_tool_calls_assemble_to_the_same(openai):
    async with openai.chat.completions.stream(model="demo", messages=[USER], tools=TOOLS) as stream:
        async for _ in stream:
            pass
        completion = await stream.get_final_completion()
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert [(call.function.name, call.function.arguments) for call in choice.message.tool_calls] == CALLS
    assert [call.id for call in choice.message.tool_calls] == ["call_key00", "call_key01"]


def test_an_error_event_is_an_error_in_place_of_a_chunk():
    call = ChatCompletion(b'{"model":"demo","messages":[]}', Stamp("k", 0))
    assert call.error_event(3) == (
        b'data: {"error":{"message":"The demo provider fails for this model, as you asked.",'
        b'"type":"server_error","param":null,"code":null}}\n\n'
    )
