"""What a role may see, over every resource, and from when a changed role counts."""

from __future__ import annotations

import json

import pytest

from runtime.process import now
from storage.accounts.users import Role
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.session_job import SessionJob
from tests.handlers.conversations import MESSAGES

API = "/api/v2/aibridge"
LISTS = {
    f"{API}/interceptions": lambda body: [shown["id"] for shown in json.loads(body)["results"]],
    f"{API}/interceptions/export": lambda body: body.splitlines(),
    f"{API}/interceptions/export?format=csv": lambda body: body.splitlines()[1:],
    f"{API}/sessions": lambda body: [shown["id"] for shown in json.loads(body)["results"]],
    f"{API}/models": json.loads,
    f"{API}/clients": json.loads,
    f"{API}/providers": json.loads,
    f"{API}/stats": lambda body: [one for one in json.loads(body)["series"] if one["total"]["interceptions"]],
}


@pytest.mark.gen_test
async def test_who_was_demoted_sees_nothing_of_others_in_any_resource_from_then_on(running, call):
    headers = await running.user("audrey", Role.AUDITOR)
    call_id = await call(MESSAGES)
    await RollupJob(running.bridge.database, now=now).add_pending()
    await SessionJob(running.bridge.database).add_pending()
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
