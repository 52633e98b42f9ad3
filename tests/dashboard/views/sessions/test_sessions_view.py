import json
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from tests.polling import poll

READ_FILE = {"name": "read_file", "input_schema": {"properties": {"path": {"const": "main.py"}}}}


def session_of_claude_code(site, token, *, is_error=False):
    """Two threads of one session: a prompt whose tool call is answered, and another prompt."""
    session = str(uuid4())
    user_id = json.dumps({"session_id": session})

    def send(*messages):
        body = {
            "model": "demo",
            "max_tokens": 100,
            "messages": list(messages),
            "tools": [READ_FILE],
            "metadata": {"user_id": user_id},
        }
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "User-Agent": "claude-cli/2.0.1 (external, cli)",
        }
        with urlopen(
            Request(f"{site.url}/api/v2/aibridge/demo/v1/messages", json.dumps(body).encode(), headers)
        ) as response:
            return json.load(response)

    prompt = {"role": "user", "content": "Use read_file"}
    called = send(prompt)
    (tool_use,) = [block for block in called["content"] if block["type"] == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": tool_use["id"], "content": "print()"} | (
        {"is_error": True} if is_error else {}
    )
    send(prompt, {"role": "assistant", "content": called["content"]}, {"role": "user", "content": [result]})
    send({"role": "user", "content": "Thank you"})
    return session


@pytest.fixture(scope="module")
def scene(site):
    """A member with a session of several calls, as soon as it is whole."""
    name, token = site.user()
    session_of_claude_code(site, token, is_error=True)
    return name, token, whole(site, token)


def whole(site, token):
    """Wait until the session is whole."""

    def found():
        listed = site.get(token, "sessions")["results"]
        return listed and listed[0]["interceptions"] >= 3 and listed[0]["threads"] == 2 and listed[0]

    return poll(found)


def test_a_session_says_which_tools_were_called_and_is_found_if_it_failed(page, site, axe, scene):
    name, token, session = scene
    page.open("sessions", token)
    page.shows("a.session .title", ["Use read_file"])
    assert page.texts("a.session .user") == [name]
    page.click("a.session")
    assert page.address == f"sessions/{session['id']}"
    page.find(".tools", "read_file 1 1 failed")
    page.find(".lanes .bar")
    assert page.find(".lanes").get_attribute("aria-label") == "3 calls on a time axis"
    assert page.texts(".session-head h2") == ["Use read_file"]
    assert [text.rpartition(", ")[2] for text in page.texts(".thread > h2")] == ["2 steps", "1 step"]
    assert page.texts(".step .what .tool") == ["read_file main.py → failed, 7 bytes"]
    assert page.texts(".step:first-child .line .status") == ["✓ completed"] * 2
    page.click(".step summary")
    page.find(".step .tool pre")
    assert page.texts(".step .tool pre") == ['{ "path": "main.py" }']
    assert page.axe_in_light_and_dark(axe) == []
    page.click(".step details p a")
    assert page.find(".detail .user .text").text == "Use read_file"
    page.go("sessions")
    page.shows("a.session .title", ["Use read_file"])
    page.choose("Status", "With failed calls")
    page.find(".empty", "Nothing matches")
    assert page.address == "sessions?q=status%3Afailed"
    page.choose("Status", "Without failed calls")
    page.shows("a.session .title", ["Use read_file"])
    page.refused.append("404")
    page.open(f"sessions/{session['id']}", site.user()[1])  # of somebody else
    assert page.find(".empty h2").text == "There is no such session"


def test_a_step_says_where_the_prompt_cache_broke_and_sessions_are_sorted_by_it(page, site):
    _, token = site.user()
    session = str(uuid4())
    beginning, long, short = ({"role": "user", "content": text} for text in ("Hello", "word " * 400, "word"))

    def send(clock, *messages):
        body = {
            "model": "demo",
            "max_tokens": 100,
            "system": f"It is {clock}",
            "messages": list(messages),
            "metadata": {"user_id": json.dumps({"session_id": session})},
        }
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "User-Agent": "claude-cli/2.0.1 (external, cli)",
        }
        with urlopen(
            Request(f"{site.url}/api/v2/aibridge/demo/v1/messages", json.dumps(body).encode(), headers)
        ) as response:
            response.read()

    send("9:01", beginning, long)
    site.recorded(token, 1)  # what is recorded after a later one is compared with nothing
    send("9:02", beginning, short)
    poll(lambda: (listed := site.get(token, "sessions")["results"]) and listed[0]["cache"]["lost_tokens"])
    page.open("sessions?order=lost", token)
    page.find("a.session .cached", ", lost $0.")
    page.click("a.session")
    page.find(".session-head .cache-line", ", lost $0.")
    assert "part of the system prompt 1 changed" in page.find(".cache-break").text
