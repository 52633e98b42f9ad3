from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from intercept.callers.agents import MAX_VALUE, Agent, read_agent

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
    assert read_agent(HTTPHeaders(SENT)) == Agent(
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
    assert read_agent(HTTPHeaders()) == Agent()
    assert read_agent(HTTPHeaders(dict.fromkeys(SENT, " "))) == Agent()


@given(st.dictionaries(st.sampled_from(sorted(SENT)), st.binary(max_size=600)))
def test_every_value_is_bounded(headers):
    agent = read_agent({name.title(): value.decode("latin-1") for name, value in headers.items()})
    values = [agent.id or "", agent.parent_id or "", *agent.hints.values()]
    assert max(map(len, values)) <= MAX_VALUE
