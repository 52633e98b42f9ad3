"""Claude Code, with a token of the bridge."""

import json

import pytest

from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, RESULT, program
from tests.sdk.wiring import stream, tokens, typed_events

MODEL = "claude-opus-4-8"


def message(id_, block, *deltas, reason):
    """The events of a message of one block."""
    usage = {"input_tokens": 20, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 3, "output_tokens": 1}
    start = {"id": id_, "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": usage}
    return stream(
        typed_events(
            [
                {"type": "message_start", "message": start | {"stop_reason": None, "stop_sequence": None}},
                {"type": "content_block_start", "index": 0, "content_block": block},
                *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
                {"type": "content_block_stop", "index": 0},
                {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 7}},
                {"type": "message_stop"},
            ]
        )
    )


TOOL = message(
    "msg_1",
    {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}},
    {"type": "input_json_delta", "partial_json": json.dumps({"command": COMMAND, "description": "Make it"})},
    reason="tool_use",
)
END = message("msg_2", {"type": "text", "text": ""}, {"type": "text_delta", "text": ANSWER}, reason="end_turn")


@pytest.mark.gen_test(timeout=90)
async def test_a_turn_with_a_tool_goes_through_and_is_recorded(running, client, url):
    running.upstream.scripts[:] = [TOOL, END]
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
    result = json.loads(second.body)["messages"][-1]["content"][0]
    assert (result["type"], result["tool_use_id"], result["content"]) == ("tool_result", "toolu_1", RESULT)
    ended, began = await running.ended(2)
    for recorded in (began, ended):
        assert (recorded["client"], recorded["model"], recorded["end_reason"]) == ("Claude Code", MODEL, "completed")
        assert running.tokens(recorded) == {
            name: value for name, value in tokens(20, 7, read=5, write=3).items() if name != "source"
        }
    assert began["client_session_id"] == ended["client_session_id"] is not None
    assert [one["prompt"] for one in began["user_prompts"]] == [PROMPT]
    assert [(one["tool"], json.loads(one["input"])["command"]) for one in began["tool_usages"]] == [("Bash", COMMAND)]
    assert (ended["user_prompts"], ended["tool_usages"]) == ([], [])
