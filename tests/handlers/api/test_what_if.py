"""Proposed limits on recorded calls, over real connections."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from handlers.lifecycle import SHUTTING_DOWN
from handlers.operations.long_response import TOO_MANY_EXPORTS_OF_USER
from intercept.records import CredentialKind
from intercept.times import format_time
from limits.policies.policy import EMPTY_ALLOW
from runtime.process import now
from storage.accounts.users import Role
from storage.queries import past_calls
from tests.handlers.api.test_search import index
from tests.handlers.api.test_search import record as say
from tests.storage.calls import Calls
from tests.storage.records import NOON

PATH = "/api/v2/aibridge/limits/what-if"
TWO_AN_HOUR = {"each_member": {"rate": {"requests": 2, "window": "1h"}}}
BOB = UUID("00000b0b-0000-4000-8000-000000000000")


@pytest.fixture
def send(running):
    async def send(headers=None, **fields):
        body = {"from": format_time(NOON), "to": format_time(NOON + timedelta(days=1)), "limits": TWO_AN_HOUR, **fields}
        body = {name: value for name, value in body.items() if value is not None}
        json_headers = {"Content-Type": "application/json", **running.headers, **(headers or {})}
        return await running.request("POST", PATH, json_headers, json.dumps(body).encode())

    return send


async def record(running):
    """Five calls of ada and one of bob, a second apart, each a second long."""
    calls = Calls(running.bridge.database)
    for number in range(1, 7):
        whose = {"initiator_id": BOB if number == 4 else running.identity.user.id}
        await calls.start(number, **whose)
        await calls.end(number, ended_at=NOON + timedelta(seconds=number + 1))


async def test_it_is_told_which_calls_would_have_been_refused_and_how_long_they_would_wait(running, send):
    await record(running)
    ada = running.identity.user
    response = await send()
    assert response.status == 200, bytes(response.body)
    user = {"id": str(ada.id), "username": ada.username, "name": ada.name}
    limit = {"part": "each_member", "kind": "rate"}
    found = json.loads(response.body)
    assert {name: value for name, value in found.items() if name != "first_refused"} == {
        "from": format_time(NOON),
        "to": format_time(NOON + timedelta(days=1)),
        "calls": 6,
        "refused": 3,
        "by": [
            {
                "limit": limit,
                "user": user,
                "calls": 5,
                "refused": 3,
                "longest_wait_seconds": 3598.0,
            }
        ],
    }
    assert found["first_refused"][0] == {
        "id": str(UUID(int=3)),
        "started_at": format_time(NOON + timedelta(seconds=3)),
        "user": user,
        "limit": limit,
        "maximum": 2.0,
        "used": 2.0,
        "wait_seconds": 3598.0,
    }
    assert [UUID(one["id"]).int for one in found["first_refused"]] == [3, 5, 6]


async def test_a_member_asks_what_if_of_their_own_calls_one_at_a_time_by_lines(running, send, monkeypatch):
    # progress is told in lines page by page
    await record(running)
    monkeypatch.setattr(past_calls, "PAGE", 4)
    response = await send({"Accept": "application/x-ndjson"}, q="initiator:me")
    assert (response.status, response.header("Content-Type")) == (200, "application/x-ndjson")
    *progress, last = map(json.loads, response.body.splitlines())
    assert [one["progress"] for one in progress] == [0.0001, 0.0001]
    assert (last["result"]["calls"], last["result"]["refused"]) == (5, 3)
    await running.afresh()
    # a member asks for their own calls
    await record(running)
    member = await running.user("grace")
    own = json.loads((await send(member)).body)
    assert (own["calls"], own["refused"]) == (0, 0)
    reader = await running.user("rhea", Role.READER)
    assert json.loads((await send(reader)).body)["calls"] == 6
    await running.afresh()
    # one at a time and none while the server stops
    share = running.bridge.shares.exports.acquire(str(running.identity.user.id))
    response = await send()
    assert (response.status, json.loads(response.body)) == (429, {"message": TOO_MANY_EXPORTS_OF_USER.format(1)})
    share.release()
    assert (await send()).status == 200
    assert (await send()).status == 200  # the share was given back
    running.bridge.lifecycle.draining = True
    assert json.loads((await send()).body) == {"message": SHUTTING_DOWN}


async def test_what_is_wrong_is_named(send, running):
    async def problems(**fields):
        response = await send(**fields)
        assert response.status == 400
        return {one["field"]: one["detail"] for one in json.loads(response.body)["validations"]}

    nothing = "must have a limit, in each_member or in together, where neither models nor byok is proposed"
    assert await problems(limits={}) == await problems(limits={"each_member": {}}) == {"limits": nothing}
    assert await problems(limits=None, models={"allow": []}) == {"models.allow": EMPTY_ALLOW}
    assert await problems(max_tokens=100, recording={}) == {
        "max_tokens": "cannot be replayed: the record of a call does not have the max_tokens of its request",
        "recording": "refuses no call, so there is nothing to replay",
    }
    assert await problems(limits={"each_member": {"rate": {"requests": 1, "window": "1y"}}}) == {
        "limits.each_member.rate.window": "must be a duration of whole seconds from 1s to 31d, such as 20s, 5m or 1h30m"
    }
    assert await problems(to=format_time(NOON)) == {"to": "must be after from"}
    assert await problems(q=1, more=1) == {
        "q": "must be text",
        "more": "unknown field; allowed are from, to, limits, models, byok, q",
    }
    assert set(await problems(q="nothing:x")) == {"nothing"}
    json_headers = running.headers | {"Content-Type": "application/json"}
    response = await running.request("POST", PATH, json_headers, b"{}")
    assert json.loads(response.body)["validations"] == [{"field": "from", "detail": "is required"}]
    assert await problems(limits=None) == {"limits": "is required where neither models nor byok is proposed"}


async def test_a_call_of_a_model_that_is_not_allowed_is_refused_with_the_rule_and_counts_nowhere(running, send):
    calls = Calls(running.bridge.database)
    for number, model in enumerate(("gpt-4", "gpt-5", "gpt-4", "gpt-5", "gpt-5"), 1):
        kind = CredentialKind.BYOK if number == 2 else CredentialKind.CENTRALIZED
        await calls.start(number, initiator_id=running.identity.user.id, model=model, credential_kind=kind)
        await calls.end(number, ended_at=NOON + timedelta(seconds=number + 1))
    lines = await send({"Accept": "application/x-ndjson"}, models={"allow": ["gpt-5"]}, limits=TWO_AN_HOUR)
    progress, last = map(json.loads, lines.body.splitlines())
    found = last["result"]
    assert (0 < progress["progress"] < 1, found["calls"], found["refused"]) == (True, 5, 3)
    models = {"part": None, "kind": "models"}
    assert [(one["limit"], one["refused"], one["longest_wait_seconds"]) for one in found["by"]] == [
        (models, 2, None),
        ({"part": "each_member", "kind": "rate"}, 1, 3597.0),
    ]
    assert found["first_refused"][0] == {
        "id": str(UUID(int=1)),
        "started_at": format_time(NOON + timedelta(seconds=1)),
        "user": found["by"][0]["user"],
        "limit": models,
        "maximum": None,
        "used": None,
        "wait_seconds": None,
        "rule": "everyone allows gpt-5",
        "model": "gpt-4",
    }
    assert [UUID(one["id"]).int for one in found["first_refused"]] == [1, 3, 5]
    own_keys = json.loads((await send(limits=None, byok="deny")).body)
    assert [(one["limit"]["kind"], one["refused"]) for one in own_keys["by"]] == [("byok", 1)]
    unpriced = json.loads((await send(limits=None, models={"unpriced": "deny"}, q="model:gpt-5")).body)
    # Nobody knows prices of this provider, and of one call its user paid.
    assert (unpriced["calls"], unpriced["refused"]) == (3, 2)


async def record_saying(running):
    """Calls of now that say something; returns the fields of a request for the hour around them."""
    await say(running, 1, "my password is hunter2")
    await say(running, 2, "hello", model="gpt-4")
    await say(running, 3, "the password again", model="gpt-4")
    await say(running, 4, "password of bob", initiator_id=BOB)
    around = {"from": now() - timedelta(minutes=30), "to": now() + timedelta(minutes=30)}
    return {name: format_time(at) for name, at in around.items()}


async def test_words_choose_the_calls_of_what_if_for_those_who_may_read_them(running, send, monkeypatch):
    # words of a search choose the calls
    hour = await record_saying(running)
    await index(running)
    found = json.loads((await send(**hour, q="password")).body)
    assert (found["calls"], found["refused"]) == (3, 0)
    found = json.loads((await send(**hour, q="password initiator:me", limits=None, models={"deny": ["gpt-4"]})).body)
    assert (found["calls"], [UUID(one["id"]).int for one in found["first_refused"]]) == (2, [3])
    assert json.loads((await send(**hour, q='"password is" model:gpt-5')).body)["calls"] == 1
    lines = (await send({"Accept": "application/x-ndjson"}, **hour, q="-password")).body.splitlines()
    assert [list(json.loads(line)) for line in lines] == [["progress"], ["result"]]
    await running.afresh()
    # nobody replays words that they may not read
    hour = await record_saying(running)
    await index(running)
    member, reader = await running.user("grace"), await running.user("rhea", Role.READER)
    assert json.loads((await send(member, **hour, q="password")).body)["calls"] == 0
    assert (await send(reader, **hour, q="password")).status == 403
    assert (await send(reader, **hour, q="model:gpt-4")).status == 200
