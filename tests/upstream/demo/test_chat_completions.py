import msgspec
import pytest

from upstream.demo.api_call import Stamp
from upstream.demo.chat_completions import ChatCompletion
from upstream.demo.generation import GenerationRequest, generate

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


def text_for(prompt="", **rest):
    return generate(GenerationRequest(size=0, prompt=prompt, **rest)).text


def valid(parsed):
    """The parsed object, after the strict validation that the SDK itself leaves out."""
    assert type(parsed).model_validate(parsed.to_dict()) == parsed
    return parsed


@pytest.mark.gen_test
async def test_a_blocking_completion_is_what_the_sdk_expects(openai):
    completion = valid(await openai.chat.completions.create(model="gpt-any", messages=[USER]))
    assert completion.to_dict() == {
        "id": "chatcmpl-key0",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-any",
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": text_for(PROMPT),
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": completion.usage.to_dict(),
    }
    assert completion._request_id == "req_key0"


@pytest.mark.gen_test
async def test_usage_adds_up_and_half_of_the_input_is_cached(openai):
    usage = (await openai.chat.completions.create(model="demo", messages=[USER])).usage
    assert usage.prompt_tokens > 10
    assert usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens // 2
    assert usage.completion_tokens == -(-len(text_for(PROMPT)) // 4)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.gen_test
async def test_a_stream_tells_the_same_story_word_by_word(openai):
    stream = await openai.chat.completions.create(
        model="demo", messages=[USER], stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = [valid(chunk) async for chunk in stream]
    assert {chunk.id for chunk in chunks} == {"chatcmpl-key0"}
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].to_dict() == {"role": "assistant", "content": "", "refusal": None}
    assert deltas[1].to_dict() == {"content": "Hello "}
    assert "".join(delta.content or "" for delta in deltas) == text_for(PROMPT)
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert last.choices == []
    assert last.usage.completion_tokens == -(-len(text_for(PROMPT)) // 4)


@pytest.mark.gen_test
async def test_a_stream_mentions_usage_only_where_it_was_asked_for(http):
    request = {"model": "demo", "messages": [USER], "stream": True}
    async with http.post("/v1/chat/completions", json=request) as response:
        text = await response.text()
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert "usage" not in text
    assert text.endswith('"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')


@pytest.mark.gen_test
async def test_named_tools_are_called_in_one_answer(openai):
    completion = valid(await openai.chat.completions.create(model="demo", messages=[USER], tools=TOOLS))
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == text_for(PROMPT, tools=dict.fromkeys(["get_weather", "get_time"]))
    assert [(call.function.name, call.function.arguments) for call in choice.message.tool_calls] == CALLS
    assert [call.id for call in choice.message.tool_calls] == ["call_key00", "call_key01"]


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


@pytest.mark.gen_test
async def test_a_tool_result_leads_to_a_closing_text(openai):
    first = await openai.chat.completions.create(model="demo", messages=[USER], tools=TOOLS)
    message = first.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[-1].id, "content": "noon"}
    second = await openai.chat.completions.create(model="demo", messages=[USER, message, result], tools=TOOLS)
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content == text_for(tool_result_id="call_key01")


def test_parts_null_content_and_an_empty_conversation_are_understood():
    def generation(messages):
        body = ChatCompletion(msgspec.json.encode({"model": "demo", "messages": messages}), Stamp("k", 0)).body()
        return body["choices"][0]["message"]["content"]

    assert generation([]) == text_for()
    assert generation([{"role": "assistant", "content": None}]) == text_for()
    assert generation([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]) == text_for("Hi")


def test_an_error_event_is_an_error_in_place_of_a_chunk():
    call = ChatCompletion(b'{"model":"demo","messages":[]}', Stamp("k", 0))
    assert call.error_event(3) == (
        b'data: {"error":{"message":"The demo provider fails for this model, as you asked.",'
        b'"type":"server_error","param":null,"code":null}}\n\n'
    )
