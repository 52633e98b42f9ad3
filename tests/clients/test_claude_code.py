"""Claude Code, with a token of the bridge."""

import json

import pytest

from tests.clients import answers
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, RESULT, program

pytestmark = pytest.mark.night

MODEL = "claude-opus-4-8"


@pytest.mark.gen_test(timeout=90)
async def test_a_turn_with_a_tool_goes_through_and_is_recorded(running, client, url):
    running.upstream.scripts[:] = answers.messages("Bash", {"command": COMMAND, "description": "Make it"}, MODEL)
    output = await client.run(
        program("@anthropic-ai", "claude-code-*/claude"),
        *("-p", PROMPT, "--model", MODEL, "--allowedTools", "Bash"),
        ANTHROPIC_BASE_URL=f"{url}/anthropic",
        ANTHROPIC_AUTH_TOKEN=running.token,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )
    assert (output, client.made) == (f"{ANSWER}\n", "by the tool\n")
    first, second = running.upstream.requests
    for request in (first, second):
        assert request.header("X-Api-Key") == ["sk-anthropic-provider-key"]
        assert running.token not in str(request)
    said = [block for one in json.loads(second.body)["messages"] for block in one["content"]]
    (result,) = [block for block in said if isinstance(block, dict) and block["type"] == "tool_result"]
    assert (result["tool_use_id"], result["content"]) == ("toolu_1", RESULT)
    ended, began = await running.ended(2)
    for recorded in (began, ended):
        assert (recorded["client"], recorded["model"], recorded["end_reason"]) == ("Claude Code", MODEL, "completed")
        assert running.tokens(recorded) == answers.used(20, write=3)
    assert began["client_session_id"] == ended["client_session_id"] is not None
    assert [one["prompt"] for one in began["user_prompts"]] == [PROMPT]
    assert [(one["tool"], json.loads(one["input"])["command"]) for one in began["tool_usages"]] == [("Bash", COMMAND)]
    assert (ended["user_prompts"], ended["tool_usages"]) == ([], [])
