import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from intercept.clients import MAX_SESSION_ID, client_name, session_id

CLIENTS = {
    "Mux": {"User-Agent": "mux/0.9.1"},
    "Claude Code": {"User-Agent": "claude-cli/2.1.0 (external, cli)"},
    "Codex": {"User-Agent": "codex_cli_rs/0.169.0 (Debian 13; x86_64)"},
    "Zed": {"User-Agent": "Zed/0.199.0"},
    "GitHub Copilot (VS Code)": {"User-Agent": "GitHubCopilotChat/0.31.0"},
    "GitHub Copilot (CLI)": {"User-Agent": "copilot/1.0.0"},
    "Kilo Code": {"User-Agent": "Kilo-Code/4.90.0"},
    "Roo Code": {"User-Agent": "roo-code/3.25.0"},
    "Coder Agents": {"User-Agent": "coder-agents/2.30"},
    "Charm Crush": {"User-Agent": "Charm Crush/0.7 (https://charm.sh/crush)"},
    "OpenCode": {"User-Agent": "opencode/1.0.1"},
    "Cursor": {"User-Agent": "axios/1.7", "X-Cursor-Client-Version": "1.7.0"},
    "Unknown": {"User-Agent": "OpenAI/Python 2.1.0"},
}
BEGINNINGS = {
    "mux/": "Mux",
    "claude": "Claude Code",
    "codex": "Codex",
    "zed/": "Zed",
    "githubcopilotchat/": "GitHub Copilot (VS Code)",
    "copilot/": "GitHub Copilot (CLI)",
    "kilo-code/": "Kilo Code",
    "roo-code/": "Roo Code",
    "coder-agents/": "Coder Agents",
    "charm crush/": "Charm Crush",
    "opencode/": "OpenCode",
}
ORIGINATORS = {"kilo-code": "Kilo Code", "roo-code": "Roo Code"}
SESSION_HEADERS = {
    "Mux": "X-Mux-Workspace-Id",
    "Claude Code": "X-Claude-Code-Session-Id",
    "Codex": "session-id",
    "GitHub Copilot (VS Code)": "x-interaction-id",
    "GitHub Copilot (CLI)": "X-Client-Session-Id",
    "Kilo Code": "X-KILOCODE-TASKID",
    "Coder Agents": "X-Coder-Chat-Id",
    "OpenCode": "x-session-id",
}


@pytest.mark.parametrize(("name", "headers"), CLIENTS.items(), ids=CLIENTS)
def test_a_client_is_known_by_what_it_sends(name, headers):
    assert client_name(HTTPHeaders(headers)) == name


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({}, "Unknown"),
        ({"User-Agent": "my claude"}, "Unknown"),
        ({"User-Agent": "mux"}, "Unknown"),
        ({"User-Agent": "node", "Originator": "kilo-code"}, "Kilo Code"),
        ({"User-Agent": "node", "originator": "Roo-Code"}, "Roo Code"),
        ({"User-Agent": "node", "Originator": "roo-codec"}, "Unknown"),
        ({"User-Agent": "codex/1", "Originator": "roo-code"}, "Codex"),
        ({"User-Agent": "opencode/1", "X-Cursor-Client-Version": ""}, "OpenCode"),
        ({"X-Cursor-Client-Version": ""}, "Cursor"),
    ],
)
def test_the_first_client_that_fits_is_taken(headers, name):
    assert client_name(HTTPHeaders(headers)) == name


@given(
    user_agent=st.tuples(st.sampled_from(["", *BEGINNINGS, *map(str.upper, BEGINNINGS)]), st.text()).map("".join),
    originator=st.sampled_from(["", "kilo-code", "Roo-Code", "roo-code "]) | st.text(max_size=40),
    cursor=st.booleans(),
)
def test_a_client_is_known_by_nothing_else(user_agent, originator, cursor):
    sent = {"User-Agent": user_agent, "Originator": originator} | ({"X-Cursor-Client-Version": ""} if cursor else {})
    known = {name for begins, name in BEGINNINGS.items() if user_agent.lower().startswith(begins)}
    known |= {name for is_, name in ORIGINATORS.items() if originator.lower() == is_}
    first = [name for name in CLIENTS if name in known]
    assert client_name(sent) == (first[0] if first else "Cursor" if cursor else "Unknown")


@pytest.mark.parametrize(("client", "header"), SESSION_HEADERS.items(), ids=SESSION_HEADERS)
def test_each_client_names_its_session_in_a_header_of_its_own(client, header):
    assert session_id(client, HTTPHeaders({header.lower(): " s-1 "}), None) == "s-1"
    assert session_id(client, HTTPHeaders({header: ""}), None) is None
    assert session_id("Zed", HTTPHeaders({header: "s-1"}), "user_session_s-2") is None


def test_an_older_codex_wrote_its_header_with_an_underscore():
    assert session_id("Codex", HTTPHeaders({"session_id": "old"}), None) == "old"
    assert session_id("Codex", HTTPHeaders({"session_id": "old", "session-id": "new"}), None) == "new"


@pytest.mark.parametrize(
    ("hint", "session"),
    [
        ("user_7f_account__session_0a1b", "0a1b"),
        ("user_session_1_session_2", "2"),
        ('{"device_id":"d","account_uuid":"","session_id":"0a1b"}', "0a1b"),
        ('{"session_id":7}', None),
        ('{"session_id":" "}', None),
        ("user_7f_session_", None),
        ("user_7f", None),
        ("", None),
        (None, None),
    ],
)
def test_claude_code_s_body_says_the_session_when_no_header_does(hint, session):
    assert session_id("Claude Code", HTTPHeaders(), hint) == session
    assert session_id("Claude Code", HTTPHeaders({"X-Claude-Code-Session-Id": "header"}), hint) == "header"


def test_a_session_id_is_bounded():
    assert session_id("OpenCode", HTTPHeaders({"x-session-id": "s" * 1000}), None) == "s" * MAX_SESSION_ID
    assert session_id("Claude Code", HTTPHeaders(), "_session_" + "s" * 1000) == "s" * MAX_SESSION_ID


@given(hint=st.text(st.characters(codec="utf-8")))
def test_no_hint_raises(hint):
    session = session_id("Claude Code", HTTPHeaders(), hint)
    assert session is None or 0 < len(session) <= MAX_SESSION_ID
