"""aider, with a token of the bridge."""

from pathlib import Path

import pytest

from tests.clients import answers
from tests.clients.command_line_client import PROMPT
from tests.sdk.wiring import data_events, stream

pytestmark = pytest.mark.night

AIDER = Path(__file__).parents[2] / ".venv/aider/bin/aider"
EDIT = "made.txt\n```\nby the model\n```\n"


@pytest.mark.skipif(not AIDER.exists(), reason="aider takes 0.6 GB and is not installed (make .venv/aider does it)")
@pytest.mark.gen_test(timeout=90)
async def test_an_edit_goes_through_and_is_recorded(running, client, url):
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.5"}
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": EDIT}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": answers.CHAT_USAGE},
    ]
    running.upstream.play(*stream(data_events([head | one for one in chunks])))
    await client.run(
        *(AIDER, "--model", "openai/gpt-5.5", "--message", PROMPT, "--edit-format", "whole", "--no-git"),
        *(
            "--yes-always",
            "--no-check-update",
            "--analytics-disable",
            "--no-show-model-warnings",
            "--no-show-release-notes",
        ),
        OPENAI_API_BASE=f"{url}/openai/v1",
        OPENAI_API_KEY=running.token,
    )
    assert client.made == "by the model\n"
    (request,) = running.upstream.requests
    assert request.header("Authorization") == ["Bearer sk-openai-provider-key"]
    (recorded,) = await running.ended(1)
    assert (recorded["model"], recorded["end_reason"], recorded["streaming"]) == ("gpt-5.5", "completed", True)
    assert running.tokens(recorded) == answers.used(15)  # aider asks for no usage: the bridge does
