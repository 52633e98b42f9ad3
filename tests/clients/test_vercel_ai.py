"""The AI SDK of Vercel, with a token of the bridge, over each API that it speaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from settings import ProviderSettings
from tests.clients import answers
from tests.clients.command_line_client import ANSWER, PROMPT, program
from upstream.providers.presets import ProviderType

PROGRAM = Path(__file__).parent / "programs/vercel_ai.mjs"
ARGUMENTS = {"path": "made.txt"}
OPENAI = ("openai/v1", ("Authorization", "Bearer sk-openai-provider-key"))
ANTHROPIC = ("anthropic/v1", ("X-Api-Key", "sk-anthropic-provider-key"))
GEMINI = ("gemini/v1beta", ("X-Goog-Api-Key", "AIza-of-the-bridge"))


@pytest.mark.bridge(further_providers=(ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),))
@pytest.mark.parametrize(
    ("api", "provider", "script", "tokens"),
    [
        ("openai", OPENAI, answers.responses, answers.used(15)),
        ("chat", OPENAI, answers.chat, answers.used(15)),
        ("anthropic", ANTHROPIC, answers.messages, answers.used(20, write=3)),
        ("google", GEMINI, answers.gemini, answers.used(15)),
    ],
    ids=["responses", "chat", "messages", "gemini"],
)
@pytest.mark.gen_test(timeout=90)
async def test_a_turn_with_a_tool_goes_through_and_is_recorded(
    running, client, url, check_turn, *, api, provider, script, tokens
):
    program("ai", "package.json")
    path, key = provider
    providers = running.bridge.providers
    providers["gemini"] = replace(providers["gemini"], base_url=running.upstream.url)
    running.upstream.scripts[:] = script("make", ARGUMENTS)
    environ = {"BASE_URL": f"{url}/{path}", "TOKEN": running.token, "MODEL": "a-model", "PROMPT": PROMPT}
    assert await client.run("node", PROGRAM, api, **environ) == ANSWER
    assert client.made == "by the tool\n"
    await check_turn("Vercel AI SDK", "make", ARGUMENTS, key=key, tokens=tokens)
