"""What a role may see of every resource, and when a changed role takes effect."""

import asyncio
import json
from uuid import UUID

import pytest

from intercept.records import ModelResponse, ModelThought, ProviderError, Reading, ToolUsage, UserPrompt
from runtime.process import now
from storage.accounts.users import Role
from tests.bridge import until
from tests.derived import derive_listed
from tests.handlers.api.recorded.test_export import PATH, numbers, paged, recorded_large
from tests.handlers.conversations import MESSAGES
from tests.storage.records import ending, interception

API = "/api/v2/aibridge"
LISTS = {
    f"{API}/interceptions": lambda body: [one["id"] for one in json.loads(body)["results"]],
    f"{API}/interceptions/export": lambda body: body.splitlines(),
    f"{API}/interceptions/export?format=csv": lambda body: body.splitlines()[1:],
    f"{API}/sessions": lambda body: [one["id"] for one in json.loads(body)["results"]],
    f"{API}/models": json.loads,
    f"{API}/clients": json.loads,
    f"{API}/providers": json.loads,
    f"{API}/stats": lambda body: json.loads(body)["total"]["interceptions"],
}


async def test_no_resource_tells_a_reader_what_was_said(running):
    word, id_ = "xylophone", UUID(int=7)
    error = ProviderError(type="invalid_request_error", message=word)
    tool = ToolUsage(provider_response_id="r", provider_tool_call_id="t", tool="Bash", input=word)
    thought, response = ModelThought(content=word, source="thinking"), ModelResponse(text=word)
    reading = Reading(tool_usages=(tool,), model_thoughts=(thought,), response=response)
    start = interception(id=id_, initiator_id=running.identity.user.id, user_prompt=UserPrompt(prompt=word))
    await running.bridge.recorder.start(start)
    running.bridge.recorder.end(start, ending(interception_id=id_, error=error, reading=reading))
    assert await running.bridge.recorder.flush(5)
    await derive_listed(running.bridge.database, now=now)
    reader, client = await running.user("rhea", Role.READER), await running.client()

    async def responses(headers):
        session = json.loads((await client.request("GET", f"{API}/sessions", headers)).body)["results"][0]["id"]
        paths = {*LISTS, f"{API}/interceptions/{id_}", f"{API}/sessions/{session}"} - {f"{API}/stats"}
        return {path: (await client.request("GET", path, headers)).body for path in sorted(paths)}

    result = await responses(running.headers)
    telling = {path for path, body in result.items() if word.encode() in body}
    assert telling == {path for path in result if "interceptions" in path or "sessions" in path}
    figures = await responses(reader)
    assert [path for path, body in figures.items() if word.encode() in body] == []
    assert all(b"Bash" in body for path, body in figures.items() if "interceptions" in path)


async def test_who_was_demoted_sees_nothing_of_others_in_any_resource_from_then_on(running, call):
    headers = await running.user("audrey", Role.AUDITOR)
    call_id = await call(MESSAGES)
    await derive_listed(running.bridge.database, now=now)
    client = await running.client()

    async def seen():
        return {path: rows((await client.request("GET", path, headers)).body) for path, rows in LISTS.items()}

    before = await seen()
    assert all(before.values())
    (session_id,) = before[f"{API}/sessions"]
    cursors = {
        f"{API}/interceptions/{call_id}": 404,
        f"{API}/sessions/{session_id}": 404,
        f"{API}/sessions/{session_id}?after_thread_id={call_id}": 404,
        f"{API}/interceptions?after_id={call_id}": 400,
        f"{API}/interceptions/export?after_id={call_id}": 400,
        f"{API}/sessions?after_session_id={session_id}": 400,
        f"{API}/limits": 403,
    }
    for path in cursors:
        assert (await client.request("GET", path, headers)).status == 200, path
    await running.bridge.identities.change_user("audrey", role=Role.MEMBER)
    assert {path for path, rows in (await seen()).items() if rows} == set()
    assert {path: (await client.request("GET", path, headers)).status for path in cursors} == cursors


__all__ = ["paged"]


async def test_a_stop_of_the_server_waits_for_it_and_then_breaks_it_off(running, calls):
    await recorded_large(calls)
    clients = [await running.client(receive_buffer=4096) for _ in range(2)]
    responses = []
    for client, headers in zip(clients, (running.headers, await running.user("audrey", Role.AUDITOR)), strict=True):
        await client.send("GET", PATH, headers)
        responses.append(await client.head())
    draining = asyncio.create_task(running.bridge.lifecycle.drain(60))
    await clients[0].rest(responses[0])
    assert numbers(responses[0]) == [3, 2, 1]
    assert (draining.done(), (await running.get(PATH))[0]) == (False, 503)
    draining.cancel()
    assert await running.bridge.lifecycle.drain(0) == 1
    await clients[1].rest(responses[1])
    assert not responses[1].whole
    assert running.bridge.lifecycle.in_flight == 0


async def test_it_is_broken_off_when_its_user_may_not_have_it_any_more(running, calls, watched_closely):
    await recorded_large(calls)
    headers = await running.user("audrey", Role.AUDITOR)
    client = await running.client(receive_buffer=4096)
    await client.send("GET", PATH, headers)
    response = await client.head()
    token_id = headers["Authorization"].removeprefix("Bearer ").partition("-")[0]
    await running.bridge.identities.revoke_token(token_id)
    await until(lambda: running.bridge.lifecycle.in_flight == 0)  # though the client takes nothing
    await client.rest(response)
    assert not response.whole


@pytest.fixture
def reading(running, paged):
    """Begin an export that waits for the database: its client, and what lets the database answer."""
    requested, gate = asyncio.Event(), asyncio.Event()

    async def wait():
        requested.set()
        await gate.wait()

    async def begin():
        client = await running.client()
        await client.send("GET", PATH, running.headers)
        await requested.wait()
        return client, gate

    paged(wait)
    return begin


async def test_one_that_waits_for_the_database_is_broken_off_as_well(running, reading):
    client, gate = await reading()
    draining = asyncio.create_task(running.bridge.lifecycle.drain(0))
    assert await client.at_end() == b""
    gate.set()
    assert await draining == 1


@pytest.mark.expects_log("unexpected error: request_id=")
async def test_where_nobody_can_tell_whether_its_user_may_have_it_it_is_broken_off(
    running, reading, watched_closely, monkeypatch
):
    async def fails(*_):
        raise RuntimeError

    client, gate = await reading()
    monkeypatch.setattr(running.bridge.identities, "authenticate", fails)
    assert await client.at_end() == b""
    gate.set()
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
