"""Claude Code, signed in at the bridge by the settings of the machine alone."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import termios
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.clients import answers
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, program

pytestmark = pytest.mark.night

MODEL = "claude-opus-4-8"
CODE = re.compile(r"(?<![A-Z])[B-Z]{4}-[B-Z]{4}(?![A-Z])")
# The managed settings of a machine are read from this folder alone, so the client gets one of its own.
ETC = ("unshare", "-Urm", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"')
KEPT = ("group", "hosts", "ld.so.cache", "nsswitch.conf", "passwd")


@pytest.fixture
def machine(tmp_path, url):
    """The start of a command that runs on a machine whose settings name the bridge as the gateway."""
    etc = tmp_path / "etc"
    (etc / "claude-code").mkdir(parents=True)
    for name in KEPT:
        if (file := Path("/etc") / name).exists():
            shutil.copy(file, etc)
    settings = {"forceLoginMethod": "gateway", "forceLoginGatewayUrl": f"{url}/anthropic"}
    (etc / "claude-code/managed-settings.json").write_text(json.dumps(settings))
    command = (*ETC, str(etc))
    if subprocess.run((*command, "true"), capture_output=True, check=False).returncode:
        pytest.skip("nobody may mount in a namespace of their own here")
    return command


@asynccontextmanager
async def terminal(client, *command):
    """Run a client in a terminal: what it has shown until now, and its keyboard."""
    keyboard, its_own = os.openpty()
    termios.tcsetwinsize(its_own, (50, 130))
    shown = bytearray()
    loop = asyncio.get_running_loop()

    def read():
        try:
            shown.extend(os.read(keyboard, 65_536))
        except OSError:  # it has ended
            loop.remove_reader(keyboard)

    environ = {"PATH": os.environ["PATH"], "HOME": str(client.home), "TERM": "xterm", "BROWSER": "true"}
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=client.work,
        env=environ,
        start_new_session=True,
        **dict.fromkeys(("stdin", "stdout", "stderr"), its_own),
    )
    os.close(its_own)
    loop.add_reader(keyboard, read)
    try:
        yield shown, keyboard
    finally:
        loop.remove_reader(keyboard)
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        os.close(keyboard)


@pytest.mark.gen_test(timeout=150)
async def test_it_signs_in_gets_its_managed_settings_and_calls(running, client, url, machine):
    claude = program("@anthropic-ai", "claude-code-*/claude")
    folder = {"projects": {str(client.work): {"hasTrustDialogAccepted": True}}}
    client.configure(".claude.json", json.dumps({"hasCompletedOnboarding": True, "theme": "dark"} | folder))
    kept = ".claude/.credentials.json"
    client.configure(kept, json.dumps({"gatewayTrust": {"127.0.0.1": "http-loopback"}}))
    async with terminal(client, *machine, claude, "/login") as (shown, keyboard):
        while not (code := CODE.search(shown.decode(errors="replace"))):
            os.write(keyboard, b"\r")  # it asks whether to connect, as soon as it can read the answer
            await asyncio.sleep(1)
        answer = json.dumps({"user_code": code[0], "answer": "allow"}).encode()
        headers = dict(running.headers)
        answered = await running.request("POST", "/api/v2/aibridge/device/answer", headers, answer)
        assert answered.status == 204
        while True:
            await asyncio.sleep(0.2)
            if "enterpriseGateway" in (client.home / kept).read_text():
                break
    managed = {"permissions": {"deny": ["WebFetch"]}, "companyAnnouncements": ["Tag your calls."]}
    policy = json.dumps({"managed_settings": managed}).encode()
    kept_policy = await running.request("PUT", "/api/v2/aibridge/policies/everyone", headers, policy)
    assert kept_policy.status == 200
    running.upstream.scripts[:] = answers.messages("Bash", {"command": COMMAND, "description": "Make it"}, MODEL)
    output = await client.run(
        *(*machine, claude, "-p", PROMPT, "--model", MODEL, "--allowedTools", "Bash"),
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )
    assert output == f"{ANSWER}\n"
    assert json.loads((client.home / ".claude/remote-settings.json").read_text()) == managed
    made = (await running.get("/api/v2/aibridge/users/me/tokens"))[1]["results"][0]
    assert (made["name"], made["revoked_at"], made["id"] == running.identity.token_id) == ("Claude Code", None, False)
