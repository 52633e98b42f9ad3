"""`login`, with a server that answers as a test wants."""

import stat
from time import time
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner

from commands.login import GRANT_TYPE, login
from tests.answering import Answer, AnsweringServer
from tests.cases import for_each

CODES = {"device_code": "hush", "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 5}
TOKEN = {"access_token": "d3W24SnZZB-0123456789abcdefghijkl", "token_type": "Bearer", "expires_in": 3600}


class Bridge:
    """Answers by path, the answers of each in their order, the last one again and again."""

    def __init__(self):
        self.responses = {"code": [(200, CODES)], "token": [(200, TOKEN)]}
        self.forms = []
        self._server = AnsweringServer(self._answer)
        self.url, self.close = self._server.url, self._server.close

    def _answer(self, asked):
        self.forms.append({name: value for name, (value,) in parse_qs(asked.body.decode()).items()})
        responses = self.responses[asked.path.rpartition("/")[2]]
        status, body = responses.pop(0) if len(responses) > 1 else responses[0]
        if body is None:  # it ends
            return None
        return Answer(status, body, {"Location": "http://127.0.0.1:9/"} if status == 302 else {})


@pytest.fixture
def bridge():
    bridge = Bridge()
    yield bridge
    bridge.close()


@pytest.fixture
def waits(monkeypatch):
    """How long it waited, without waiting. Other threads, such as those of the driver, sleep as ever."""
    waits = []
    clock = SimpleNamespace(sleep=waits.append, monotonic=lambda: sum(waits), time=time)
    monkeypatch.setattr("commands.login.time", clock)
    return waits


@pytest.fixture
def run(tmp_path, waits):
    return lambda *arguments: CliRunner().invoke(login, arguments, env={"XDG_CONFIG_HOME": str(tmp_path)})


def test_a_token_is_kept_for_its_owner_alone_and_printed_again(bridge, run, tmp_path, waits):
    bridge.responses["token"] = [
        *((400, {"error": "authorization_pending"}), (400, {"error": "slow_down"})),
        *((503, {"message": "The database cannot be reached"}), (200, TOKEN)),
    ]
    result = run(bridge.url, "--no-browser")
    path = tmp_path / "aibridge" / "logins.json"
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"{bridge.url}/#/device/WDJB-MJHT" in result.stderr
    assert f"Signed in. The token is kept in {path}." in result.stderr
    assert TOKEN["access_token"] not in result.stderr
    assert waits == [5, 5, 10, 10]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["logins.json"]
    assert bridge.forms[1] == {"grant_type": GRANT_TYPE, "device_code": "hush"}
    for arguments in (["--print-token"], ["--print-token", bridge.url.upper().replace("HTTP", "http")]):
        assert run(*arguments).stdout == TOKEN["access_token"] + "\n"


def test_a_bridge_that_is_restarted_meanwhile_is_asked_again_more_slowly(bridge, run, waits):
    bridge.responses["token"] = [(0, None), (0, None), (200, TOKEN)]
    result = run(bridge.url, "--no-browser")
    assert (result.exit_code, result.stderr.count("It is asked again until the code expires.")) == (0, 1)
    assert waits == [5, 10, 15]


def test_a_browser_is_opened_where_the_user_said(bridge, run, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert run(bridge.url).exit_code == 0
    assert opened == [f"{bridge.url}/#/device/WDJB-MJHT"]


def test_of_several_bridges_one_has_to_be_named(bridge, run):
    run(bridge.url, "--no-browser")
    other = Bridge()
    try:
        other.responses["token"] = [(200, TOKEN | {"access_token": "another"})]
        run(other.url, "--no-browser")
        assert "give the URL of one of" in run("--print-token").stderr
        assert run("--print-token", other.url).stdout == "another\n"
    finally:
        other.close()


def test_without_a_token_nothing_is_printed(bridge, run, tmp_path):
    result = run("--print-token")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "not signed in; run `login URL` first" in result.stderr
    bridge.responses["token"] = [(200, TOKEN | {"expires_in": 0})]
    run(bridge.url, "--no-browser")
    assert "the token has expired" in run("--print-token").stderr
    (tmp_path / "aibridge" / "logins.json").write_text("{")
    assert "cannot be read; remove it" in run("--print-token").stderr


@pytest.mark.parametrize(
    ("responses", "said"),
    [
        (
            {"token": [(400, {"error": "access_denied", "error_description": "too many"})]},
            "you were not let in. too many",
        ),
        (
            {"token": [(400, {"error": "access_denied", "error_description": "\x1b]0;pwned\x07\n" + "a" * 1000})]},
            "you were not let in. ?]0;pwned??" + "a" * 489 + "\n",
        ),
        ({"token": [(400, {"error": "expired_token"})]}, "the code has expired"),
        ({"code": [(404, {"message": "not\x1bfound"})]}, "answers 404: not?found"),
        ({"code": [(200, b"<html>")]}, "answers 200: it is no AI Bridge"),
        ({"code": [(302, b"")]}, "answers 302: it is no AI Bridge"),
        ({"code": [(200, CODES | {"user_code": "\x1b[31m"})]}, "sent an answer that is not valid"),
        ({"code": [(200, {})]}, "sent an answer that is not valid"),
        ({"code": [(200, CODES | {"interval": "soon"})]}, "sent an answer that is not valid"),
        ({"code": [(200, CODES | {"expires_in": float("inf")})]}, "sent an answer that is not valid"),
        ({"code": [(200, b"[" * 60_000)]}, "answers 200: it is no AI Bridge"),
        ({"token": [(200, {})]}, "sent an answer that is not valid"),
        (
            {"code": [(400, {"error": "temporarily_unavailable", "error_description": "too many programs wait"})]},
            "gives no code: too many programs wait",
        ),
        ({"code": [(503, {"message": "The database cannot be reached"})]}, "no code: The database cannot be reached"),
    ],
)
def test_what_goes_wrong_is_said(bridge, run, tmp_path, responses, said):
    bridge.responses |= responses
    result = run(bridge.url, "--no-browser")
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert not (tmp_path / "aibridge").exists()


@for_each("url", "http://bridge.example", "ftp://127.0.0.1", "https://user@bridge.example", "https://", "http://[::1")
def test_a_token_goes_over_no_network_unencrypted(run, url):
    result = run(url)
    assert result.exit_code == 2
    assert "give one with https, or with http on this machine" in result.stderr
