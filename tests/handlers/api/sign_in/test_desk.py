"""Claude Code signs in below a provider of Anthropic's dialect, and out again."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from handlers.api.sign_in.devices import GRANT_TYPE

CONTROL = "/api/v2/aibridge"
BASE = f"{CONTROL}/anthropic"
CLIENT = {"Content-Type": "application/x-www-form-urlencoded"}  # 2.1.197 does not say what it is


async def post(running, url, **fields):
    path = url.removeprefix("http://bridge")
    response = await running.request("POST", path, dict(CLIENT), urlencode(fields).encode())
    return response.status, json.loads(response.body or b"null")


async def sign_in(running, where, headers=None):
    status, codes = await post(running, where["device_authorization_endpoint"], surface="claude_code")
    assert status == 200, codes
    polled = {"grant_type": GRANT_TYPE, "device_code": codes["device_code"]}
    assert await post(running, where["token_endpoint"], **polled) == (400, {"error": "authorization_pending"})
    answer = json.dumps({"user_code": codes["user_code"], "answer": "allow"}).encode()
    answered = await running.request("POST", f"{CONTROL}/device/answer", dict(headers or running.headers), answer)
    assert answered.status == 204
    status, got = await post(running, where["token_endpoint"], **polled)
    assert status == 200, got
    assert got["expires_in"] > 300
    return got["access_token"]


@pytest.mark.gen_test
async def test_a_client_finds_the_desk_signs_in_and_out_and_is_refused_from_then_on(running):
    status, where = await running.get(f"{BASE}/.well-known/oauth-authorization-server", {})
    base = f"http://bridge{BASE}"
    assert (status, where["issuer"], where["grant_types_supported"]) == (200, base, [GRANT_TYPE])
    token = await sign_in(running, where)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await running.get(f"{CONTROL}/users/me", headers))[1]["username"] == "ada"
    listed = (await running.get(f"{CONTROL}/users/me/tokens"))[1]["results"][0]
    assert (listed["name"], listed["revoked_at"]) == ("Claude Code", None)
    # nothing that is not served stops the client: it takes 404 for "none"
    for path in ("/managed/settings", "/api/oauth/usage", "/user/bootstrap"):
        assert (await running.get(BASE + path, headers))[0] == 404
    assert await post(running, where["revocation_endpoint"]) == (
        400,
        {"error": "invalid_request", "error_description": "token is required"},
    )
    for _ in range(2):  # the second time it is not valid any more, which is no error
        assert await post(running, where["revocation_endpoint"], token=token) == (200, None)
    refused = await running.request("GET", f"{BASE}/managed/settings", headers)
    assert (refused.status, refused.header("x-should-retry")) == (401, "false")
    assert (await running.get(f"{CONTROL}/users/me/tokens"))[1]["results"][0]["revoked_at"]


@pytest.mark.gen_test
async def test_it_is_only_where_messages_are_served(running):
    assert (await running.get(f"{CONTROL}/openai/.well-known/oauth-authorization-server"))[0] == 404


@pytest.mark.bridge(authentication_failure_limit=2)
@pytest.mark.gen_test
async def test_guesses_of_tokens_to_revoke_are_bounded(running):
    wrong = running.token[:-1] + ("a" if running.token[-1] != "a" else "b")
    for _ in range(2):
        assert (await post(running, f"{BASE}/oauth/revoke", token=wrong))[0] == 200
    assert (await post(running, f"{BASE}/oauth/revoke", token=wrong))[0] == 429
    assert (await post(running, f"{BASE}/oauth/revoke", token=running.token))[0] == 200


@pytest.mark.bridge(tokens_per_user=3)
@pytest.mark.gen_test
async def test_one_more_sign_in_ends_the_one_used_longest_ago_and_no_token_made_by_hand(running):
    member = await running.user("grace") | {"Content-Type": "application/json"}
    _, where = await running.get(f"{BASE}/.well-known/oauth-authorization-server", {})
    first, second = [await sign_in(running, where, member) for _ in range(2)]
    # the first one is used after the second one was made
    assert (await running.get(f"{CONTROL}/users/me", {"Authorization": f"Bearer {first}"}))[0] == 200
    await running.bridge.token_uses.flush()
    third = await sign_in(running, where, member)
    expected = {first: 200, second: 401, third: 200}
    for token, status in expected.items():
        assert (await running.get(f"{CONTROL}/users/me", {"Authorization": f"Bearer {token}"}))[0] == status
    assert (await running.get(f"{CONTROL}/users/me", member))[0] == 200
    ended = await running.bridge.database.audit.find({"action": "token.revoked"}).to_list(None)
    assert [(one["actor"]["username"], one["detail"]["token_id"]) for one in ended] == [("grace", second[:10])]
