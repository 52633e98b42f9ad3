import json
from dataclasses import replace

import pytest

from settings import ProviderSettings
from tests.handlers.dataplane.services.sockets.conftest import bridge_settings, provider
from tests.handlers.dataplane.services.sockets.socket_provider import USAGE, event, events
from tests.intercept.dialects.openai.test_realtime import USAGE as REALTIME_USAGE
from tests.sdk.libraries import openai_sdk
from upstream.providers.presets import ProviderType

__all__ = ["bridge_settings", "provider"]


async def test_responses_over_one_websocket_of_the_sdk_are_recorded_one_by_one(running, openai, provider):
    async with openai.responses.connect() as connection:
        upstream = await provider.connections.get()
        for number in (1, 2):
            await connection.response.create(model="gpt-5", input=f"prompt {number}")
            requested = json.loads(await provider.received.get())
            assert (requested["type"], requested["input"]) == ("response.create", f"prompt {number}")
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


class TestOfAzure:
    """A provider of the type `azure`: its clients put `/openai` before the paths."""

    @pytest.fixture
    def bridge_settings(self, bridge_settings):
        azure = ProviderSettings("azure", ProviderType.AZURE, "", ("azure-key",))
        return bridge_settings | {"further_providers": (azure,)}

    @pytest.fixture
    def address(self, running, provider):
        """Where the bridge has it, without a scheme."""
        providers = running.bridge.providers
        providers["azure"] = replace(providers["azure"], base_url=provider.url.removesuffix("v1/"))
        return f"127.0.0.1:{running.port}/api/v2/aibridge/azure"

    async def test_the_azure_client_opens_the_realtime_api_by_its_deployment(self, running, address, provider):
        async with (
            openai_sdk.AsyncAzureOpenAI(
                azure_endpoint=f"http://{address}",
                websocket_base_url=f"ws://{address}/openai",  # by itself it takes TLS for granted here
                api_version="2026-01-01",
                api_key=running.token,
            ) as client,
            client.realtime.connect(model="my-realtime") as connection,
        ):
            upstream = await provider.connections.get()
            (request,) = provider.requests
            assert request.path == "/openai/realtime?api-version=2026-01-01&deployment=my-realtime"
            await connection.response.create()
            await provider.received.get()
            await upstream.send(event("response.created", "resp_1"))
            response = {"id": "resp_1", "status": "completed", "usage": REALTIME_USAGE, "output": []}
            await upstream.send(json.dumps({"type": "response.done", "response": response}))
            assert [(await connection.recv()).type for _ in range(2)] == ["response.created", "response.done"]
        (recorded,) = await running.ended(1)
        assert (recorded["provider"], recorded["model"], recorded["end_reason"]) == (
            "azure",
            "my-realtime",
            "completed",
        )
