"""Why calls failed and were refused."""

import json
from datetime import timedelta
from uuid import UUID

from intercept.times import format_time
from runtime.process import now
from storage.accounts.users import Role
from tests.derived import derive
from tests.handlers.api.test_search import record

ERRORS = "/api/v2/aibridge/errors"


async def test_errors_are_told_with_the_providers_words_and_plain_ones(running):
    await record(running, 1, "a", error="Limit of 10 tokens reached")
    await record(running, 2, "a", error="Limit of 20 tokens reached")
    assert (await running.request("POST", "/api/v2/aibridge/openai/v1/nowhere", running.headers, b"{}")).status == 404
    await running.bridge.refusal_recorder.flush()
    status, response = await running.get(ERRORS)
    assert (status, response["count"], response["calls"], response["is_complete"]) == (200, 2, 3, True)
    failed, refused = response["results"]
    assert {
        name: failed[name] for name in ("kind", "status", "template", "message", "calls", "users", "example_id", "new")
    } == {
        "kind": "call",
        "status": 200,
        "template": "Limit of # tokens reached",
        "message": "Limit of 20 tokens reached",
        "calls": 2,
        "users": 1,
        "example_id": str(UUID(int=2)),
        "new": True,
    }
    assert failed["initiators"][0]["username"] == "ada"
    assert failed["explanation"] == "The provider responded with an error."
    assert (refused["kind"], refused["rule"], refused["message"]) == (
        "refusal",
        "unknown_route",
        "route not supported: POST /v1/nowhere",
    )
    _, response = await running.get(f"{ERRORS}?provider=openai-eu&limit=1")
    assert (response["count"], len(response["results"])) == (1, 1)
    for others in ("q=tool:Bash", "q=status:completed", "provider=openai-eu&q=provider_name:openai"):
        _, response = await running.get(f"{ERRORS}?{others}")
        assert (response["count"], response["results"]) == (0, []), others
    before = format_time(now() - timedelta(hours=1))
    _, response = await running.get(f"{ERRORS}?to={before}")
    assert response["count"] == 0


async def test_members_see_their_own_errors_and_readers_no_messages(running):
    grace, reader = await running.user("grace"), await running.user("rhea", Role.READER)
    await record(running, 1, "a", error="a secret of 1")
    assert (await running.get(ERRORS, grace))[1]["results"] == []
    (error,) = (await running.get(ERRORS, reader))[1]["results"]
    assert (error["template"], error["message"], error["type"]) == ("", "", "invalid_request_error")


async def test_messages_of_others_are_audited_and_progress_is_told(running):
    # messages of others errors are audited
    auditor = await running.user("audrey", Role.AUDITOR)
    await record(running, 1, "a", error="a secret of 1")
    await running.get(ERRORS, auditor)
    await running.bridge.access.trail.flush()
    _, trail = await running.get("/api/v2/aibridge/audit")
    reads = [one for one in trail["results"] if one["action"] == "calls.read"]
    assert [(one["actor"]["username"], one["subject"]["username"], one["detail"]["way"]) for one in reads] == [
        ("audrey", "ada", "list")
    ]
    await running.afresh()
    # progress is told in lines before the same answer
    for number, days in ((1, 1), (2, 3)):
        await record(running, number, "a", error="Limit reached")
        times = {"started_at": now() - timedelta(days=days)}
        await running.bridge.database.interceptions.update_one({"_id": UUID(int=number)}, {"$set": times})
    await derive(running.bridge.database, now=now)
    path = f"{ERRORS}?from=1970-01-01T00:00:00Z&to={format_time(now())}"
    response = await running.request("GET", path, {"Accept": "application/x-ndjson", **running.headers})
    assert (response.status, response.header("Content-Type")) == (200, "application/x-ndjson")
    *progress, last = map(json.loads, response.body.splitlines())
    assert [one["progress"] for one in progress] == [0, 0.5, 1]
    assert (last["result"], last["result"]["calls"]) == ((await running.get(path))[1], 2)
    assert [(await running.get(f"{ERRORS}?range={name}"))[1]["calls"] for name in ("2d", "30d", "last-quarter")] == [
        1,
        2,
        0,
    ]
