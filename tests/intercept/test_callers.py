from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from intercept.callers import MAX_SESSION_ID, MAX_VALUE, SessionAgent, client_name, read_agent, retry_count, session_id
from tests.cases import for_each

SENT = {
    "x-claude-code-agent-id": "agent-2",
    "x-claude-code-parent-agent-id": "agent-1",
    "x-claude-code-request-class": "subagent",
    "x-claude-code-agent-type": "Explore",
    "x-claude-code-compaction": "auto",
    "x-claude-code-prompt-id": "prompt-7",
    "x-claude-code-prev-tool-durations": "Bash=742;Read=9",
}


def test_the_ids_and_hints_of_claude_code_are_read():
    assert read_agent(HTTPHeaders(SENT)) == SessionAgent(
        id="agent-2",
        parent_id="agent-1",
        hints={
            "request_class": "subagent",
            "agent_type": "Explore",
            "compaction": "auto",
            "prompt_id": "prompt-7",
            "prev_tool_durations": "Bash=742;Read=9",
        },
    )


def test_what_is_not_sent_or_empty_is_absent():
    assert read_agent(HTTPHeaders()) == SessionAgent()
    assert read_agent(HTTPHeaders(dict.fromkeys(SENT, " "))) == SessionAgent()


@given(st.dictionaries(st.sampled_from(sorted(SENT)), st.binary(max_size=600)))
def test_every_value_is_bounded(headers):
    agent = read_agent({name.title(): value.decode("latin-1") for name, value in headers.items()})
    values = [agent.id or "", agent.parent_id or "", *agent.hints.values()]
    assert max(map(len, values)) <= MAX_VALUE


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
    "Qwen Code": {"User-Agent": "QwenCode/0.4.0 (linux; x64)"},
    "Gemini CLI": {"User-Agent": "GeminiCLI-tui/0.61.0/gemini-3-pro (linux; x64)"},
    "Continue": {"User-Agent": "ls/JS 5.1.0"},
    "DSPy": {"User-Agent": "lm15/stdlib"},
    "Vercel AI SDK": {"User-Agent": "ai-sdk/openai-compatible/1.0 ai/5.0.9"},
    "OpenAI SDK (Python)": {"User-Agent": "AsyncOpenAI/Python 2.1.0"},
    "Anthropic SDK (Python)": {"User-Agent": "Anthropic/Python 0.75"},
    "Anthropic SDK (Bedrock)": {"User-Agent": "AnthropicBedrockMantle/Python 1.2"},
    "AWS SDK (Python)": {"User-Agent": "Boto3/1.44.8 md/Botocore#1.44.8 ua/2.1"},
    "Azure OpenAI SDK (Python)": {"User-Agent": "AzureOpenAI/Python 3.57.0"},
    "Google Gen AI SDK": {"User-Agent": "google-genai-sdk/3.6.1 gl-python/3.11.2"},
    "aiohttp (Python)": {"User-Agent": "Python/3.13 aiohttp/3.13"},
    "curl": {"User-Agent": "curl/8.14.1"},
    "Unknown": {"User-Agent": "my-program/1"},
}
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


@for_each(("name", "headers"), *CLIENTS.items(), ids=CLIENTS)
def test_a_client_is_known_by_what_it_sends(name, headers):
    assert client_name(HTTPHeaders(headers)) == name


@for_each(
    ("headers", "name"),
    ({}, "Unknown"),
    ({"User-Agent": "my claude"}, "Unknown"),
    ({"User-Agent": "mux"}, "Unknown"),
    ({"User-Agent": "node", "Originator": "kilo-code"}, "Kilo Code"),
    ({"User-Agent": "node", "originator": "Roo-Code"}, "Roo Code"),
    ({"User-Agent": "node", "Originator": "roo-codec"}, "Unknown"),
    ({"User-Agent": "codex/1", "Originator": "roo-code"}, "Codex"),
    ({"User-Agent": "opencode/1", "X-Cursor-Client-Version": ""}, "OpenCode"),
    ({"X-Cursor-Client-Version": ""}, "Cursor"),
    ({"User-Agent": "OpenAI/JS 6", "X-Cursor-Client-Version": ""}, "Cursor"),
    ({"User-Agent": "OpenAI/JS 6", "X-Initiator": "user", "X-Interaction-Type": "a"}, "GitHub Copilot (CLI)"),
    ({"User-Agent": "OpenAI/JS 6", "X-Initiator": "user"}, "OpenAI SDK (JavaScript)"),
    ({"User-Agent": "OpenAI/JS 6", "X-Initiator": "agent"}, "GitHub Copilot (CLI)"),
    ({"User-Agent": "opencode/1", "X-Initiator": "agent"}, "OpenCode"),
    ({"User-Agent": "ai-sdk-openai/4.0.118 ai-sdk-provider-utils/5"}, "Vercel AI SDK"),
)
def test_the_first_client_that_fits_is_taken(headers, name):
    assert client_name(HTTPHeaders(headers)) == name


@for_each(("client", "header"), *SESSION_HEADERS.items(), ids=SESSION_HEADERS)
def test_each_client_names_its_session_in_a_header_of_its_own(client, header):
    assert session_id(client, HTTPHeaders({header.lower(): " s-1 "}), None) == "s-1"
    assert session_id(client, HTTPHeaders({header: ""}), None) is None
    is_common = header.lower() in {"session-id", "x-session-id", "x-client-session-id"}
    assert session_id("Zed", HTTPHeaders({header: "s-1"}), "user_session_s-2") == ("s-1" if is_common else None)


@for_each("header", "Session-Id", "session_id", "X-Session-Id", "X-Client-Session-Id", "x-affinity")
def test_what_several_clients_send_names_the_session_of_any(header):
    assert session_id("OpenAI SDK (JavaScript)", HTTPHeaders({header: " s-1 "}), None) == "s-1"
    own = {header: "s-1", "X-Claude-Code-Session-Id": "own"}
    assert session_id("Claude Code", HTTPHeaders(own), None) == "own"


def test_an_older_codex_wrote_its_header_with_an_underscore():
    assert session_id("Codex", HTTPHeaders({"session_id": "old"}), None) == "old"
    assert session_id("Codex", HTTPHeaders({"session_id": "old", "session-id": "new"}), None) == "new"


@for_each(
    ("hint", "session"),
    ("user_7f_account__session_0a1b", "0a1b"),
    ("user_session_1_session_2", "2"),
    ('{"device_id":"d","account_uuid":"","session_id":"0a1b"}', "0a1b"),
    ('{"session_id":7}', None),
    ('{"session_id":" "}', None),
    ("user_7f_session_", None),
    ("user_7f", None),
    ("", None),
    (None, None),
)
def test_claude_code_s_body_says_the_session_when_no_header_does(hint, session):
    assert session_id("Claude Code", HTTPHeaders(), hint) == session
    assert session_id("Claude Code", HTTPHeaders({"X-Claude-Code-Session-Id": "header"}), hint) == "header"


def test_the_body_s_id_of_the_conversation_counts_behind_all_else():
    assert session_id("Pi", HTTPHeaders(), None, "conv_1") == "conv_1"
    assert session_id("Codex", HTTPHeaders({"Session-Id": "s-1"}), None, "conv_1") == "s-1"
    assert session_id("Claude Code", HTTPHeaders(), "_session_s-1", "conv_1") == "s-1"
    assert session_id("curl", HTTPHeaders({"x-affinity": "s-1"}), None, "conv_1") == "s-1"


def test_a_session_id_is_bounded():
    assert session_id("OpenCode", HTTPHeaders({"x-session-id": "s" * 1000}), None) == "s" * MAX_SESSION_ID
    assert session_id("Claude Code", HTTPHeaders(), "_session_" + "s" * 1000) == "s" * MAX_SESSION_ID


@given(hint=st.text(st.characters(codec="utf-8")))
def test_no_hint_raises(hint):
    session = session_id("Claude Code", HTTPHeaders(), hint)
    assert session is None or 0 < len(session) <= MAX_SESSION_ID


@for_each(
    ("headers", "count"),
    ({}, 0),
    ({"x-stainless-retry-count": "0"}, 0),
    ({"x-stainless-retry-count": " 2 "}, 2),
    ({"x-stainless-retry-count": "999"}, 999),
    ({"x-stainless-retry-count": "1000"}, 0),
    ({"x-stainless-retry-count": "-1"}, 0),
    ({"x-stainless-retry-count": "\u0663"}, 0),
    ({"amz-sdk-request": "attempt=1"}, 0),
    ({"amz-sdk-request": "attempt=3; max=3"}, 2),
    ({"amz-sdk-request": "ttl=20260101T000000Z; attempt=2; max=3"}, 1),
    ({"amz-sdk-request": "attempt=0"}, 0),
    ({"amz-sdk-request": "attempts=3"}, 0),
    ({"x-stainless-retry-count": "1", "amz-sdk-request": "attempt=9"}, 1),
)
def test_clients_say_how_often_they_have_tried(headers, count):
    assert retry_count(HTTPHeaders(headers)) == count


@given(st.text(), st.text())
def test_whatever_is_sent_is_a_count(stainless, amazon):
    found = retry_count({"X-Stainless-Retry-Count": stainless, "amz-sdk-request": amazon})
    assert 0 <= found <= 999
