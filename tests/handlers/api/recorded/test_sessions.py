"""Sessions of real records."""

import csv
import io
import json
from urllib.parse import quote
from uuid import UUID, uuid4, uuid5

import pytest

from storage.accounts.users import Role
from tests.derived import derive
from upstream.demo.scripted import whole

LIST = "/api/v2/aibridge/sessions"
CLAUDE_CODE = {"User-Agent": "claude-cli/2.1.0 (external, cli)"}
INVALID = "Query parameters have invalid values."
UNKNOWN = (404, {"message": "There is no session with this id that you may see."})


@pytest.fixture
def call(running):
    """Make a call of Claude Code's, and wait until its session has it; returns its id."""

    async def call(
        prompt="Hello", *, session=None, answers=None, issues=(), headers=None, model="claude", request_id="", **extra
    ):
        tools = [{"type": "tool_use", "id": id_, "name": "clock", "input": {}} for id_ in issues]
        usage = {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 11}
        response = {"type": "message", "id": "msg_1", "role": "assistant", "content": tools, "usage": usage}
        body = json.dumps(response).encode()
        running.upstream.scripts = [whole(200, {"Request-Id": request_id} if request_id else {}, body)]
        result = [{"type": "tool_result", "tool_use_id": answers, "content": "noon"}]
        request = {
            "model": model,
            "max_tokens": 9,
            "messages": [{"role": "user", "content": result if answers else prompt}],
        }
        sent = {**(headers or running.headers), **CLAUDE_CODE}
        if session:
            sent["X-Claude-Code-Session-Id"] = session
        path = "/api/v2/aibridge/anthropic/v1/messages"
        answered = await running.request("POST", path, sent, json.dumps(request | extra).encode())
        assert answered.status == 200
        assert await running.bridge.recorder.flush(5)
        await derive(running.bridge.database)
        return answered.header("X-AI-Bridge-Interception-Id")

    return call


def id_of(running, session):
    return str(uuid5(running.identity.user.id, session))


async def listed(running, query="", headers=None):
    status, response = await running.get(f"{LIST}?{query}", headers)
    assert status == 200, response
    return response["count"], [result["id"] for result in response["results"]]


async def test_an_agent_at_work_is_one_session_with_its_threads(running, call):
    requested = await call("What time is it?", session="s1", issues=("toolu_1",))
    answered = await call(session="s1", answers="toolu_1", issues=("toolu_2",))
    finished = await call(session="s1", answers="toolu_2")
    aside = await call("Title, please", session="s1", model="haiku")
    id_, user = id_of(running, "s1"), running.identity.user
    status, response = await running.get(LIST)
    (session,) = response["results"]
    recorded = {interception["id"]: interception for interception in await running.ended(4)}
    assert (status, response["count"]) == (200, 1)
    assert session == {
        "id": id_,
        "initiator": {"id": str(user.id), "username": "ada", "name": "ada"},
        "client_session_id": "s1",
        "client": "Claude Code",
        "providers": ["anthropic"],
        "provider_names": ["anthropic"],
        "models": ["claude", "haiku"],
        "started_at": recorded[requested]["started_at"],
        "last_active_at": recorded[aside]["ended_at"],
        "interceptions": 4,
        "failures": 0,
        "threads": 2,
        "token_usage": {
            "input_tokens": 12,
            "output_tokens": 20,
            "cache_read_input_tokens": 28,
            "cache_write_input_tokens": 44,
        },
        "cache": {"read_tokens": 28, "written_tokens": 44, "fresh_tokens": 12, "rate": 0.3333}
        | {"saved_usd": None, "lost_tokens": 0, "lost_usd": None},
        "retries": {"calls": 0, "amplification": 1.0, "cost_usd": None},
        "cost_usd": None,
        "unpriced": 4,
        "no_usage": 0,
        "first_prompt": "What time is it?",
        "last_prompt": "Title, please",
    }
    assert await running.get(f"{LIST}/{id_}") == (
        200,
        {
            **session,
            "thread_page": {
                "results": [
                    {
                        "id": requested,
                        "started_at": recorded[requested]["started_at"],
                        "last_active_at": recorded[finished]["ended_at"],
                        "interceptions": [recorded[requested], recorded[answered], recorded[finished]],
                        "more_interceptions": False,
                    },
                    {
                        "id": aside,
                        "started_at": recorded[aside]["started_at"],
                        "last_active_at": recorded[aside]["ended_at"],
                        "interceptions": [recorded[aside]],
                        "more_interceptions": False,
                    },
                ],
                "more": False,
            },
        },
    )
    assert {interception["session_id"] for interception in recorded.values()} == {id_}


async def test_a_session_is_named_in_the_body_or_a_thread_and_there_once_a_call_ended(running, call):
    # the session may be named in the body
    await call(session="s1")
    await call(metadata={"user_id": "user_1_account__session_s1"})
    await call(metadata={"user_id": json.dumps({"device_id": "d", "session_id": "s1"})})
    assert await listed(running) == (1, [id_of(running, "s1")])
    await running.afresh("sessions")
    # without a session of the client a thread is one
    requested = await call(issues=("toolu_1",))
    await call(answers="toolu_1")
    alone = await call()
    assert await listed(running) == (1, [requested])
    assert (await running.get(f"{LIST}/{alone}"))[1]["interceptions"] == 1
    status, session = await running.get(f"{LIST}/{requested}")
    assert (status, session["client_session_id"], session["interceptions"]) == (200, None, 2)
    await running.afresh("sessions")
    # a session is there once a call of it has ended
    running.upstream.scripts = [[b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"]]
    client = await running.client()
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    headers = {**running.headers, **CLAUDE_CODE, "X-Claude-Code-Session-Id": "s1"}
    await client.send("POST", "/api/v2/aibridge/anthropic/v1/messages", headers, body)
    while (await running.get("/api/v2/aibridge/interceptions?q=status:in_flight"))[1]["count"] == 0:
        pass
    await derive(running.bridge.database)
    assert await listed(running) == (0, [])
    assert await running.get(f"{LIST}/{id_of(running, 's1')}") == UNKNOWN


async def test_sessions_come_in_pages_and_the_list_is_searched(running, call):
    # pages by cursor and by offset, newest first
    for number in range(6):
        await call(session=f"s{number // 2}")
    everything = [id_of(running, f"s{number}") for number in (2, 1, 0)]
    assert await listed(running) == (3, everything)
    for after in ("offset=1", f"after_session_id={everything[0]}"):
        assert await listed(running, f"limit=1&{after}") == (3, everything[1:2])
    # all of them come as CSV, without prompts
    exported = await running.request("GET", f"{LIST}/export?order_by=started", running.headers)
    rows = list(csv.DictReader(io.StringIO(exported.body.decode(), newline="")))
    assert [row["id"] for row in rows] == everything
    assert not {name for name in rows[0] if "prompt" in name}
    assert (rows[0]["models"], rows[0]["interceptions"], rows[0]["failures"]) == ("claude", "2", "0")
    assert (rows[0]["initiator.username"], rows[0]["retries.calls"]) == ("ada", "0")
    await running.afresh("sessions")
    # the list is searched
    alone = await call(model="haiku", issues=("toolu_1",))
    await call(model="haiku", answers="toolu_1")
    await call(session="s 1")
    await call(session="s 1")
    named = id_of(running, "s 1")
    for query, ids in {
        "provider:anthropic": [named, alone],
        "provider_name:anthropic model:haiku": [alone],
        'client:"Claude Code"': [named, alone],
        "client:Unknown": [],
        f"initiator:{running.identity.user.id} model:claude": [named],
        'session_id:"s 1"': [named],
        f"session_id:{named}": [named],
        f"session_id:{alone}": [alone],
        "session_id:$ne": [],
        'started_after:"2099-01-01T00:00:00Z"': [],
        'started_before:"2099-01-01T00:00:00+02:00" model:haiku': [alone],
    }.items():
        assert await listed(running, "q=" + quote(query)) == (len(ids), ids), query


async def test_a_member_sees_only_its_own_sessions_whatever_it_asks(running, call):
    member, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    own = await call(session="shared", headers=member)
    await call(session="shared", headers=member)
    await call(session="shared")
    await call(session="shared")
    other = id_of(running, "shared")
    everything = (await listed(running))[1]
    mine = next(id_ for id_ in everything if id_ != other)
    assert everything == [other, mine]
    assert await listed(running, headers=auditor) == (2, everything)
    assert await listed(running, "q=initiator:grace", headers=auditor) == (1, [mine])
    for query in ("", "q=initiator:me", "q=initiator:grace", "q=session_id:shared"):
        assert await listed(running, query, headers=member) == (1, [mine]), query
    assert await listed(running, f"q=session_id:{other}", headers=member) == (0, [])
    for headers in (running.headers, auditor):
        status, session = await running.get(f"{LIST}/{mine}", headers)
        assert (status, session["initiator"]["username"], session["thread_page"]["results"][0]["id"]) == (
            200,
            "grace",
            own,
        )
    assert (await running.get(f"{LIST}/{mine}", member))[0] == 200
    assert await running.get(f"{LIST}/{other}", member) == UNKNOWN
    refused = (
        400,
        {
            "message": INVALID,
            "validations": [{"field": "after_session_id", "detail": "no session with this id that you may see"}],
        },
    )
    for id_ in (other, uuid4()):
        assert await running.get(f"{LIST}?after_session_id={id_}", member) == refused
    detail = 'user "ada" does not exist or is unavailable to you'
    assert await running.get(f"{LIST}?q=initiator:ada", member) == (
        400,
        {"message": "Invalid interception search query.", "validations": [{"field": "user", "detail": detail}]},
    )


async def test_what_cannot_be_asked_of_sessions_is_refused_by_name(running, call):
    thread = {"field": "after_thread_id", "detail": "no thread with this id that you may see"}
    path = f"{LIST}/{await call()}?after_thread_id={UUID(int=1)}"
    assert await running.get(path) == (400, {"message": INVALID, "validations": [thread]})
    ids = (str(UUID(int=1)), "x", "grouping", "%24ne")
    assert {id_: await running.get(f"{LIST}/{id_}") for id_ in ids} == dict.fromkeys(ids, UNKNOWN)


async def test_a_timeline_has_the_calls_with_tools_loops_and_refusals(running, call):
    requested = await call("What time is it?", session="s1", issues=("toolu_1",))
    second = await call(session="s1", answers="toolu_1", issues=("toolu_2",))
    third = await call(session="s1", answers="toolu_2", issues=("toolu_3",))
    await call("Hello")
    for _ in range(2):
        await call("Hello", session="s2")
    status, timeline = await running.get(f"{LIST}/{id_of(running, 's1')}/timeline")
    assert status == 200
    assert [(one["id"], one["attempt"], one["agent_id"], one["status"]) for one in timeline["calls"]] == [
        (id_, 0, None, "completed") for id_ in (requested, second, third)
    ]
    known = {"tool": "clock", "result": {"bytes": 4, "is_error": False}, "report": None}
    assert [one["tools"] for one in timeline["calls"]] == [[known], [known], [known | {"result": None}]]
    assert timeline["tools"] == [{"tool": "clock", "calls": 3, "results": 2, "errors": 0, "bytes": 8}]
    loop = {"tool": "clock", "agent_id": None, "times": 3, "interception_ids": [requested, second, third]}
    assert (timeline["loops"], timeline["refusals"], timeline["more"]) == ([loop], [], False)
    assert timeline["client_report"] is None
    assert (timeline["earlier_session_id"], timeline["later_session_id"]) == (None, id_of(running, "s2"))
    assert await listed(running) == (2, [id_of(running, "s2"), id_of(running, "s1")])
    order = {"field": "order_by", "detail": "must be one of started, last_active, cost, lost, failed, calls"}
    assert (await running.get(f"{LIST}?order_by=x"))[1]["validations"] == [order]
