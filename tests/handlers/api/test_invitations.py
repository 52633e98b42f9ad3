"""Who is invited gets in by a link, until a day, and may spend so much in all."""

import json
from datetime import datetime, timedelta

import pytest

from limits.policies.policy import NOT_MONEY
from storage.accounts.sign_in.sign_ins import INVITED_SECONDS
from tests.derived import derive
from tests.handlers.api.sign_in.test_desk import BASE, sign_in
from tests.handlers.api.sign_in.test_desk_budgets import told
from tests.handlers.dataplane.test_call_usage import OPUS, OPUS_MICRO_DOLLARS, whole

CONTROL = "/api/v2/aibridge"
USD = f"{OPUS_MICRO_DOLLARS / 1_000_000:.6f}"  # what one call costs


async def post(running, path, headers, **fields):
    response = await running.request("POST", f"{CONTROL}/{path}", dict(headers), json.dumps(fields).encode())
    return response, json.loads(response.body or b"null")


async def invite(running, **fields):
    response, invitation = await post(running, "invitations", running.headers, **fields)
    assert response.status == 201, invitation
    return invitation


async def redeem(running, invitation):
    """The headers of a browser that followed the link."""
    start, _, rest = invitation["link"].partition("/#/sign-in/")
    code, _, leads_to = rest.partition("?to=")
    assert (start, leads_to) == ("http://bridge", "connect")
    kind = {"Content-Type": "application/json"}
    response, problem = await post(running, "users/me/session", kind, code=code)
    cookie = (response.header("Set-Cookie") or "").partition(";")[0]
    return response.status, problem, kind | {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}


async def test_a_guest_gets_in_once_by_the_link_and_all_ends_with_the_invitation(running):
    invitation = await invite(running, username="kim@partner.example", expires="7d", usd=USD, models=["claude-*"])
    user, ends = invitation["user"], datetime.fromisoformat(invitation["expires_at"])
    assert (user["username"], user["role"]) == ("kim@partner.example", "member")
    assert abs(ends - running.bridge.now() - timedelta(days=7)) < timedelta(minutes=1)
    status, _, browser = await redeem(running, invitation)
    assert status == 204
    assert (await redeem(running, invitation))[0] == 401
    _, me = await running.get(f"{CONTROL}/users/me", browser)
    assert (me["username"], me["tokens"]["expire_by"]) == ("kim@partner.example", invitation["expires_at"])
    response, token = await post(running, "users/me/tokens", browser, name="laptop")
    assert (response.status, token["expires_at"]) == (201, invitation["expires_at"])
    headers = {"Authorization": f"Bearer {token['token']}", "Content-Type": "application/json"}
    refused = await post(running, "anthropic/v1/messages", headers, model="gpt-5", max_tokens=1, messages=[])
    assert refused[0].status == 403
    running.upstream.scripts[:] = [[whole(OPUS)]]
    response = await running.call(OPUS, headers)
    assert response.header("X-AI-Bridge-Budget-Remaining") == "0.000288"
    assert response.header("X-AI-Bridge-Budget-Reset") is None
    spent = await running.call(OPUS, headers)
    assert (spent.status, spent.header("x-should-retry"), spent.header("Retry-After")) == (403, "false", None)
    await running.ended(1)
    await derive(running.bridge.database)
    _, budgets = await running.get(f"{CONTROL}/budgets")
    (budget,) = budgets["results"]
    assert (budget["name"], budget["period"], budget["resets_at"]) == ("kim@partner.example", "total", None)


async def test_a_client_that_signed_in_is_told_that_all_is_spent_and_not_when_it_starts_again(running):
    invitation = await invite(running, username="kim", expires="30d", usd=USD)
    _, _, browser = await redeem(running, invitation)
    _, where = await running.get(f"{BASE}/.well-known/oauth-authorization-server", {})
    headers = {"Authorization": f"Bearer {await sign_in(running, where, browser)}", "Content-Type": "application/json"}
    running.upstream.scripts[:] = [[whole(OPUS)]]
    assert told(await running.call(OPUS, headers)) == {}  # the client heeds nothing without an end
    refused = await running.call(OPUS, headers)
    assert (refused.status, refused.header("Retry-After")) == (429, None)
    assert told(refused)["status"] == "rejected"
    assert "starts again" not in json.loads(refused.body)["error"]["message"]
    _, usage = await running.get(f"{BASE}/api/oauth/usage", headers)
    assert (usage["limits"], usage["extra_usage"]["utilization"]) == ([], 100)


async def test_the_link_waits_for_seven_days(running):
    invitation = await invite(running, username="kim", expires="365d")
    codes = running.bridge.database.sign_in_codes
    (code,) = [one async for one in codes.find()]
    assert abs((code["expires_at"] - running.bridge.now()).total_seconds() - INVITED_SECONDS) < 60
    await codes.update_one({}, {"$set": {"expires_at": running.bridge.now() - timedelta(seconds=1)}})
    assert (await redeem(running, invitation))[0] == 401
    status, policy = await running.get(f"{CONTROL}/policies/users/kim")
    assert (status, policy) == (200, {})


@pytest.mark.parametrize(
    ("fields", "field", "rule"),
    [
        ({"usd": "-1"}, "usd", NOT_MONEY),
        ({"models": ["two words"]}, "models", "must be"),
        ({"models": "claude-*"}, "models", "must be a list of patterns"),
        ({"expires": "soon"}, "expires", "must be"),
        ({"role": "owner"}, "role", "unknown field"),
    ],
)
async def test_what_cannot_be_is_named_and_nobody_is_added(running, fields, field, rule):
    given = {"username": "kim", "expires": "7d"} | fields
    response, problem = await post(running, "invitations", running.headers, **given)
    assert response.status == 400
    (named,) = problem["validations"]
    assert (named["field"], rule in named["detail"]) == (field, True), named
    assert (await running.get(f"{CONTROL}/users/kim"))[0] == 404


async def test_an_invitation_ends_no_later_than_the_token_of_who_makes_it_and_else_adds_nobody(running):
    _, short = await post(running, "users/me/tokens", running.headers, name="short", expires="1d")
    headers = running.headers | {"Authorization": f"Bearer {short['token']}"}
    response, problem = await post(running, "invitations", headers, username="kim", expires="7d")
    assert (response.status, "cannot expire later" in problem["detail"]) == (400, True)
    assert (await running.get(f"{CONTROL}/users/kim"))[0] == 404


async def test_a_name_that_is_taken_is_refused(running):
    response, _ = await post(running, "invitations", running.headers, username="ada", expires="7d")
    assert response.status == 409
