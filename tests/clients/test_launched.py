"""Agents that `run` starts, with nothing set up for them but that somebody signed in to the bridge."""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from settings import ProviderSettings
from tests.clients import answers
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, program
from upstream.providers.presets import ProviderType

pytestmark = pytest.mark.night

ROOT = Path(__file__).parents[2]
OPUS = "claude-opus-4-8"
CLAUDE = ("-p", PROMPT, "--model", OPUS, "--allowedTools", "Bash")
CODEX = ("exec", "-m", "gpt-5.5", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", PROMPT)
GEMINI = ("--prompt", PROMPT, "--model", "gemini-3-pro", "--yolo", "--skip-trust")
OPENCODE = ("run", "--model", f"anthropic/{OPUS}", *PROMPT.split())
BASH = {"command": COMMAND, "description": "Make it"}
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "GEMINI_CLI_NO_RELAUNCH": "true",
    "OPENCODE_DISABLE_MODELS_FETCH": "true",
    "OPENCODE_DISABLE_DEFAULT_PLUGINS": "true",
}


@pytest.mark.parametrize(
    "case",
    [
        (
            "claude",
            CLAUDE,
            ("@anthropic-ai", "claude-code-*/claude"),
            answers.messages("Bash", BASH, OPUS),
            "Claude Code",
        ),
        (
            "codex",
            CODEX,
            ("@openai/codex", "bin/codex.js"),
            answers.responses("exec_command", {"cmd": COMMAND}),
            "Codex",
        ),
        (
            *("gemini", GEMINI, ("@google/gemini-cli", "bundle/gemini.js")),
            *(answers.gemini("run_shell_command", {"command": COMMAND}), "Gemini CLI"),
        ),
        (
            "opencode",
            OPENCODE,
            ("opencode-linux-x64", "bin/opencode"),
            answers.messages("bash", BASH, OPUS),
            "OpenCode",
        ),
    ],
)
@pytest.mark.bridge(further_providers=(ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),))
@pytest.mark.gen_test(timeout=90)
async def test_a_turn_with_a_tool_goes_through(running, client, case):
    agent, arguments, found, scripts, name = case
    providers = running.bridge.providers
    providers["gemini"] = replace(providers["gemini"], base_url=running.upstream.url)
    running.upstream.scripts[:] = scripts
    file = program(*found)
    wrapper = client.home / "bin" / agent
    client.configure(f"bin/{agent}", f'#!/bin/sh\nexec {"node " if file.suffix == ".js" else ""}"{file}" "$@"\n')
    wrapper.chmod(0o755)
    login = {"token": running.token, "expires_at": int(time.time()) + 600}
    client.configure(".config/aibridge/logins.json", json.dumps({f"http://127.0.0.1:{running.port}": login}))
    if agent == "opencode":  # else a second model is asked for a title, at the same time
        settings = {"agent": {"title": {"disable": True}}, "permission": {"bash": "allow"}, "share": "disabled"}
        (client.work / "opencode.json").write_text(json.dumps(settings))
    path = f"{wrapper.parent}:{os.environ['PATH']}"
    output = await client.run(sys.executable, ROOT / "server.py", "run", agent, "--", *arguments, PATH=path, **QUIET)
    assert ANSWER in output
    assert client.made == "by the tool\n"
    recorded = await running.ended(2)
    assert {one["client"] for one in recorded} == {name}
    assert len({one["tags"]["run"] for one in recorded}) == 1
