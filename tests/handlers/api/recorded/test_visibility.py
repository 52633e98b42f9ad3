"""What a role may see of every resource, and when a changed role takes effect."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from intercept.records import ModelResponse, ModelThought, ProviderError, Reading, ToolUsage, UserPrompt
from runtime.process import now
from storage.accounts.users import Role
from tests.derived import derive_listed
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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
