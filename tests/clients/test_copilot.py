"""The command line of GitHub Copilot, with the bridge as its provider and a token as its key."""

import pytest

from tests.clients import answers
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, program

pytestmark = pytest.mark.night


@pytest.mark.gen_test(timeout=90)
async def test_a_turn_with_a_tool_goes_through_and_is_recorded(running, client, url, check_turn):
    running.upstream.scripts[:] = answers.chat("bash", {"command": COMMAND, "description": "Make it"})
    output = await client.run(
        *(program("@github/copilot-linux-x64", "copilot"), "-p", PROMPT, "--allow-all-tools", "--no-auto-update"),
        COPILOT_OFFLINE="true",
        COPILOT_PROVIDER_BASE_URL=f"{url}/openai/v1",
        COPILOT_PROVIDER_API_KEY=running.token,
        COPILOT_PROVIDER_WIRE_API="completions",
        COPILOT_MODEL="gpt-5.5",
    )
    assert ANSWER in output
    assert client.made == "by the tool\n"
    key = ("Authorization", "Bearer sk-openai-provider-key")
    await check_turn("GitHub Copilot (CLI)", "bash", {"command": COMMAND}, key=key)
