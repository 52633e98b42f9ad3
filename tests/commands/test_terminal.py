"""What people ask the bridge that they signed in to, by a server."""

import asyncio
import csv
import json
import os
import sys
import time
from asyncio.subprocess import PIPE

import pytest

from tests.command_line import invoke, refused, succeeded
from tests.handlers.api.calls import record

UNKNOWN = "01a23a4d-05a8-7053-a930-7f5e137cf29e"


@pytest.fixture
def signed_in(running, tmp_path):
    """The environment of who signed in to the running bridge, and to no other."""
    folder = tmp_path / "aibridge"
    folder.mkdir()
    login = {"token": running.token, "expires_at": int(time.time()) + 600}
    (folder / "logins.json").write_text(json.dumps({f"http://127.0.0.1:{running.port}": login}))
    return {"AIBRIDGE_TOKEN": "", "XDG_CONFIG_HOME": str(tmp_path)}


@pytest.fixture
def ask(signed_in):
    """Has a command asked by who signed in."""

    async def ask(*arguments):
        return await asyncio.to_thread(lambda: invoke(*arguments, **signed_in))

    return ask


async def test_who_signed_in_sees_calls_usage_sessions_and_spend(ask, running):
    id_ = await record(running)
    heading, row = succeeded(await ask("calls", "--q", "status:completed")).splitlines()
    assert (heading.split()[:2], row.endswith(id_)) == (["STARTED", "AT"], True)
    (written,) = csv.DictReader(succeeded(await ask("calls", "-o", "csv")).splitlines())
    assert (written["id"], written["model"]) == (id_, "gpt-5")
    (listed,) = json.loads(succeeded(await ask("calls", "-o", "json")))["results"]
    assert listed["id"] == id_
    assert f"id               {id_}" in succeeded(await ask("why", id_))
    assert succeeded(await ask("usage")).splitlines()[-1] == "No limit holds for the user."
    assert succeeded(await ask("sessions")).startswith("LAST ACTIVE AT")
    assert succeeded(await ask("spend", "--range", "7d")).startswith("GROUP")


async def test_calls_are_followed_each_once_as_json(signed_in, running):
    first = await record(running)
    command = (sys.executable, "server.py", "calls", "-f", "-o", "json", "--q", "status:completed")
    followed = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env=os.environ | signed_in)
    try:
        lines = [await followed.stdout.readline()]
        second = await record(running)
        lines.append(await followed.stdout.readline())
    finally:
        followed.kill()
        await followed.wait()
    assert [json.loads(line)["id"] for line in lines] == [first, second]


async def test_why_says_the_rule_and_whom_to_ask(ask, running):
    response = await running.request("POST", "/api/v2/aibridge/nobody/v1/messages", running.headers, b"{}")
    await running.bridge.refusal_recorder.flush()
    said = succeeded(await ask("why", response.header("Request-Id")))
    assert ("rule       unknown_provider" in said, "changed by the owners" in said) == (True, True)
    code, missing = refused(await ask("why", UNKNOWN))
    assert (code, "no call and no refusal with this request id" in missing) == (1, True)


def test_without_a_sign_in_it_is_said_what_to_give(tmp_path):
    code, said = refused(invoke("usage", XDG_CONFIG_HOME=str(tmp_path)))
    assert (code, "give --url, or run `login URL` first" in said) == (2, True)
