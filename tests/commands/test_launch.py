"""`run`: an agent that is started calls the bridge, and what it came to is said."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import pytest

from commands.launch import AGENTS
from tests.command_line import invoke, refused, succeeded
from tests.derived import derive
from tests.handlers.dataplane.test_call_usage import OPUS, whole

# The first line of a program cannot name an interpreter in a folder with a space.
AGENT = """#!/bin/sh
"exec" "{python}" "$0" "$@"
import json, os, sys, time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

with open({seen!r}, "w") as file:
    json.dump([sys.argv[1:], dict(os.environ)], file)
if home := os.environ.get("GEMINI_CLI_HOME"):
    print(open(home + "/.gemini/settings.json").read(), open(home + "/.gemini/GEMINI.md").read())
if base := os.environ.get("ANTHROPIC_BASE_URL"):
    tags = dict(line.split(": ") for line in os.environ["ANTHROPIC_CUSTOM_HEADERS"].splitlines())
    headers = {{"Authorization": "Bearer " + os.environ["ANTHROPIC_AUTH_TOKEN"], "Content-Type": "application/json", **tags}}
    for path in ("/v1/messages", "/v1/nothing"):
        try:
            print(urlopen(Request(base + path, {body!r}, headers)).status)
        except HTTPError as error:
            print(error.code)
while not os.path.exists({goes_on!r}):
    time.sleep(0.01)
sys.exit(7)
"""


@pytest.fixture
def signed_in(running, tmp_path):
    """The environment of who signed in to the running bridge, and has these agents alone."""
    programs, kept = tmp_path / "bin", tmp_path / "aibridge"
    programs.mkdir()
    kept.mkdir()
    body = OPUS.request_body(stream=False)
    for agent in ("claude", "codex", "gemini"):
        program = programs / agent
        program.write_text(
            AGENT.format(python=sys.executable, seen=str(tmp_path / "seen"), goes_on=str(tmp_path / "go"), body=body)
        )
        program.chmod(0o755)
    login = {"token": running.token, "expires_at": int(time.time()) + 600}
    (kept / "logins.json").write_text(json.dumps({f"http://127.0.0.1:{running.port}": login}))
    environ = {
        "AIBRIDGE_TOKEN": "",
        "XDG_CONFIG_HOME": str(tmp_path),
        "PATH": str(programs),
        "HOME": str(tmp_path),
        "ANTHROPIC_API_KEY": "sk-x",
    }
    return os.environ | environ


@pytest.fixture
def start(signed_in, tmp_path):
    """Starts an agent: its exit status, both outputs, and which arguments and variables it had."""

    async def start(*arguments):
        command = (sys.executable, "server.py", "run", *arguments)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, env=signed_in, stdout=pipe, stderr=pipe)
        output, errors = await process.communicate()
        seen = tmp_path / "seen"
        return (
            process.returncode,
            output.decode(),
            errors.decode(),
            json.loads(seen.read_text()) if seen.exists() else None,
        )

    return start


@pytest.mark.gen_test(timeout=60)
async def test_an_agent_calls_and_what_it_came_to_is_said(running, start, tmp_path):
    running.upstream.play(whole(OPUS))
    started = asyncio.ensure_future(start("claude", "--", "-p", "--model", "opus"))
    await running.ended(1)
    while not await running.bridge.database.refusals.count_documents({}):
        await running.bridge.refusal_recorder.flush()
    await derive(running.bridge.database)
    (tmp_path / "go").touch()
    status, output, errors, (arguments, environ) = await started
    assert (status, output.split(), arguments) == (7, ["200", "404"], ["-p", "--model", "opus"])
    assert "ANTHROPIC_API_KEY" not in environ
    (recorded,) = await running.ended(1)
    tag = f"run={recorded['tags']['run']}"
    url = f"http://127.0.0.1:{running.port}"
    assert errors == f"1 call, US$0.0003, 1 refused: {url}/#/calls?q=tag:{tag}\n"


@pytest.mark.gen_test(timeout=60)
async def test_each_agent_is_told_of_the_bridge_in_its_own_way(running, start, tmp_path):
    (tmp_path / "go").touch()
    base = f"http://127.0.0.1:{running.port}/api/v2/aibridge"
    status, _, errors, (arguments, environ) = await start("--provider", "azure", "codex", "exec")
    assert (status, errors.partition(", ")[0], environ["AIBRIDGE_TOKEN"]) == (7, "0 calls", running.token)
    assert (arguments[::2], arguments[1]) == (["-c", "-c", "exec"], 'model_provider="aibridge"')
    assert f'base_url = "{base}/azure/v1", env_key = "AIBRIDGE_TOKEN", wire_api = "responses"' in arguments[3]
    settings = {"ui": {"theme": "Ayu"}, "security": {"auth": {"selectedType": "oauth-personal"}}}
    own = tmp_path / ".gemini"
    own.mkdir()
    (own / "settings.json").write_text(json.dumps(settings))
    (own / "GEMINI.md").write_text("Be brief.")
    status, output, _, (arguments, environ) = await start("gemini")
    assert output == json.dumps(settings).replace("oauth-personal", "gemini-api-key") + " Be brief.\n"
    assert json.loads((own / "settings.json").read_text()) == settings
    told = {name: environ[name] for name in ("GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY")}
    assert (arguments, told) == ([], {"GOOGLE_GEMINI_BASE_URL": f"{base}/gemini", "GEMINI_API_KEY": running.token})
    assert not await asyncio.to_thread(Path(environ["GEMINI_CLI_HOME"]).exists)
    status, output, errors, _ = await start("opencode")
    assert (status, output) == (1, "")
    assert "there is no program opencode on this machine" in errors


@pytest.mark.parametrize("agent", AGENTS)
def test_what_would_be_set_is_printed_without_the_token(tmp_path, agent):
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    printed = succeeded(invoke("run", "--url", "https://bridge.example", "--print", agent, "--", "a b", **environ))
    assert "https://bridge.example/api/v2/aibridge/" in printed
    assert '="$(python server.py login --print-token https://bridge.example)"\n' in printed
    assert printed.endswith("'a b'\n")


def test_without_a_sign_in_it_is_said_what_to_give(tmp_path):
    code, said = refused(invoke("run", "claude", XDG_CONFIG_HOME=str(tmp_path)))
    assert (code, "run `login URL` first" in said) == (2, True)
