"""The AI SDK of Vercel, with a token of the bridge, over each API that it speaks."""

from dataclasses import replace
from pathlib import Path

import pytest

from settings import ProviderSettings
from tests.clients import answers
from tests.clients.command_line_client import ANSWER, PROMPT, program
from upstream.providers.presets import ProviderType

pytestmark = pytest.mark.night

PROGRAM = Path(__file__).parent / "programs/vercel_ai.mjs"
OPENAI = ("openai/v1", ("Authorization", "Bearer sk-openai-provider-key"))
ANTHROPIC = ("anthropic/v1", ("X-Api-Key", "sk-anthropic-provider-key"))
GEMINI = ("gemini/v1beta", ("X-Goog-Api-Key", "AIza-of-the-bridge"))


TURNS = (
    ("openai", OPENAI, answers.responses, answers.used(15)),
    ("chat", OPENAI, answers.chat, answers.used(15)),
    ("anthropic", ANTHROPIC, answers.messages, answers.used(20, write=3)),
    ("google", GEMINI, answers.gemini, answers.used(15)),
)


@pytest.mark.bridge(further_providers=(ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),))
@pytest.mark.gen_test(timeout=90)
async def test_a_turn_with_a_tool_goes_through_over_each_api_and_is_recorded(running, client, url, check_turn):
    program("ai", "package.json")
    providers = running.bridge.providers
    providers["gemini"] = replace(providers["gemini"], base_url=running.upstream.url)
    running.upstream.scripts[:] = [one for api, _, script, _ in TURNS for one in script("make", {"path": f"{api}.txt"})]
    environ = {"TOKEN": running.token, "MODEL": "a-model", "PROMPT": PROMPT}
    apis = [f"{api}={url}/{path}" for api, (path, _), _, _ in TURNS]
    assert await client.run("node", PROGRAM, *apis, **environ) == ANSWER * len(TURNS)
    for number, (api, (_, key), _, tokens) in enumerate(TURNS):
        assert (client.work / f"{api}.txt").read_text() == "by the tool\n"
        turn = {"turn": number, "turns": len(TURNS)}
        await check_turn("Vercel AI SDK", "make", {"path": f"{api}.txt"}, key=key, tokens=tokens, **turn)
