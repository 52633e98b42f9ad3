"""Gemini CLI, with a token of the bridge as its API key."""

import json
from dataclasses import replace

import pytest

from settings import ProviderSettings
from tests.clients import answers
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, RESULT, program
from upstream.providers.presets import ProviderType

pytestmark = pytest.mark.night

MODEL = "gemini-3-pro"
SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False},
}


@pytest.mark.bridge(further_providers=(ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),))
@pytest.mark.gen_test(timeout=90)
async def test_a_turn_with_a_tool_goes_through_and_is_recorded(running, client, url):
    providers = running.bridge.providers
    providers["gemini"] = replace(providers["gemini"], base_url=running.upstream.url)
    running.upstream.scripts[:] = answers.gemini("run_shell_command", {"command": COMMAND})
    client.configure(".gemini/settings.json", json.dumps(SETTINGS))
    output = await client.run(
        *("node", program("@google/gemini-cli", "bundle/gemini.js"), "--prompt", PROMPT),
        *("--model", MODEL, "--yolo", "--skip-trust"),
        GOOGLE_GEMINI_BASE_URL=f"{url}/gemini",
        GEMINI_API_KEY=running.token,
        GEMINI_CLI_NO_RELAUNCH="true",  # it would start itself again, with more memory
    )
    assert (output, client.made) == (f"{ANSWER}\n", "by the tool\n")
    first, second = running.upstream.requests
    for request in (first, second):
        assert request.target == f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
        assert request.header("X-Goog-Api-Key") == ["AIza-of-the-bridge"]
        assert running.token not in str(request)
    (part,) = json.loads(second.body)["contents"][-1]["parts"]
    assert part["functionResponse"]["name"] == "run_shell_command"
    assert RESULT in part["functionResponse"]["response"]["output"]
    ended, began = await running.ended(2)
    for recorded in (began, ended):
        assert (recorded["client"], recorded["model"], recorded["end_reason"]) == ("Gemini CLI", MODEL, "completed")
        assert running.tokens(recorded) == answers.used(15)
    assert [one["prompt"] for one in began["user_prompts"]] == [PROMPT]
    assert [(one["tool"], json.loads(one["input"])) for one in began["tool_usages"]] == [
        ("run_shell_command", {"command": COMMAND})
    ]
    assert (ended["user_prompts"], ended["tool_usages"]) == ([], [])
