"""Claude Code signs in below a provider of Anthropic's dialect, and out again."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlencode

import pytest

from handlers.api.sign_in.devices import GRANT_TYPE
from tests.bridge import until

CONTROL = "/api/v2/aibridge"
BASE = f"{CONTROL}/anthropic"
CLIENT = {"Content-Type": "application/x-www-form-urlencoded"}  # 2.1.197 does not say what it is


async def post(running, url, **fields):
    path = url.removeprefix("http://bridge")
    response = await running.request("POST", path, dict(CLIENT), urlencode(fields).encode())
    return response.status, json.loads(response.body or b"null")


async def sign_in(running, where, headers=None):
    return (await fetch(running, where, headers))["access_token"]


async def fetch(running, where, headers=None):
    """What a client is given that its user allows."""
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
    return got


async def test_a_client_finds_the_desk_signs_in_and_out_and_is_refused_from_then_on(running):
    status, where = await running.get(f"{BASE}/.well-known/oauth-authorization-server", {})
    base = f"http://bridge{BASE}"
    assert (status, where["issuer"], where["grant_types_supported"]) == (200, base, [GRANT_TYPE, "refresh_token"])
    token = await sign_in(running, where)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await running.get(f"{CONTROL}/users/me", headers))[1]["username"] == "ada"
    listed = (await running.get(f"{CONTROL}/users/me/tokens"))[1]["results"][0]
    assert (listed["name"], listed["revoked_at"]) == ("Claude Code", None)
    # nothing that is not served stops the client: it takes 404 for "none"
    assert (await running.get(f"{BASE}/managed/settings", headers))[0] == 404
    status, none = await running.get(f"{BASE}/user/bootstrap", headers)
    assert (status, none["error"]["type"]) == (404, "not_found_error")
    assert await post(running, where["revocation_endpoint"]) == (
        400,
        {"error": "invalid_request", "error_description": "token is required"},
    )
    for _ in range(2):  # the second time it is not valid any more, which is no error
        assert await post(running, where["revocation_endpoint"], token=token) == (200, None)
    refused = await running.request("GET", f"{BASE}/managed/settings", headers)
    assert (refused.status, refused.header("x-should-retry")) == (401, "false")
    assert (await running.get(f"{CONTROL}/users/me/tokens"))[1]["results"][0]["revoked_at"]


async def set_policy(running, path, policy):
    answer = await running.request(
        "PUT", f"{CONTROL}/policies/{path}", dict(running.headers), json.dumps(policy).encode()
    )
    return answer.status, json.loads(answer.body)


@pytest.mark.expects_log("WARNING storage.mongo.health: the database is unavailable: ")
class TestManagedSettings:
    @pytest.fixture
    def database(self, private_database):
        return private_database

    async def test_a_client_gets_those_of_its_policies_also_without_the_database(
        self, running, private_mongodb, log_watch
    ):
        _, where = await running.get(f"{BASE}/.well-known/oauth-authorization-server", {})
        headers = {"Authorization": f"Bearer {await sign_in(running, where)}"}
        shared = {"$schema": "https://json.schemastore.org/é", "usd": 1, "permissions": {"deny": ["Read(.env)"]}}
        own = {"permissions": {"deny": ["WebFetch"]}}
        models = {"allow": ["claude-opus-4-8", {"provider": "openai", "model": "gpt-5"}]}
        assert (await set_policy(running, "everyone", {"managed_settings": shared}))[0] == 200
        assert (await set_policy(running, "users/ada", {"managed_settings": own, "models": models}))[0] == 200
        await running.bridge.policies.followed.refresh()
        settings = shared | {"permissions": {"deny": ["Read(.env)", "WebFetch"]}}
        settings |= {
            "availableModels": ["claude-opus-4-8"],
            "availableModelsMatch": "exact",
            "enforceAvailableModels": True,
        }
        _, explained = await running.get(f"{CONTROL}/users/me/policy")
        assert explained["managed_settings"] == settings
        canonical = (
            '{"$schema":"https://json.schemastore.org/é","availableModels":["claude-opus-4-8"],"availableModelsMatch":"exact",'
            '"enforceAvailableModels":true,"permissions":{"deny":["Read(.env)","WebFetch"]},"usd":1}'
        )
        checksum = f"sha256:{sha256(canonical.encode()).hexdigest()}"

        async def asks():
            got = await running.request("GET", f"{BASE}/managed/settings", headers)
            assert (got.status, got.header("Etag")) == (200, f'"{checksum}"')
            assert json.loads(got.body) == {"uuid": checksum, "checksum": checksum, "settings": settings}
            conditional = headers | {"If-None-Match": f'"{checksum}"'}
            same = await running.request("GET", f"{BASE}/managed/settings", conditional)
            assert (same.status, same.body) == (304, b"")
            other = headers | {"If-None-Match": '"sha256:0"'}
            assert (await running.request("GET", f"{BASE}/managed/settings", other)).status == 200

        await asks()
        private_mongodb.freeze()
        running.bridge.database.health.lose("frozen")
        await until(lambda: log_watch.has("health: the database is unavailable"))
        await asks()
        private_mongodb.thaw()


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ("all", "must be a JSON object"),
        (json.loads("[" * 25 + "]" * 25), "must be a JSON object"),
        ({"a": json.loads("[" * 25 + "]" * 25)}, "must be nested at most 20 deep"),
    ],
)
async def test_what_are_no_managed_settings_is_refused(running, settings, rule):
    status, answer = await set_policy(running, "everyone", {"managed_settings": settings})
    assert (status, answer["validations"]) == (400, [{"field": "managed_settings", "detail": rule}])


async def test_it_is_only_where_messages_are_served(running):
    assert (await running.get(f"{CONTROL}/openai/.well-known/oauth-authorization-server"))[0] == 404


@pytest.mark.bridge(authentication_failure_limit=2)
async def test_guesses_of_tokens_to_revoke_are_bounded(running):
    wrong = running.token[:-1] + ("a" if running.token[-1] != "a" else "b")
    for _ in range(2):
        assert (await post(running, f"{BASE}/oauth/revoke", token=wrong))[0] == 200
    assert (await post(running, f"{BASE}/oauth/revoke", token=wrong))[0] == 429
    assert (await post(running, f"{BASE}/oauth/revoke", token=running.token))[0] == 200


@pytest.mark.bridge(tokens_per_user=3)
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


INVALID = (400, {"error": "invalid_grant", "error_description": "refresh_token is not valid"})


async def test_a_token_is_refreshed_once_whoever_of_its_user_asks_again(running):
    _, where = await running.get(f"{BASE}/.well-known/oauth-authorization-server", {})
    first = await fetch(running, where)
    token_id = first["access_token"].partition("-")[0]
    tokens, now = running.bridge.database.tokens, datetime.now(UTC)

    async def ends(**times):
        await tokens.update_one({"_id": token_id}, {"$set": times})
        running.bridge.identities.forget(running.identity.user.id)

    async def refresh(answer):
        fields = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}
        return await post(running, where["token_endpoint"], **fields)

    async def lets_in(answer):
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        return (await running.get(f"{CONTROL}/users/me", headers))[0]

    await ends(expires_at=now - timedelta(days=29))
    assert await lets_in(first) == 401
    (status, second), again = await asyncio.gather(refresh(first), refresh(first))
    assert (status, again, second["token_type"]) == (200, (200, again[1] | second), "Bearer")
    assert {one["access_token"].partition("-")[0] for one in (first, second)} == {token_id}
    assert len({one[name] for one in (first, second) for name in ("access_token", "refresh_token")}) == 4
    assert second["expires_in"] > 89 * 86_400
    assert (await lets_in(first), await lets_in(second)) == (401, 200)
    # a text that came too late ends nothing
    await ends(**{"refresh.before.until": now})
    assert (await refresh(first), await lets_in(second)) == (INVALID, 200)
    status, third = await refresh(second)
    assert (status, await lets_in(second), await lets_in(third)) == (200, 401, 200)
    written = await running.bridge.database.audit.find({"action": "token.replaced"}).to_list(None)
    assert [(one["actor"]["username"], one["detail"]["token_id"]) for one in written] == [("ada", token_id)] * 2
    kept = str(await tokens.find_one({"_id": token_id}))
    assert not any(third[name].partition("-")[2] in kept for name in ("access_token", "refresh_token"))
    await ends(expires_at=now - timedelta(days=31))
    assert await refresh(third) == INVALID
    await ends(expires_at=now + timedelta(days=1))
    assert (await refresh(third))[0] == 200
    await running.bridge.identities.revoke_token(token_id)
    assert (await refresh(third), await refresh({"refresh_token": ""})) == (INVALID, INVALID)


async def test_what_must_not_be_outlived_or_whose_user_was_removed_is_not_refreshed(running):
    _, where = await running.get(f"{BASE}/.well-known/oauth-authorization-server", {})
    grace = await running.user("grace") | {"Content-Type": "application/json"}
    fields = {"grant_type": "refresh_token", "refresh_token": (await fetch(running, where, grace))["refresh_token"]}
    body = json.dumps({"name": "short", "expires": "1d"}).encode()
    made = await running.request("POST", f"{CONTROL}/users/me/tokens", grace, body)
    short = grace | {"Authorization": f"Bearer {json.loads(made.body)['token']}"}
    assert "refresh_token" not in await fetch(running, where, short)
    other = await post(running, f"{CONTROL}/device/token", **fields)
    assert other[1]["error"] == "unsupported_grant_type"
    assert (await running.request("DELETE", f"{CONTROL}/users/grace", dict(running.headers))).status == 204
    assert await post(running, where["token_endpoint"], **fields) == INVALID
