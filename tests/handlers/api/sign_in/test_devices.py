"""A program that gets a token when its user allows it."""

import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from handlers.api.accounts import OWNERS_CREATE
from handlers.api.sign_in.devices import GRANT_TYPE, TOO_MANY_STARTS
from runtime.assembly import DEVICE_STARTS
from storage.accounts.sign_in import devices
from storage.accounts.users import Role

API = "/api/v2/aibridge"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GONE = {"message": "There is no such code; it may have expired, or was answered."}


async def send(running, what, headers=FORM, **fields):
    body = urlencode(fields) if headers is FORM else json.dumps(fields)
    response = await running.request("POST", f"{API}/device/{what}", dict(headers), body.encode())
    return response.status, json.loads(response.body or b"null")


async def begin(running, **fields):
    status, codes = await send(running, "code", **fields)
    assert status == 200, codes
    return codes


async def poll(running, codes):
    return await send(running, "token", grant_type=GRANT_TYPE, device_code=codes["device_code"])


async def decide(running, codes, answer="allow", headers=None):
    return await send(running, "answer", headers or running.headers, user_code=codes["user_code"], answer=answer)


async def age(running, by):
    """Let the programs that wait have done so for longer."""
    async for one in running.bridge.database.device_codes.find():
        earlier = {name: one[name] - by for name in ("created_at", "expires_at")}
        await running.bridge.database.device_codes.update_one({"_id": one["_id"]}, {"$set": earlier})


async def test_a_program_is_told_once_whether_it_is_allowed_and_not_too_often(running):
    # a program that is refused is told so once
    codes = await begin(running)
    assert await decide(running, codes, "deny") == (204, None)
    assert await poll(running, codes) == (400, {"error": "access_denied"})
    assert await poll(running, codes) == (400, {"error": "expired_token"})
    assert len((await running.get(f"{API}/users/me/tokens"))[1]["results"]) == 1
    await running.afresh("device_codes")
    # a program that is allowed gets a token of its user once
    codes = await begin(running, client_name="login on laptop")
    page = "http://bridge/#/device"
    assert {name: value for name, value in codes.items() if not name.endswith("_code")} == {
        "verification_uri": page,
        "verification_uri_complete": f"{page}/{codes['user_code']}",
        "expires_in": 600,
        "interval": 5,
    }
    assert await poll(running, codes) == (400, {"error": "authorization_pending"})
    entered = codes["user_code"].lower().replace("-", " ")
    status, device = await send(running, "lookup", running.headers, user_code=entered)
    assert (status, device["name"], device["client_ip"]) == (200, "login on laptop", "127.0.0.1")
    assert await decide(running, codes) == (204, None)
    status, response = await poll(running, codes)
    assert (status, response["token_type"]) == (200, "Bearer")
    assert 89 * 86_400 < response["expires_in"] <= 90 * 86_400
    headers = {"Authorization": f"Bearer {response['access_token']}"}
    assert (await running.get(f"{API}/users/me", headers))[1]["username"] == "ada"
    tokens = (await running.get(f"{API}/users/me/tokens"))[1]["results"]
    assert tokens[0]["name"] == "login on laptop"
    assert await poll(running, codes) == (400, {"error": "expired_token"})
    (entry,) = await running.bridge.database.audit.find({"action": "token.created", "actor.username": "ada"}).to_list(
        None
    )
    assert entry["actor"]["token_id"] == running.identity.token_id


async def test_a_code_is_good_for_ten_minutes_and_one_answer_and_kept_nowhere(running):
    # codes are good for ten minutes
    codes = await begin(running)
    await age(running, timedelta(seconds=devices.DEVICE_SECONDS))
    assert await poll(running, codes) == (400, {"error": "expired_token"})
    assert await send(running, "lookup", running.headers, user_code=codes["user_code"]) == (404, GONE)
    assert await decide(running, codes) == (404, GONE)
    await running.afresh("device_codes")
    # a code is answered once
    codes = await begin(running)
    assert (await decide(running, codes, "deny"))[0] == 204
    assert await decide(running, codes, "allow") == (404, GONE)
    await running.afresh("device_codes")
    # no text of the database has a code
    codes = await begin(running, client_name="sk-ant-api03-" + "x" * 95)
    kept = str(await running.bridge.database.device_codes.find().to_list(None))
    assert codes["device_code"] not in kept
    assert codes["user_code"].replace("-", "") not in kept
    assert "x" * 90 not in kept
    await running.afresh("device_codes")
    # a token of the device code form and a wrong grant are refused
    codes = await begin(running)
    status, response = await send(running, "token", grant_type="password", device_code=codes["device_code"])
    assert (status, response["error"]) == (400, "unsupported_grant_type")
    status, response = await send(running, "token", grant_type=GRANT_TYPE)
    assert (status, response["error"]) == (400, "invalid_request")
    await running.afresh("device_codes")
    # what is no answer is refused by its field
    for wrong, fields in {
        "user_code": {"user_code": "", "answer": "allow"},
        "answer": {"user_code": "B", "answer": "yes"},
    }.items():
        status, body = await send(running, "answer", running.headers, **fields)
        assert (status, [one["field"] for one in body.get("validations", [])]) == (400, [wrong])
    await running.afresh("device_codes")
    # no page of another site lets a program in
    codes = await begin(running)
    session = await running.signed_in() | {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}
    assert (await decide(running, codes, headers=session))[0] == 401


@pytest.mark.bridge(authentication_failure_limit=2)
async def test_guesses_are_bounded(running):
    codes = await begin(running)
    for _ in range(2):
        assert (await send(running, "lookup", running.headers, user_code="BBBB-BBBB"))[0] == 404
    assert (await send(running, "lookup", running.headers, user_code=codes["user_code"]))[0] == 429
    assert (await poll(running, codes))[0] == 429


async def test_an_address_starts_so_many_programs_a_minute(running):
    for _ in range(DEVICE_STARTS):
        await begin(running)
    assert await send(running, "code") == (429, {"message": TOO_MANY_STARTS})


async def test_a_program_gets_no_more_than_who_let_it_in_has(running, monkeypatch):
    # a removed user gets no token
    member = await running.user("grace") | {"Content-Type": "application/json"}
    codes = await begin(running)
    assert (await decide(running, codes, headers=member))[0] == 204
    await running.bridge.identities.remove_user("grace")
    assert (await poll(running, codes))[1]["error"] == "access_denied"
    await running.afresh("device_codes")
    # a program does not outlive what let it in
    expires_at = running.bridge.now() + timedelta(hours=1)
    _, token = await running.bridge.identities.create_token("ada", expires_at=expires_at)
    codes = await begin(running)
    await decide(running, codes, headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    assert (await poll(running, codes))[1]["expires_in"] <= 3600
    await running.afresh("device_codes")
    # so many wait at once
    monkeypatch.setattr(devices, "MAX_DEVICES", 1)
    await begin(running)
    status, response = await send(running, "code")
    assert (status, response["error"]) == (400, "temporarily_unavailable")
    await running.afresh("device_codes")
    # a token that was revoked meanwhile lets no program in
    codes = await begin(running)
    await decide(running, codes)
    await running.bridge.identities.revoke_token(running.identity.token_id)
    status, response = await poll(running, codes)
    assert (status, response["error"]) == (400, "access_denied")


@pytest.mark.bridge(tokens_per_user=1)
async def test_who_has_as_many_tokens_as_are_allowed_is_told_so(running):
    member = await running.user("grace") | {"Content-Type": "application/json"}
    codes = await begin(running)
    await decide(running, codes, headers=member)
    status, response = await poll(running, codes)
    assert (status, response["error"]) == (400, "access_denied")
    assert "tokens-per-user" in response["error_description"]


@pytest.mark.bridge(token_creation="owners")
async def test_where_owners_alone_create_tokens_members_let_no_program_in(running):
    await running.bridge.identities.add_user("grace", role=Role.MEMBER)
    _, token = await running.bridge.identities.create_token("grace")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    assert await decide(running, await begin(running), headers=headers) == (403, {"message": OWNERS_CREATE})
