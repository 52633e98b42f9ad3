"""Codex, with a token of the bridge, over HTTP and over a WebSocket."""

import asyncio
import json

import pytest

from tests.clients import answers
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, RESULT, program
from tests.handlers.dataplane.services.sockets.socket_provider import SocketProvider
from tests.sdk.wiring import stream, typed_events

pytestmark = pytest.mark.night

MODEL = "gpt-5.5"
CONFIG = """
model = "{model}"
model_provider = "aibridge"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.aibridge]
name = "AI Bridge"
base_url = "{url}/openai/v1"
env_key = "AIBRIDGE_TOKEN"
wire_api = "responses"
supports_websockets = {websocket}

[otel]
exporter = {{ otlp-http = {{ endpoint = "{url}/anthropic/v1/logs", protocol = "binary", headers = {{ Authorization = "Bearer {token}" }} }} }}
"""
WARM_UP = [
    {"type": "response.created", "response": {"id": "resp_0"}},
    {"type": "response.completed", "response": {"id": "resp_0", "output": []}},
]
TOOL, END = answers.response_events("exec_command", {"cmd": COMMAND})


@pytest.fixture
def codex(running, client, url):
    """Runs Codex with the configuration of the README."""
    codex_js = program("@openai/codex", "bin/codex.js")

    async def codex(*, websocket):
        config = CONFIG.format(model=MODEL, url=url, websocket=json.dumps(websocket), token=running.token)
        client.configure(".codex/config.toml", config)
        return await client.run(
            *("node", codex_js, "exec", "--skip-git-repo-check"),
            *("--dangerously-bypass-approvals-and-sandbox", PROMPT),
            AIBRIDGE_TOKEN=running.token,
        )

    return codex


def check_records(running, began, ended):
    for recorded in (began, ended):
        assert (recorded["client"], recorded["model"], recorded["end_reason"]) == ("Codex", MODEL, "completed")
        assert running.tokens(recorded) == answers.used(15)
    assert began["client_session_id"] == ended["client_session_id"] is not None
    assert [one["prompt"] for one in began["user_prompts"]] == [PROMPT]
    assert [(one["tool"], json.loads(one["input"])) for one in began["tool_usages"]] == [
        ("exec_command", {"cmd": COMMAND})
    ]
    assert (ended["user_prompts"], ended["tool_usages"]) == ([], [])


@pytest.mark.gen_test(timeout=90)
async def test_a_turn_with_a_tool_goes_through_and_is_recorded(running, client, codex):
    running.upstream.scripts[:] = [stream(typed_events(TOOL)), stream(typed_events(END))]
    assert await codex(websocket=False) == f"{ANSWER}\n"
    assert client.made == "by the tool\n"
    await running.bridge.client_events.flush()
    said = [event async for event in running.bridge.database.client_events.find()]
    assert sorted(event["name"] for event in said) == ["api_request", "api_request", "tool_decision", "tool_result"]
    assert {event.get("tool_call_id") for event in said} == {None, "call_1"}
    assert {event["session_id"] for event in said} == {(await running.ended(2))[0]["client_session_id"]}
    first, second = running.upstream.requests
    for request in (first, second):
        assert request.header("Authorization") == ["Bearer sk-openai-provider-key"]
        assert running.token not in str(request)
    result = json.loads(second.body)["input"][-1]
    assert (result["type"], result["call_id"]) == ("function_call_output", "call_1")
    assert RESULT in result["output"]
    ended, began = await running.ended(2)
    check_records(running, began, ended)


class TestOverAWebSocket:
    @pytest.fixture
    def provider(self, io_loop):
        provider = SocketProvider()
        io_loop.run_sync(provider.start)
        yield provider
        io_loop.run_sync(provider.stop)

    @pytest.fixture
    def bridge_settings(self, bridge_settings, provider):
        return {"openai_base_url": provider.url} | bridge_settings

    @pytest.mark.gen_test(timeout=90)
    async def test_a_turn_with_a_tool_goes_through_and_is_recorded(self, running, client, codex, provider):
        running_codex = asyncio.ensure_future(codex(websocket=True))
        upstream = await provider.connections.get()
        requested = []
        for events in (WARM_UP, TOOL, END):
            requested.append(json.loads(await provider.received.get()))
            for event in events:
                await upstream.send(json.dumps(event))
        assert await running_codex == f"{ANSWER}\n"
        assert client.made == "by the tool\n"
        assert [(one["type"], one.get("generate", True)) for one in requested] == [
            ("response.create", False),
            ("response.create", True),
            ("response.create", True),
        ]
        assert provider.requests[0].headers["Authorization"] == "Bearer sk-openai-provider-key"
        result = requested[2]["input"][-1]
        assert (result["type"], result["call_id"]) == ("function_call_output", "call_1")
        assert RESULT in result["output"]
        ended, began, warm_up = await running.ended(3)
        check_records(running, began, ended)
        assert (warm_up["end_reason"], warm_up["user_prompts"], warm_up["token_usages"]) == ("completed", [], [])
        assert [one["websocket"]["warm_up"] for one in (warm_up, began, ended)] == [True, False, False]
        assert len({one["websocket"]["id"] for one in (warm_up, began, ended)}) == 1
