"""Gemini CLI, with a token of the bridge as its API key."""

import json
from dataclasses import replace

import pytest

from settings import ProviderSettings
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, RESULT, program
from tests.sdk.wiring import stream, tokens
from upstream.presets import ProviderType

MODEL = "gemini-3-pro"
USAGE = {"promptTokenCount": 20, "cachedContentTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 27}


def chunk(part):
    """A stream of one chunk."""
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    answer = {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": MODEL, "responseId": "r"}
    return stream([b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"])


SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False},
}
TOOL = chunk({"functionCall": {"name": "run_shell_command", "args": {"command": COMMAND}}})
END = chunk({"text": ANSWER})


@pytest.mark.bridge(further_providers=(ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),))
@pytest.mark.gen_test(timeout=90)
async def test_a_turn_with_a_tool_goes_through_and_is_recorded(running, client, url):
    providers = running.bridge.providers
    providers["gemini"] = replace(providers["gemini"], base_url=running.upstream.url)
    running.upstream.scripts[:] = [TOOL, END]
    client.configure(".gemini/settings.json", json.dumps(SETTINGS))
    output = await client.run(
        *("node", program("@google/gemini-cli", "bundle/gemini.js"), "--prompt", PROMPT),
        *("--model", MODEL, "--yolo", "--skip-trust"),
        GOOGLE_GEMINI_BASE_URL=f"{url}/gemini",
        GEMINI_API_KEY=running.token,
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
        assert running.tokens(recorded) == {
            name: value for name, value in tokens(15, 7, read=5).items() if name != "source"
        }
    assert [one["prompt"] for one in began["user_prompts"]] == [PROMPT]
    assert [(one["tool"], json.loads(one["input"])) for one in began["tool_usages"]] == [
        ("run_shell_command", {"command": COMMAND})
    ]
    assert (ended["user_prompts"], ended["tool_usages"]) == ([], [])
