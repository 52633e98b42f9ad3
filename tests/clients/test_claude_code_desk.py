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

from limits.policies.policy import Budget, Policy, PolicyLimits
from tests.bridge import until
from tests.clients import answers
from tests.clients.command_line_client import ANSWER, COMMAND, PROMPT, program
from tests.handlers.dataplane.test_policies import hold, own

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


@pytest.fixture
def signed_in(running, client, machine):
    """Signs the client in at the bridge by its page of the terminal; the start of its commands then."""

    async def signed_in():
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
            answered = await running.request("POST", "/api/v2/aibridge/device/answer", dict(running.headers), answer)
            assert answered.status == 204
            await until(lambda: "enterpriseGateway" in (client.home / kept).read_text())
        return (*machine, claude)

    return signed_in


@pytest.mark.gen_test(timeout=150)
async def test_it_signs_in_gets_its_managed_settings_and_calls(running, client, signed_in):
    claude = await signed_in()
    managed = {"permissions": {"deny": ["WebFetch"]}, "companyAnnouncements": ["Tag your calls."]}
    policy = json.dumps({"managed_settings": managed, "models": {"allow": [MODEL, "claude-haiku-4-5"]}}).encode()
    kept_policy = await running.request("PUT", "/api/v2/aibridge/policies/everyone", dict(running.headers), policy)
    assert kept_policy.status == 200
    running.upstream.scripts[:] = answers.messages("Bash", {"command": COMMAND, "description": "Make it"}, MODEL)
    output = await client.run(
        *(*claude, "-p", PROMPT, "--model", MODEL, "--allowedTools", "Bash"),
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )
    assert output == f"{ANSWER}\n"
    models = {
        "availableModels": [MODEL, "claude-haiku-4-5"],
        "availableModelsMatch": "exact",
        "enforceAvailableModels": True,
    }
    assert json.loads((client.home / ".claude/remote-settings.json").read_text()) == managed | models
    made = (await running.get("/api/v2/aibridge/users/me/tokens"))[1]["results"][0]
    assert (made["name"], made["revoked_at"], made["id"] == running.identity.token_id) == ("Claude Code", None, False)
    credentials = json.loads((client.home / ".claude/.credentials.json").read_text())
    signed_in_until = credentials["enterpriseGateway"]["expiresAt"]
    credentials["enterpriseGateway"]["expiresAt"] -= 90 * 86_400_000  # milliseconds
    client.configure(".claude/.credentials.json", json.dumps(credentials))
    running.upstream.scripts[:] = answers.messages("Bash", {}, MODEL)[1:]
    assert await client.run(*claude, "-p", PROMPT) == f"{ANSWER}\n"  # its own usual model may not be used
    assert json.loads(running.upstream.requests[-1].body)["model"] == MODEL
    refreshed = json.loads((client.home / ".claude/.credentials.json").read_text())["enterpriseGateway"]
    assert refreshed["expiresAt"] >= signed_in_until
    for name in ("jwt", "idpRefreshToken"):
        assert refreshed[name] != credentials["enterpriseGateway"][name]


@pytest.mark.gen_test(timeout=90)
async def test_its_managed_settings_have_it_send_telemetry_here(running, client, signed_in):
    claude = await signed_in()
    variables = {"CLAUDE_CODE_ENABLE_TELEMETRY": "1", "OTEL_LOGS_EXPORTER": "otlp"}
    variables["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    hold(running, Policy(managed_settings={"env": variables}))
    running.upstream.scripts[:] = answers.messages("Bash", {"command": COMMAND, "description": "Make it"}, MODEL)
    await client.run(*claude, "-p", PROMPT, "--model", MODEL, "--allowedTools", "Bash")
    await running.bridge.client_events.flush()
    said = await running.bridge.database.client_events.distinct("name")
    assert said == ["api_request", "tool_decision", "tool_result"]


@pytest.mark.gen_test(timeout=150)
async def test_it_warns_of_a_budget_and_shows_why_it_is_refused(running, client, signed_in):
    claude = await signed_in()
    running.upstream.scripts[:] = answers.messages("Bash", {}, MODEL)[1:]

    async def is_spent(part):
        """Have a budget of which this part is spent."""
        states = await running.bridge.overload.authority.usage(1)
        micro_dollars = int((states[0].used if states else 100_000) / part)
        budget = Budget(f"{micro_dollars / 1_000_000:.6f}", "month")
        hold(running, Policy(limits=PolicyLimits(budget=budget)), own(running))
        return budget.usd

    await is_spent(0.1)
    assert await client.run(*claude, "-p", PROMPT, "--model", MODEL) == f"{ANSWER}\n"
    for part, share in ((0.8, "80%"), (0.96, "96%")):
        await is_spent(part)  # each start makes a call of its own, to be told
        async with terminal(client, *claude, "--model", MODEL) as (shown, _):
            warning = f"You've used {share} of your usage credits · resets "
            await until(lambda shown=shown, warning=warning: warning in plain(shown))
    usd = await is_spent(1)
    said = await client.run(*claude, "-p", PROMPT, "--model", MODEL, status=1)
    message = f"AI budget of US${usd} exceeded. Please contact an administrator for more details. It starts again at "
    assert said.startswith(message)
    assert said.endswith("-01 00:00 UTC.\n")


def plain(shown):
    """What a terminal shows, without its commands."""
    return re.sub(r"\x1b\[[0-9;?<>=]*[A-Za-z]", "", shown.decode(errors="replace"))
