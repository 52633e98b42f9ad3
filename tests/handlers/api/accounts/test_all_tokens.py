"""Tokens of all users, found and looked up, replaced with an overlap, and those that belong to a group."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import quote

import pytest

from handlers.api.accounts import NOT_IN_ADDRESSES, OWNERS_CREATE
from intercept.times import format_time
from settings import TokenCreation
from storage.accounts.identities import TOO_MANY_TOKENS
from storage.accounts.users import Role
from tests.handlers.api.accounts.test_tokens import id_of, resource, token_of
from tests.handlers.conversations import CHAT

API = "/api/v2/aibridge"
UNKNOWN = {"message": "No token of this bridge: it is unknown, or not complete."}


def whose(user):
    return {"id": str(user.id), "username": user.username, "name": user.name}


@pytest.fixture
def found(running):
    """The ids of the tokens that a search finds."""

    async def found(text, headers=None):
        status, page = await running.get(f"{API}/tokens?q={quote(text, safe='')}", headers)
        assert (status, page["count"]) == (200, len(page["results"]))
        return [one["id"] for one in page["results"]]

    return found


@pytest.mark.gen_test
async def test_a_token_is_found_by_owners_and_auditors_and_no_secret_of_it_is_told(
    running, change, found, call, caplog
):
    # owners and auditors find tokens of all users
    auditor = await running.user("audrey", Role.AUDITOR)
    grace = await running.user("grace.hopper")
    _, laptop = await change("POST", "/users/grace.hopper/tokens", {"name": "Laptop (new)"})
    await change("DELETE", f"/users/grace.hopper/tokens/{laptop['id']}")
    for headers in (None, auditor):
        assert await found(laptop["id"], headers) == await found("lapTOP (", headers) == [laptop["id"]]
        assert await found("HOPPER", headers) == [laptop["id"], id_of(grace)]
        assert await found("laptop.", headers) == await found("lap\0top", headers) == []
        assert await found("", headers) == [laptop["id"], id_of(grace), id_of(auditor), running.identity.token_id]
    user = await running.bridge.identities.find_user("grace.hopper")
    token = (await running.bridge.identities.list_tokens("grace.hopper"))[1]
    expected = {"count": 4, "results": [resource(token) | {"user": whose(user)}]}
    assert await running.get(f"{API}/tokens?limit=1") == (200, expected)
    assert (await running.get(f"{API}/tokens?limit=1&offset=3"))[1]["results"][0]["id"] == running.identity.token_id
    await running.afresh()
    # a token in an address is refused and not said back
    token = token_of(running.headers)
    status, refused = await running.get(f"{API}/tokens?q={token}")
    assert (status, refused["validations"]) == (400, [{"field": "q", "detail": NOT_IN_ADDRESSES}])
    assert token not in json.dumps(refused)
    assert (await running.get(f"{API}/tokens?q={'x' * 257}"))[1]["validations"][0]["field"] == "q"
    assert (await running.get(f"{API}/tokens?q={'%20' * 257}"))[1]["validations"][0]["field"] == "q"
    await running.afresh()
    # an owner is told whose a token is and when it was used from where
    grace = await running.user("grace")
    await call(CHAT, grace | {"Content-Type": "application/json", "User-Agent": "codex_cli_rs/1"})
    await running.bridge.token_uses.flush()
    user = await running.bridge.identities.find_user("grace")
    (token,) = await running.bridge.identities.list_tokens("grace")
    (use,) = (await running.bridge.token_uses.of_tokens([token.id])).values()
    last = {"last_used_at": format_time(use.at), "last_client": "Codex", "last_client_ip": "127.0.0.1"}
    expected = resource(token) | last | {"user": whose(user)}
    for text in (token_of(grace), f" {token_of(grace)}\n"):
        assert await change("POST", "/tokens/lookup", {"token": text}) == (200, expected)
    for text in ("", "x", token.id, f"{token.id}-{22 * 'x'}", f"{10 * 'x'}{token_of(grace)[10:]}"):
        assert await change("POST", "/tokens/lookup", {"token": text}) == (404, UNKNOWN)
    assert (await change("POST", "/tokens/lookup", {"token": 1}))[0] == 400
    await running.afresh()
    # a token that was looked up is in no log and in no collection
    grace = await running.user("grace")
    with caplog.at_level("DEBUG"):
        await change("POST", "/tokens/lookup", {"token": token_of(grace)})
    await running.bridge.access.trail.flush()
    await running.bridge.token_uses.flush()
    secret, database = token_of(grace)[11:], running.bridge.database
    assert secret not in caplog.text
    everything = database.tokens.database
    for name in await everything.list_collection_names():
        assert secret not in repr([one async for one in everything[name].find()])


@pytest.mark.gen_test
async def test_a_token_is_replaced_for_an_overlap_by_those_who_may(running, change):
    # a replaced token works on for the overlap
    identities = running.bridge.identities
    grace = await running.user("grace")
    _, old = await change("POST", "/users/grace/tokens", {"name": "laptop", "expires": "90d"})
    (before,) = [token for token in await identities.list_tokens("grace") if token.id == old["id"]]
    status, new = await change("POST", f"/tokens/{old['id']}/replace", {"overlap": "1h"}, grace)
    assert (status, new["name"]) == (201, "laptop")
    kept = {token.id: token for token in await identities.list_tokens("grace")}
    assert kept[old["id"]].expires_at - kept[new["id"]].created_at == timedelta(hours=1)
    assert kept[new["id"]].expires_at - kept[new["id"]].created_at == before.expires_at - before.created_at
    for one in (old, new):
        assert (await running.get(f"{API}/users/me", {"X-Api-Key": one["token"]}))[1]["username"] == "grace"
    status, another = await change("POST", f"/tokens/{new['id']}/replace", {"overlap": "0", "expires": "1d"})
    assert status == 201
    over = {"message": f'The token "{new["id"]}" is not valid any more: create another one.'}
    assert await change("POST", f"/tokens/{new['id']}/replace", {}) == (409, over)
    assert (await running.get(f"{API}/users/me", {"X-Api-Key": new["token"]}))[0] == 401
    (token,) = [token for token in await identities.list_tokens("grace") if token.id == another["id"]]
    assert token.expires_at - token.created_at == pytest.approx(timedelta(days=1), abs=timedelta(minutes=10))
    entries = (await running.get(f"{API}/audit"))[1]["results"]
    (first, second) = [entry["detail"] for entry in reversed(entries) if entry["action"] == "token.replaced"]
    assert (first["token_id"], first["replaced_by"]) == (old["id"], new["id"])
    assert (second["token_id"], second["replaced_by"], second["name"]) == (new["id"], another["id"], "laptop")
    await running.afresh()
    # a token of its own is replaced by everybody and of others by owners
    grace, mary = await running.user("grace"), await running.user("mary", Role.AUDITOR)
    path = f"/tokens/{id_of(grace)}"
    unknown = {"message": f'No token with the id "{id_of(grace)}" (the part before the hyphen).'}
    assert await change("POST", f"{path}/replace", {}, mary) == (404, unknown)
    assert await change("DELETE", path, None, mary) == (404, unknown)
    wrong = (await change("POST", f"{path}/replace", {"overlap": "31d", "expires": "0s", "x": ""}))[1]["validations"]
    assert [one["field"] for one in wrong] == ["x", "overlap", "expires"]
    assert (await change("POST", f"{path}/replace", {}, grace))[0] == 201
    assert (await change("POST", f"{path}/replace", {}))[0] == 201
    assert await change("DELETE", path, None, grace) == (204, None)
    assert (await running.get(f"{API}/users/me", grace))[0] == 401
    assert await change("DELETE", f"/tokens/{id_of(mary)}") == (204, None)
    assert (await running.get(f"{API}/users/me", mary))[0] == 401
    await running.afresh()
    # a token does not outlive the one it is replaced with
    await running.user("grace")
    _, own = await change("POST", "/users/grace/tokens", {"expires": "2d"})
    own_headers = {"Authorization": f"Bearer {own['token']}"}
    _, new = await change("POST", f"/tokens/{own['id']}/replace", {"overlap": "30d"}, own_headers)
    assert new["expires_at"] == own["expires_at"]
    late = await change("POST", f"/tokens/{own['id']}/replace", {"expires": "3d"}, own_headers)
    assert late[0] == 400


@pytest.mark.bridge(tokens_per_user=2)
@pytest.mark.gen_test
async def test_who_has_as_many_tokens_as_are_allowed_may_replace_one_of_them(running, change):
    grace = await running.user("grace")
    _, second = await change("POST", "/users/me/tokens", {}, grace)
    assert (await change("POST", f"/tokens/{second['id']}/replace", {}, grace))[0] == 201
    full = {"message": f"{TOO_MANY_TOKENS.format('grace', 2)}."}
    assert await change("POST", f"/tokens/{second['id']}/replace", {}, grace) == (409, full)
    assert await change("POST", "/users/me/tokens", {}, grace) == (409, full)


@pytest.mark.bridge(token_creation=TokenCreation.OWNERS)
@pytest.mark.gen_test
async def test_where_only_owners_create_tokens_members_replace_none(running, change):
    grace = await running.user("grace")
    assert await change("POST", f"/tokens/{id_of(grace)}/replace", {}, grace) == (403, {"message": OWNERS_CREATE})


@pytest.mark.gen_test
async def test_a_service_token_belongs_to_its_group_and_calls_as_that(running, change, call):
    _, group = await change("POST", "/groups", {"name": "ci", "display_name": "CI"})
    status, token = await change("POST", "/groups/CI/tokens", {"name": "build", "expires": "90d"})
    assert status == 201
    service = {"Authorization": f"Bearer {token['token']}"}
    user = {"id": group["id"], "username": "groups/ci", "name": "CI"}
    status, me = await running.get(f"{API}/users/me", service)
    assert (status, me["id"], me["username"], me["role"]) == (200, group["id"], "groups/ci", "member")
    assert me["tokens"]["may_create"] is False
    identity = await running.bridge.identities.authenticate(token["token"])
    assert [str(one) for one in identity.user.group_ids] == [group["id"]]
    await call(CHAT, service | {"Content-Type": "application/json"})
    for query in ("", f"?q={quote('initiator:groups/ci')}"):
        for headers in (service, None):
            status, listed = await running.get(f"{API}/interceptions{query}", headers)
            assert (status, [one["initiator"] for one in listed["results"]]) == (200, [user])
    status, page = await running.get(f"{API}/groups/ci/tokens")
    assert (status, page["count"], page["results"][0]["id"]) == (200, 1, token["id"])
    assert (await running.get(f"{API}/tokens?q=CI"))[1]["results"][0]["user"] == user
    assert (await change("POST", "/tokens/lookup", {"token": token["token"]}))[1]["user"] == user
    status, new = await change("POST", f"/tokens/{token['id']}/replace", {"overlap": "0"})
    assert (status, (await running.get(f"{API}/users/me", service))[0]) == (201, 401)
    service = {"Authorization": f"Bearer {new['token']}"}
    await change("PATCH", "/groups/ci", {"name": "builds"})
    assert (await running.get(f"{API}/groups/builds/tokens"))[1]["count"] == 2
    assert await change("DELETE", "/groups/builds") == (204, None)
    assert (await running.get(f"{API}/users/me", service))[0] == 401
    assert (await running.get(f"{API}/interceptions"))[1]["results"][0]["initiator"]["username"] == "groups/builds"


@pytest.mark.gen_test
async def test_a_group_with_tokens_is_no_user_who_is_changed_and_needs_to_be_there(running, change):
    await change("POST", "/groups", {"name": "ci"})
    for method in ("PATCH", "DELETE"):
        nobody = {"message": 'There is no user named "groups/ci".'}
        assert await change(method, f"/users/{quote('groups/ci', safe='')}", {}) == (404, nobody)
    assert (await change("POST", "/groups/nobody/tokens", {}))[0] == 404
