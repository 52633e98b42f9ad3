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
async def test_reasoning_without_a_summary_stays_unseen(openai):
    response = await openai.responses.create(model="demo", input=PROMPT, reasoning={"effort": "low"})
    assert [item.type for item in response.output] == ["message"]
    assert response.reasoning.effort == "low"


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
