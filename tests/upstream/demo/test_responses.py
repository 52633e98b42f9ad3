import msgspec
import pytest

from upstream.demo.api_call import Stamp
from upstream.demo.generation import GenerationRequest, generate
from upstream.demo.responses import Response

PROMPT = "Ask get_weather and get_time about Utrecht."
TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
        "strict": False,
    },
    {"type": "function", "name": "get_time", "parameters": {}, "strict": False},
]
REASONING = {"effort": "low", "summary": "auto"}


def generation(prompt="", **rest):
    return generate(GenerationRequest(size=0, prompt=prompt, **rest))


def valid(parsed):
    """The parsed object, after the strict validation that the SDK itself leaves out."""
    assert type(parsed).model_validate(parsed.to_dict()) == parsed
    return parsed


@pytest.mark.gen_test
async def test_a_blocking_response_is_what_the_sdk_expects(openai):
    response = valid(
        await openai.responses.create(model="gpt-any", input=PROMPT, instructions="Be brief.", store=False)
    )
    assert response.to_dict() == {
        "id": "resp_key0",
        "object": "response",
        "created_at": 1_790_000_000,
        "completed_at": 1_790_000_000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": "Be brief.",
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "model": "gpt-any",
        "output": [
            {
                "id": "msg_key0",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": generation(PROMPT).text, "annotations": [], "logprobs": []},
                ],
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": response.usage.to_dict(),
        "user": None,
    }
    assert response._request_id == "req_key0"


@pytest.mark.gen_test
async def test_usage_adds_up_and_half_of_the_input_is_cached(openai):
    usage = (await openai.responses.create(model="demo", input=PROMPT, reasoning=REASONING)).usage
    assert usage.input_tokens > 10
    assert usage.input_tokens_details.cached_tokens == usage.input_tokens // 2
    assert usage.output_tokens == generation(PROMPT, wants_thought=True).output_tokens
    assert usage.output_tokens_details.reasoning_tokens == generation(wants_thought=True).thought_tokens
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens


@pytest.mark.gen_test
async def test_a_stream_has_every_event_of_a_text_in_order(openai):
    events = [valid(event) async for event in await openai.responses.create(model="demo", input=PROMPT, stream=True)]
    words = generation(PROMPT).text.count(" ") + 1
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * words,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].response.status == "in_progress"
    assert (events[0].response.output, events[0].response.usage) == ([], None)
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta")
        == generation(PROMPT).text
    )
    assert events[-1].response.output_text == generation(PROMPT).text
    assert events[-1].response.output == [events[-2].item]


@pytest.mark.gen_test
async def test_a_stream_with_a_thought_and_tools_grows_item_by_item(openai):
    request = {"model": "demo", "input": PROMPT, "tools": TOOLS, "reasoning": REASONING}
    events = [valid(event) async for event in await openai.responses.create(**request, stream=True)]
    steps = [event.type.removeprefix("response.") for event in events if not event.type.endswith(".delta")]
    assert steps == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        *["output_item.added", "function_call_arguments.done", "output_item.done"] * 2,
        "completed",
    ]
    response = events[-1].response
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]
    assert [event.item for event in events if event.type == "response.output_item.done"] == response.output
    assert response.output[0].summary[0].text == generation(wants_thought=True).thought
    assert [(item.call_id, item.name, item.arguments) for item in response.output[2:]] == [
        ("call_key00", "get_weather", '{"city": "demo", "days": 1}'),
        ("call_key01", "get_time", "{}"),
    ]
    for index, item in enumerate(response.output):
        deltas = [event for event in events if event.type.endswith(".delta") and event.output_index == index]
        done = next(
            event
            for event in events
            if event.type.endswith(("text.done", "arguments.done")) and event.output_index == index
        )
        assert {event.item_id for event in deltas} == {item.id} == {done.item_id}
        whole = done.arguments if item.type == "function_call" else done.text
        assert "".join(event.delta for event in deltas) == whole


@pytest.mark.gen_test
async def test_streamed_and_blocking_answers_are_the_same(openai):
    request = {"model": "demo", "input": PROMPT, "tools": TOOLS, "reasoning": REASONING}
    blocking = valid(await openai.responses.create(**request))
    async with openai.responses.stream(**request) as stream:
        streamed = await stream.get_final_response()
    assert [item.type for item in streamed.output] == [item.type for item in blocking.output]
    assert streamed.output_text == blocking.output_text
    assert streamed.usage.output_tokens == blocking.usage.output_tokens
    assert (await openai.responses.create(**request)).tools == blocking.tools


@pytest.mark.gen_test
async def test_reasoning_without_a_summary_stays_unseen(openai):
    response = await openai.responses.create(model="demo", input=PROMPT, reasoning={"effort": "low"})
    assert [item.type for item in response.output] == ["message"]
    assert response.reasoning.effort == "low"


@pytest.mark.gen_test
async def test_a_tool_result_leads_to_a_closing_text(openai):
    first = await openai.responses.create(model="demo", input=PROMPT, tools=TOOLS)
    result = {"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "noon"}
    user_message = {"role": "user", "content": PROMPT}
    messages = [user_message, *(item.to_dict() for item in first.output), result]
    second = await openai.responses.create(model="demo", input=messages, tools=TOOLS)
    assert [item.type for item in second.output] == ["message"]
    assert second.output_text == generation(tool_result_id="call_key01").text


def test_parts_no_input_and_no_items_are_understood():
    def output(**request):
        body = Response(msgspec.json.encode({"model": "demo"} | request), Stamp("k", 0)).body()
        return body["output"][0]["content"][0]["text"]

    assert output() == generation().text
    assert output(input=[]) == generation().text
    assert output(input=[{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]) == generation("Hi").text


def test_an_error_event_is_a_failed_response_with_its_number():
    raw = Response(b'{"model":"demo"}', Stamp("k", 7)).error_event(3)
    name, data = raw.removesuffix(b"\n\n").split(b"\n")
    event = msgspec.json.decode(data.removeprefix(b"data: "))
    assert name == b"event: response.failed"
    assert (event["type"], event["sequence_number"]) == ("response.failed", 3)
    assert (event["response"]["id"], event["response"]["status"]) == ("resp_k", "failed")
    assert event["response"]["error"] == {
        "code": "server_error",
        "message": "The demo provider fails for this model, as you asked.",
    }
