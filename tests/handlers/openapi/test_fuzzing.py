"""Schemathesis requests what the description of the control plane allows and forbids: every response is described."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from contextlib import suppress

import pytest
from hypothesis.configuration import storage_directory

from tests.handlers.contract import Contract, strict
from tests.handlers.conversations import ALL

pytestmark = pytest.mark.night
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
# A search has a grammar of its own, and two cursors at once are refused: what the schema allows may still be a 400. A
# username may be taken. Who asks is an owner and may make another one, and then a member of itself: from then on it is
# refused with 403. A group may be changed meanwhile. What is invalid may be too large as well.
CONFIG = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "304", "400", "401", "403", "404", "409", "412"]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "408", "409", "412", "413", "415", "429", "431"]
[phases.coverage]
unexpected-methods = ["TRACE"]
"""
OPTIONS = (
    *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", "10"),
    *("--max-failures", "5", "--suppress-health-check", "all"),
    *("--exclude-method", "HEAD", "--exclude-operation-id", "watchInterceptions"),  # whose response has no end
    *("--request-timeout", "30", "--warnings", "off", "--no-color"),
    # In CI the same requests each time, so that a change is refused for what it does.
    *(("--seed", "1") if "CI" in os.environ else ()),
)


@pytest.fixture
def fuzz(running, tmp_path):
    """Run schemathesis, a process of its own, over the operations that have these tags; what it had to say, if anything."""

    async def fuzz(*tags):
        document = strict(Contract().document) | {"security": [{"BearerToken": []}]}
        served = {path for _, path, operation, _ in Contract().operations() if {*tags} & {*operation["tags"]}}
        document["paths"] = {path: document["paths"][path] for path in served}
        (tmp_path / "openapi.json").write_text(json.dumps(document))
        (tmp_path / "schemathesis.toml").write_text(CONFIG)
        only = [option for tag in tags for option in ("--include-tag", tag)]
        server = ("--url", f"http://127.0.0.1:{running.port}", "--header", f"Authorization: Bearer {running.token}")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", *OPTIONS, *server, *only),
            cwd=tmp_path,
            # The folder has what takes it 3 s. It reads its whole environment twice for every request. Plugins load pytest.
            env={
                "PATH": os.environ["PATH"],
                "HYPOTHESIS_STORAGE_DIRECTORY": str(storage_directory().path),
                "HYPOTHESIS_NO_PLUGINS": "1",
            },
            stdout=PIPE,
            stderr=STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        return process.returncode, output.decode()

    return fuzz


# Who asks may revoke their own token: what follows is 401, however much it is.
@pytest.mark.hypothesis
@pytest.mark.bridge(authentication_failure_limit=0)
@pytest.mark.gen_test(timeout=120)
async def test_whatever_the_control_plane_is_asked_it_answers_as_described(running, fuzz):
    for conversation in ALL:
        running.upstream.scripts[:] = [(HEAD % len(conversation.body), conversation.body)]
        client = await running.client()
        body = conversation.request_body(stream=False)
        assert (await client.request("POST", running.path(conversation), running.headers, body)).status == 200
    await running.ended(3)
    status, output = await fuzz(
        "interceptions", "sessions", "names", "statistics", "limits", "users", "groups", "audit", "operation"
    )
    assert status == 0, output
