import json

import pytest

from tests.clients.answers import used
from tests.clients.command_line_client import PROMPT, Client


@pytest.fixture
def client(tmp_path):
    """A client of the command line that was never run before."""
    return Client(tmp_path / "client")


@pytest.fixture
def url(running):
    """Where the providers of the bridge are, as users give it to clients."""
    return f"http://127.0.0.1:{running.port}/api/v2/aibridge"


@pytest.fixture
def check_turn(running):
    """Checks a turn with a tool: what reached the provider, and both records. `turn` is its number of `turns`."""

    async def check_turn(name, tool, arguments, *, key, tokens=None, prompt=PROMPT, turn=0, turns=1):
        header, value = key
        for request in running.upstream.requests[2 * turn :][:2]:
            assert request.header(header) == [value]
            assert running.token not in str(request)
        began, ended = (await running.ended(2 * turns))[::-1][2 * turn :][:2]
        for recorded in (began, ended):
            assert (recorded["client"], recorded["end_reason"]) == (name, "completed")
            assert running.tokens(recorded) == (tokens or used(15))
        assert [one["prompt"] for one in began["user_prompts"]] == [prompt]
        (called,) = began["tool_usages"]
        assert called["tool"] == tool
        assert json.loads(called["input"]).items() >= arguments.items()
        assert (ended["user_prompts"], ended["tool_usages"]) == ([], [])
        return began, ended

    return check_turn
