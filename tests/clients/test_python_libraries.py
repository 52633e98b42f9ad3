"""LangChain, OpenAI's Agents SDK over a WebSocket, and llm, in an environment of their own, with a token of the bridge."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.clients import answers
from tests.clients.command_line_client import ANSWER, PROMPT, python
from tests.handlers.dataplane.services.sockets.socket_provider import SocketProvider

pytestmark = pytest.mark.night

PROGRAMS = Path(__file__).parent / "programs"
ARGUMENTS = {"path": "made.txt"}
OPENAI_KEY = ("Authorization", "Bearer sk-openai-provider-key")
ANTHROPIC_KEY = ("X-Api-Key", "sk-anthropic-provider-key")


@pytest.fixture
def environ(running):
    """What the programs are told in their environment, beside where the bridge is."""
    return {"TOKEN": running.token, "PROMPT": PROMPT}


@pytest.mark.gen_test(timeout=90)
async def test_langchain_takes_a_turn_with_a_tool_over_either_api(running, client, url, environ, check_turn):
    first, second = {"path": "made.txt"}, {"path": "also.txt"}
    running.upstream.scripts[:] = answers.chat("make", first) + answers.messages("make", second)
    urls = {"OPENAI_URL": f"{url}/openai/v1", "ANTHROPIC_URL": f"{url}/anthropic"}
    assert await client.run(python(), PROGRAMS / "langchain_tools.py", **urls, **environ) == ANSWER * 2
    assert client.made == (client.work / "also.txt").read_text() == "by the tool\n"
    await check_turn("OpenAI SDK (Python)", "make", first, key=OPENAI_KEY, turns=2)
    tokens = answers.used(20, write=3)
    await check_turn("LangChain (Python)", "make", second, key=ANTHROPIC_KEY, tokens=tokens, turn=1, turns=2)


@pytest.mark.gen_test(timeout=90)
async def test_llm_streams_an_answer(running, client, url):
    model = {"model_id": "bridge", "model_name": "a-model", "api_base": f"{url}/openai/v1", "api_key_name": "aibridge"}
    client.configure("llm/extra-openai-models.yaml", json.dumps([model]))
    client.configure("llm/keys.json", json.dumps({"aibridge": running.token}))
    running.upstream.scripts[:] = answers.chat("make", ARGUMENTS)[1:]
    output = await client.run(
        python(), "-m", "llm", "--model", "bridge", PROMPT, LLM_USER_PATH=str(client.home / "llm")
    )
    assert output == f"{ANSWER}\n"
    (request,) = running.upstream.requests
    assert request.header("Authorization") == ["Bearer sk-openai-provider-key"]
    (recorded,) = await running.ended(1)
    assert (recorded["model"], recorded["end_reason"], recorded["streaming"]) == ("a-model", "completed", True)
    assert running.tokens(recorded) == answers.used(15)
    assert [one["prompt"] for one in recorded["user_prompts"]] == [PROMPT]


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
    async def test_openais_agents_take_a_turn_with_a_tool(self, client, url, environ, check_turn, provider):
        program = PROGRAMS / "openai_agent.py"
        turn = asyncio.ensure_future(client.run(python(), program, BASE_URL=f"{url}/openai/v1", **environ))
        upstream = await provider.connections.get()
        requested = []
        for events in answers.response_events("make", ARGUMENTS):
            requested.append(json.loads(await provider.received.get()))
            for event in events:
                await upstream.send(json.dumps(event))
        assert await turn == ANSWER
        assert client.made == "by the tool\n"
        assert [one["type"] for one in requested] == ["response.create"] * 2
        assert requested[1]["input"][-1]["call_id"] == "call_1"
        (handshake,) = provider.requests
        assert handshake.headers["Authorization"] == "Bearer sk-openai-provider-key"
        await check_turn("OpenAI Agents SDK (Python)", "make", ARGUMENTS, key=OPENAI_KEY)
