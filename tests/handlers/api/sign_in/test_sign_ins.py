"""The sessions of a user in the API, and how each ends."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from handlers.base import SESSION_ENDED
from storage.accounts.identities import Role

USERS = "/api/v2/aibridge/users"
ME = f"{USERS}/me"
SESSIONS = f"{ME}/sessions"
HOUR = timedelta(hours=1)


async def send(running, method, path, headers):
    response = await running.request(method, path, headers)
    return response.status, json.loads(response.body or b"null")


async def listed(running, headers, path=SESSIONS):
    status, body = await running.get(path, headers)
    assert status == 200, body
    assert body["count"] == len(body["results"])
    return body["results"]


@pytest.mark.gen_test
async def test_a_user_sees_their_sessions_and_one_that_is_ended_lets_nobody_in(running):
    # a user sees where they are signed in and which one this is
    first, second = await running.signed_in(), await running.signed_in()
    sessions = {one["id"]: one for one in await listed(running, first)}
    assert len(sessions) == 2
    here = sessions[first["Cookie"].partition("=")[2][:10]]
    assert here == {
        "id": here["id"],
        "token_id": running.identity.token_id,
        "method": "token",
        "created_at": here["created_at"],
        "last_used_at": here["created_at"],
        "expires_at": here["expires_at"],
        "client_ip": "127.0.0.1",
        "user_agent": "",
        "current": True,
    }
    assert [one["current"] for one in sessions.values()].count(True) == 1
    assert [one["current"] for one in await listed(running, running.headers)] == [False, False]
    assert {one["id"] for one in await listed(running, second)} == set(sessions)
    await running.afresh("sign_in_sessions")
    # what a browser says of itself is kept in bounds
    headers = {"Content-Type": "application/json", "User-Agent": f"Firefox\xad{running.token} " + "x" * 1000}
    body = json.dumps({"token": running.token}).encode()
    assert (await running.request("POST", f"{ME}/session", headers, body)).status == 204
    (session,) = await listed(running, running.headers)
    assert session["user_agent"] == "Firefox [scrubbed] " + "x" * 237
    await running.afresh("sign_in_sessions")
    # a session that is ended lets nobody in and is not listed
    here, there = await running.signed_in(), await running.signed_in()
    (id_,) = [one["id"] for one in await listed(running, here) if not one["current"]]
    assert await send(running, "DELETE", f"{SESSIONS}/{id_}", here) == (204, None)
    assert await running.get(ME, there) == (401, {"message": SESSION_ENDED})
    assert [one["current"] for one in await listed(running, here)] == [True]
    status, body = await send(running, "DELETE", f"{SESSIONS}/{id_}", here)
    assert (status, body) == (404, {"message": "There is no such session; it may have ended."})


@pytest.mark.gen_test
async def test_only_owners_end_the_sessions_of_others_and_that_is_audited(running):
    member, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    cookie = await running.signed_in(member["Authorization"].removeprefix("Bearer "))
    path = f"{USERS}/grace/sessions"
    (session,) = await listed(running, auditor, path)
    assert await listed(running, running.headers, path) == [session]
    other = await running.user("mallory")
    assert (await send(running, "GET", path, other))[0] == 403
    for headers in (other, auditor):
        refused = await send(running, "DELETE", f"{path}/{session['id']}", headers)
        assert refused[0] == 403
    assert (await send(running, "DELETE", f"{SESSIONS}/{session['id']}", running.headers))[0] == 404
    assert (await send(running, "DELETE", f"{path}/{session['id']}", running.headers))[0] == 204
    assert (await running.get(ME, cookie))[0] == 401
    _, trail = await running.get("/api/v2/aibridge/audit?limit=1")
    (entry,) = trail["results"]
    assert (entry["action"], entry["actor"]["username"], entry["subject"]["username"]) == (
        "session.ended",
        "ada",
        "grace",
    )
    assert entry["detail"] == {"session_id": session["id"], "token_id": session["token_id"]}


@pytest.mark.gen_test
async def test_a_session_ends_with_its_token_or_user_and_follows_its_role(running):
    # a session ends with its token
    _, text = await running.bridge.identities.create_token("ada")
    cookie, other = await running.signed_in(text), await running.signed_in()
    assert (await running.get(ME, cookie))[0] == 200
    await running.bridge.identities.revoke_token(text[:10])
    assert (await running.get(ME, cookie))[0] == 401
    assert [one["current"] for one in await listed(running, other)] == [True]
    await running.afresh("sign_in_sessions")
    # a session ends with its user
    member = await running.user("grace")
    cookie = await running.signed_in(member["Authorization"].removeprefix("Bearer "))
    assert (await running.get(ME, cookie))[0] == 200
    await running.bridge.identities.remove_user("grace")
    assert (await running.get(ME, cookie))[0] == 401
    assert await running.bridge.database.sign_in_sessions.count_documents({}) == 0
    await running.afresh("sign_in_sessions")
    # a changed role counts in a session at once
    await running.bridge.identities.add_user("grace", role=Role.OWNER)
    _, text = await running.bridge.identities.create_token("grace")
    cookie = await running.signed_in(text)
    assert (await running.get(USERS, cookie))[0] == 200
    await running.bridge.identities.change_user("grace", role=Role.MEMBER)
    assert (await running.get(USERS, cookie))[0] == 403
    await running.afresh("sign_in_sessions")
    # what a session changes is audited with the token it was made with
    cookie = await running.signed_in() | {"Content-Type": "application/json"}
    assert (await running.request("POST", f"{ME}/tokens", cookie, b"{}")).status == 201
    _, trail = await running.get("/api/v2/aibridge/audit?limit=1")
    assert trail["results"][0]["actor"]["token_id"] == running.identity.token_id


@pytest.mark.bridge(session_idle_timeout=HOUR, session_lifetime=2 * HOUR)
@pytest.mark.gen_test
async def test_sessions_have_the_times_that_are_set(running):
    await running.signed_in()
    (session,) = await running.bridge.database.sign_in_sessions.find().to_list(None)
    assert session["expires_at"] == session["created_at"] + HOUR
