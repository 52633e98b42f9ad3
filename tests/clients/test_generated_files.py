"""Codex and Gemini CLI on a machine that has the files which the bridge makes of its policies."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from settings import ProviderSettings
from tests.clients import answers
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, program
from tests.clients.test_claude_code_desk import ETC, KEPT
from tests.clients.test_codex import END, TOOL
from tests.sdk.wiring import stream, typed_events
from upstream.providers.presets import ProviderType

pytestmark = pytest.mark.night


@pytest.fixture
def machine(running, tmp_path):
    """Makes a machine with the files for an agent; the start of a command that runs on it."""
    if subprocess.run((*ETC, str(tmp_path), "true"), capture_output=True, check=False).returncode:
        pytest.skip("nobody may mount in a namespace of their own here")

    async def machine(agent):
        etc = tmp_path / "etc"
        etc.mkdir()
        for name in KEPT:
            if (file := Path("/etc") / name).exists():
                shutil.copy(file, etc)
        address = f"http://127.0.0.1:{running.port}"
        status, files = await running.get(f"/api/v2/aibridge/desk/files?client={agent}&address={address}")
        assert status == 200
        for one in files["results"]:
            file = etc / Path(one["path"]).relative_to("/etc")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(one["content"])
        return (
            *(*ETC, str(etc)),
            "sh",
            "-c",
            'for file in /etc/profile.d/*; do [ -f "$file" ] && . "$file"; done; exec "$@"',
            "sh",
        )

    return machine


async def models(running, *names):
    body = b'{"models": {"allow": [%b]}}' % b", ".join(b'"%b"' % name.encode() for name in names)
    set_ = await running.request("PUT", "/api/v2/aibridge/policies/everyone", dict(running.headers), body)
    assert set_.status == 200


@pytest.mark.gen_test(timeout=90)
async def test_codex_calls_the_model_that_the_policies_allow(running, client, machine):
    await models(running, "gpt-5.5")
    running.upstream.scripts[:] = [stream(typed_events(TOOL)), stream(typed_events(END))]
    output = await client.run(
        *(*await machine("codex"), "node", program("@openai/codex", "bin/codex.js"), "exec", "--skip-git-repo-check"),
        *("--dangerously-bypass-approvals-and-sandbox", PROMPT),
        AIBRIDGE_TOKEN=running.token,
    )
    assert (output, client.made) == (f"{ANSWER}\n", "by the tool\n")
    assert {one["model"] for one in await running.ended(2)} == {"gpt-5.5"}


@pytest.mark.bridge(further_providers=(ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),))
@pytest.mark.gen_test(timeout=90)
async def test_gemini_cli_calls_the_model_that_the_policies_allow(running, client, machine):
    await models(running, "gemini-2.5-flash")
    providers = running.bridge.providers
    providers["gemini"] = replace(providers["gemini"], base_url=running.upstream.url)
    running.upstream.scripts[:] = answers.gemini("run_shell_command", {"command": COMMAND})
    output = await client.run(
        *(*await machine("gemini"), "node", program("@google/gemini-cli", "bundle/gemini.js")),
        *("--prompt", PROMPT, "--yolo", "--skip-trust"),
        GEMINI_API_KEY=running.token,
        GEMINI_CLI_NO_RELAUNCH="true",
    )
    assert (output, client.made) == (f"{ANSWER}\n", "by the tool\n")
    assert {one["model"] for one in await running.ended(2)} == {"gemini-2.5-flash"}
