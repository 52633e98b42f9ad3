"""OpenCode, with a token of the bridge."""

import json

import pytest

from tests.clients import answers
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, program

pytestmark = pytest.mark.night

MODEL = "claude-opus-4-8"


@pytest.mark.gen_test(timeout=90)
async def test_a_turn_with_a_tool_goes_through_and_is_recorded(running, client, url, check_turn):
    running.upstream.scripts[:] = answers.messages("bash", {"command": COMMAND, "description": "Make it"}, MODEL)
    settings = {
        "autoupdate": False,
        "share": "disabled",
        "agent": {"title": {"disable": True}},  # else a second model is asked for a title, at the same time
        "permission": {"bash": "allow"},
        "provider": {"anthropic": {"options": {"baseURL": f"{url}/anthropic/v1", "apiKey": running.token}}},
    }
    (client.work / "opencode.json").write_text(json.dumps(settings))
    output = await client.run(
        *(program("opencode-linux-x64", "bin/opencode"), "run", "--model", f"anthropic/{MODEL}", *PROMPT.split()),
        OPENCODE_DISABLE_MODELS_FETCH="true",  # it would try for seconds to get a list of models
        OPENCODE_DISABLE_DEFAULT_PLUGINS="true",
    )
    assert ANSWER in output
    assert client.made == "by the tool\n"
    key = ("X-Api-Key", "sk-anthropic-provider-key")
    began, ended = await check_turn("OpenCode", "bash", {"command": COMMAND}, key=key, tokens=answers.used(20, write=3))
    assert began["client_session_id"] == ended["client_session_id"] is not None
