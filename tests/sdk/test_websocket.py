from __future__ import annotations

import json

import pytest

from tests.handlers.dataplane.socket_provider import USAGE, SocketProvider, event, events
from tests.intercept.dialects.openai.test_realtime import USAGE as REALTIME_USAGE


@pytest.fixture
def provider(io_loop):
    provider = SocketProvider()
    io_loop.run_sync(provider.start)
    yield provider
    io_loop.run_sync(provider.stop)


@pytest.fixture
def bridge_settings(bridge_settings, provider):
    return {"openai_base_url": provider.url} | bridge_settings


@pytest.mark.gen_test(timeout=30)
async def test_responses_over_one_websocket_of_the_sdk_are_recorded_one_by_one(running, openai, provider):
    async with openai.responses.connect() as connection:
        upstream = await provider.connections.get()
        for number in (1, 2):
            await connection.response.create(model="gpt-5", input=f"prompt {number}")
            asked = json.loads(await provider.received.get())
            assert (asked["type"], asked["input"]) == ("response.create", f"prompt {number}")
            for one in events(f"resp_{number}"):
                await upstream.send(one)
            kinds = [(await connection.recv()).type for _ in range(3)]
            assert kinds == ["response.created", "response.output_text.delta", "response.completed"]
    second, first = await running.ended(2)
    assert [one["user_prompts"][0]["prompt"] for one in (first, second)] == ["prompt 1", "prompt 2"]
    assert {one["end_reason"] for one in (first, second)} == {"completed"}
    assert {one["client"] for one in (first, second)} == {"OpenAI SDK (Python)"}
    assert running.tokens(first)["output_tokens"] == USAGE["output_tokens"]


@pytest.mark.gen_test(timeout=60)
async def test_responses_of_the_realtime_api_of_the_sdk_are_recorded_one_by_one(running, openai, provider):
    async with openai.realtime.connect(model="gpt-realtime") as connection:
        upstream = await provider.connections.get()
        assert provider.requests[0].path == "/v1/realtime?model=gpt-realtime"
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello"}]}
        await connection.conversation.item.create(item=item)
        await connection.response.create(response={"output_modalities": ["text"]})
        kinds = [json.loads(await provider.received.get())["type"] for _ in range(2)]
        assert kinds == ["conversation.item.create", "response.create"]
        await upstream.send(event("response.created", "resp_1"))
        response = {"id": "resp_1", "status": "completed", "usage": REALTIME_USAGE, "output": []}
        await upstream.send(json.dumps({"type": "response.done", "response": response}))
        assert (await connection.recv()).type == "response.created"
        done = await connection.recv()
        assert done.response.usage.input_token_details.cached_tokens == 64
    (recorded,) = await running.ended(1)
    assert (recorded["user_prompts"][0]["prompt"], recorded["end_reason"]) == ("Say hello", "completed")
    assert running.tokens(recorded)["input_tokens"] == 68
