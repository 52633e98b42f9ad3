"""The demo provider through the bridge, with the SDKs of a newcomer."""

from tests.sdk.wiring import essence

WEATHER = "What does get_weather say?"


def shown_tokens(recorded):
    (usage,) = essence(recorded)["token_usages"]
    return usage


async def test_every_api_answers_and_is_recorded_in_a_stream_and_at_once(running, wiring, demo):
    openai, anthropic = wiring.openai("demo"), wiring.anthropic("demo")
    hello = [{"role": "user", "content": "Hello"}]
    chat = await openai.chat.completions.create(model="demo", messages=hello)
    response = await openai.responses.create(model="demo", input="Hello")
    message = await anthropic.messages.create(model="demo", max_tokens=99, messages=hello)
    async with openai.chat.completions.stream(
        model="demo", messages=hello, stream_options={"include_usage": True}
    ) as stream:
        streamed_chat = await stream.get_final_completion()
    async with openai.responses.stream(model="demo", input="Hello") as stream:
        streamed_response = await stream.get_final_response()
    async with anthropic.messages.stream(model="demo", max_tokens=99, messages=hello) as stream:
        streamed_message = await stream.get_final_message()
    texts = {
        chat.choices[0].message.content,
        response.output_text,
        message.content[0].text,
        streamed_chat.choices[0].message.content,
        streamed_response.output_text,
        streamed_message.content[0].text,
    }
    assert len(texts) == 1
    assert "You asked: “Hello”." in texts.pop()

    listed = (await running.ended(6))[::-1]
    assert [recorded["streaming"] for recorded in listed] == [False] * 3 + [True] * 3
    for recorded in listed:
        assert (recorded["provider"], recorded["provider_name"], recorded["model"]) == ("demo", "demo", "demo")
        assert recorded["end_reason"] == "completed"
        assert essence(recorded)["user_prompts"] == ["Hello"]
    for recorded, usage in zip(listed, (chat.usage, response.usage, message.usage, streamed_chat.usage), strict=False):
        counts = usage.to_dict()
        said = shown_tokens(recorded)
        assert said["output_tokens"] == counts.get("completion_tokens", counts.get("output_tokens"))
        assert said["input_tokens"] - said["cache_read_input_tokens"] in {0, 1}


async def test_a_tool_loop_is_two_calls_of_which_only_the_first_has_a_prompt_and_a_tool(running, wiring, demo):
    anthropic = wiring.anthropic("demo")
    tools = [{"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]
    turns = [{"role": "user", "content": WEATHER}]
    async with anthropic.messages.stream(model="demo", max_tokens=99, messages=turns, tools=tools) as stream:
        first = await stream.get_final_message()
    call = first.content[-1]
    assert (call.name, call.input) == ("get_weather", {"city": "demo"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = await anthropic.messages.create(model="demo", max_tokens=99, messages=turns, tools=tools)
    assert call.id in second.content[0].text

    answered, requested = await running.ended(2)
    assert essence(requested)["user_prompts"] == [WEATHER]
    assert essence(requested)["tool_usages"] == [(call.id, "get_weather", '{"city": "demo"}')]
    assert essence(answered)["user_prompts"] == []
    assert essence(answered)["tool_usages"] == []


async def test_each_sdk_lists_the_models_without_a_record(running, wiring, demo):
    for client in (wiring.openai("demo"), wiring.anthropic("demo")):
        models = [model.id async for model in client.models.list()]
        assert models == ["demo", "demo-error"]
    await running.ended(0)
