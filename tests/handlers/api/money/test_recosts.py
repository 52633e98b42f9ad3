"""Jobs that price past calls again, by HTTP."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from intercept.times import format_time
from resources.prices import NOT_A_TIME
from resources.ranges import NOT_AFTER
from storage.accounts.users import Role

RECOSTS = "/api/v2/aibridge/prices/recosts"


@pytest.fixture
def send(running):
    async def send(method, path, body=None, **headers):
        sent = running.headers | {"Content-Type": "application/json"} | headers
        response = await running.request(method, path, sent, b"" if body is None else json.dumps(body).encode())
        return response.status, json.loads(response.body), response

    return send


@pytest.mark.gen_test
async def test_a_job_is_requested_shown_and_cancelled(running, send):
    status, job, response = await send("POST", RECOSTS, {"from": "2026-11-01", "to": "2026-11-02T03:04:05Z"})
    assert (status, response.header("Location")) == (202, f"{RECOSTS}/{job['id']}")
    expected = {
        "id": job["id"],
        "state": "waiting",
        "from": "2026-11-01T00:00:00.000Z",
        "to": "2026-11-02T03:04:05.000Z",
        "requested_at": job["requested_at"],
        "requested_by": "ada",
        "begun_at": None,
        "ended_at": None,
        "total": None,
        "done": 0,
        "changed": 0,
        "skipped": 0,
        "cost_before_usd": "0",
        "cost_after_usd": "0",
        "prices_version": None,
    }
    assert job == expected
    auditor = await running.user("eve", Role.AUDITOR)
    assert await running.get(RECOSTS, auditor) == (200, {"results": [expected]})
    assert await running.get(f"{RECOSTS}/{job['id']}", auditor) == (200, expected)
    status, cancelled, _ = await send("DELETE", f"{RECOSTS}/{job['id']}")
    assert (status, cancelled) == (200, expected | {"state": "cancelled", "ended_at": cancelled["ended_at"]})
    assert (await send("DELETE", f"{RECOSTS}/{job['id']}"))[:2] == (
        409,
        {"message": "This re-costing has ended already."},
    )
    _, trail = await running.get("/api/v2/aibridge/audit")
    detail = {"recost_id": job["id"], "start": expected["from"], "end": expected["to"]}
    result = [(one["action"], one["detail"]) for one in trail["results"] if one["action"].startswith("recost.")]
    assert sorted(result) == [("recost.cancelled", detail), ("recost.requested", detail)]


@pytest.mark.gen_test
async def test_what_is_no_range_of_a_job_is_named(running, send):
    later = format_time(running.bridge.now() + timedelta(days=1))
    for body, problems in (
        ({}, {"from": "is required"}),
        (
            {"from": 5, "to": "x", "more": 1},
            {"from": "must be text", "to": NOT_A_TIME, "more": "unknown field; allowed are from, to"},
        ),
        ({"from": "2026-11-02", "to": "2026-11-02"}, {"to": NOT_AFTER}),
        ({"from": later}, {"to": NOT_AFTER}),
    ):
        status, result, _ = await send("POST", RECOSTS, body)
        assert (status, {one["field"]: one["detail"] for one in result["validations"]}) == (400, problems)
    for id_ in ("none", "0f4e64a2-4e0b-4d54-9f64-1d2f2b0c8a11"):
        assert await running.get(f"{RECOSTS}/{id_}") == (404, {"message": "There is no re-costing with this id."})
