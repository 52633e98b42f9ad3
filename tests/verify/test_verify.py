"""A bridge passes each check, and what cannot be checked is said."""

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from click.testing import CliRunner

from tests.server_process import ServerProcess
from verify import target
from verify.checks import CHECKS
from verify.command import Outcome, Result, _line, run_check, verify
from verify.target import PREFIX, BridgeAddress, Target, find_target


@pytest.fixture(scope="module")
def demo(tmp_path_factory, mongodb_uri):
    server = ServerProcess(
        *("serve", "--demo", "--http-address", "127.0.0.1:0", "--rate-limit", "1000"),
        *("--data-dir", tmp_path_factory.mktemp("data")),
        AIBRIDGE_MONGODB_URI=mongodb_uri,
        AIBRIDGE_MONGODB_DATABASE=f"test-{uuid4().hex}",
        AIBRIDGE_PROVIDER_0_TYPE="gemini",
        AIBRIDGE_PROVIDER_0_NAME="a-gemini",
    )
    url, token = f"http://127.0.0.1:{server.port}", server.stdout.find(r"([A-Za-z0-9]{10}-[A-Za-z0-9]{22})")[1]
    yield url, token
    server.kill()


def run(*arguments, **environ):
    """Run the command in this process; its exit code, and what is on stdout and stderr."""
    done = CliRunner().invoke(verify, arguments, env={"AIBRIDGE_TOKEN": None} | environ, prog_name="server.py verify")
    return done.exit_code, done.stdout, done.stderr


def test_a_demo_server_passes_every_check(demo):
    url, token = demo
    code, out, err = run(url, "-o", "json", AIBRIDGE_TOKEN=token)
    assert [(one["check"], one["outcome"], one["detail"]) for one in json.loads(out)] == [
        (sentence, "passed", "") for sentence in CHECKS
    ]
    assert (code, err) == (0, "")


def test_a_policy_that_keeps_no_prompt_breaks_no_promise(demo):
    sentence = "a call is answered, and recorded with its prompt and tokens"

    def outcome(policy):
        target = find_target(BridgeAddress.parse(demo[0]), demo[1], None, None)
        headers = {**target.credentials, "Content-Type": "application/json"}
        with target.request("PUT", f"{PREFIX}/policies/everyone", headers, policy) as response:
            assert response.status == 200
        return run_check(sentence, CHECKS[sentence], target).outcome

    assert outcome(b'{"recording": {"prompts": "none"}}') is Outcome.PASSED
    assert outcome(b"{}") is Outcome.PASSED


def test_people_get_a_line_for_each_check_and_their_number(demo, tmp_path):
    url, token = demo
    file = tmp_path / "token"
    file.write_text(token + "\n")
    code, out, _ = run(url, "--token-file", file, "--provider", "openai")
    lines = out.splitlines()
    assert re.fullmatch(r"passed   +\d+\.\d ms  the server says that it lives and is ready", lines[0])
    assert lines[-1] == "5 passed, 0 failed, 3 skipped"
    assert lines.count(f"{'':22}a call would cost money: name a --model, and its --provider, to allow it") == 3
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "environ", "reason"),
    [
        (("http://127.0.0.1:1",), {"AIBRIDGE_TOKEN": "x"}, "127.0.0.1:1 cannot be reached: "),
        (("ftp://x",), {"AIBRIDGE_TOKEN": "x"}, "not an address: ftp://x; it looks like http://127.0.0.1:4001"),
        ((), {}, "set AIBRIDGE_TOKEN to a token of the bridge, or give --token-file"),
        (("--token-file", "/nowhere"), {}, "No such file or directory"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(arguments, environ, reason):
    code, out, err = run(*arguments, **environ)
    assert (code, out) == (2, "")
    assert (err.count("\n"), reason in err) == (1, True)


def test_a_server_that_does_not_answer_is_said_to_be_silent(monkeypatch):
    monkeypatch.setattr(target, "RESPONSE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, out, err = run(f"http://127.0.0.1:{silent.getsockname()[1]}", AIBRIDGE_TOKEN="x")
    assert (code, out, err) == (2, "", "Error: no answer came within 0 s\n")


def test_a_wrong_token_or_provider_is_named(demo):
    url, token = demo
    code, _, err = run(url, AIBRIDGE_TOKEN="wrong")
    assert (code, "expected a valid token, saw The token is not valid" in err) == (2, True)
    code, _, err = run(url, "--provider", "nobody", AIBRIDGE_TOKEN=token)
    assert code == 2
    assert err.splitlines()[-1] == "Error: expected one of the providers a-gemini, anthropic, demo, openai, saw nobody"
    code, _, err = run(url, "--provider", "a-gemini", AIBRIDGE_TOKEN=token)
    assert code == 2
    assert err.splitlines()[-1] == (
        "Error: expected a provider with /v1/messages or /v1/chat/completions, saw a-gemini"
    )


def test_what_the_other_side_sent_does_not_reach_the_terminal_as_control_characters():
    line = _line(Result("it speaks", Outcome.FAILED, "saw \x1b[2J\r\u202e", 1.0))
    assert "\x1b[2J" not in line
    assert "\\x1b[2J\\r\\u202e" in line


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (b"", Outcome.FAILED),
        (b"HTTP/1.1 nonsense\r\n\r\n", Outcome.FAILED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz", Outcome.FAILED),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Outcome.SKIPPED),
    ],
)
def test_what_speaks_something_else_fails_the_check_and_a_proxy_that_hides_it_not(response, outcome):
    def serve(server):
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(serve, server)
        address = BridgeAddress("127.0.0.1", server.getsockname()[1], tls=False, prefix="")
        result = run_check("health", next(iter(CHECKS.values())), Target(address, "token", "demo", "demo"))
    assert result.outcome is outcome
