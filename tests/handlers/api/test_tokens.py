"""The tokens of a user, and for owners the tokens of all users."""

import asyncio
import json
from datetime import timedelta
from urllib.parse import quote

import pytest

from handlers.api.accounts import NOT_IN_ADDRESSES, OWNERS_CREATE
from handlers.base import UNRECOGNISED
from intercept.times import format_time
from settings import TokenCreation
from storage.accounts import identities as identities_module
from storage.accounts.audit import Author
from storage.accounts.identities import OUTLIVES, TOO_MANY_TODAY, TOO_MANY_TOKENS
from storage.accounts.token_texts import split_token
from storage.accounts.users import IdentityConflictError, Role
from tests.handlers.conversations import CHAT

USERS = "/api/v2/aibridge/users"


def token_of(headers):
    return headers["Authorization"].removeprefix("Bearer ")


def id_of(headers):
    return split_token(token_of(headers))[0]


def resource(token):
    return {
        "id": token.id,
        "name": token.name,
        "created_at": format_time(token.created_at),
        "expires_at": format_time(token.expires_at),
        "revoked_at": format_time(token.revoked_at),
        "last_used_at": None,
        "last_client": None,
        "last_client_ip": None,
    }


async def test_everybody_has_their_own_tokens_in_hand_whose_secrets_are_kept_nowhere(running, change):
    # everything that is wrong with a new token is named
    lifetime = "must be a duration longer than 0, such as 500ms, 30s, 10m, 1h30m or 60d, up to 3650d"
    name = "the token's name is not allowed: it has up to 128 printable characters"
    for expires in ("0", "", "soon", "3651d", "-1d", "999999999d"):
        status, response = await change("POST", "/users/me/tokens", {"name": "x" * 129, "expires": expires})
        assert (status, response["validations"]) == (
            400,
            [{"field": "name", "detail": name}, {"field": "expires", "detail": lifetime}],
        )
    assert len(await running.bridge.identities.list_tokens("ada")) == 1
    await running.afresh()
    # everybody has their own tokens in hand
    for role in Role:
        username, own, created = role.value, await running.user(role.value, role), []
        for name in ("me", username):
            status, token = await change("POST", f"/users/{name}/tokens", {"name": "laptop"}, own)
            assert status == 201, role
            with_token = {"X-Api-Key": token.pop("token")}
            assert (await running.get(f"{USERS}/me", with_token))[1]["username"] == username
            created.append(token)
        kept = [resource(token) for token in reversed(await running.bridge.identities.list_tokens(username))]
        assert [token["id"] for token in kept[:2]] == [token["id"] for token in reversed(created)], role
        for name in ("me", username):
            assert await running.get(f"{USERS}/{name}/tokens", own) == (200, {"count": 3, "results": kept}), role
        second = (200, {"count": 3, "results": kept[1:2]})
        assert await running.get(f"{USERS}/me/tokens?limit=1&offset=1", own) == second, role
        for token in created:
            assert await change("DELETE", f"/tokens/{token['id']}", headers=own) == (204, None), role
        _, listed = await running.get(f"{USERS}/me/tokens", own)
        assert [token["revoked_at"] is None for token in listed["results"]] == [False, False, True], role
    await running.afresh()
    # the token is shown once and its secret is kept nowhere
    _, created = await change("POST", "/users/me/tokens", {"name": "laptop", "expires": "90d"})
    token_id, secret = split_token(created.pop("token"))
    (token,) = [token for token in await running.bridge.identities.list_tokens("ada") if token.id == token_id]
    assert created == resource(token)
    assert token.expires_at - token.created_at <= timedelta(days=90)
    assert token.expires_at - token.created_at > timedelta(days=90) - timedelta(minutes=1)
    database = running.bridge.database
    for collection in (database.tokens, database.audit, database.users):
        assert secret not in repr([document async for document in collection.find()])


async def test_tokens_of_others_are_in_the_hand_of_owners_alone(running, change):
    # an owner has the tokens of all in hand
    grace = await running.user("grace")
    status, created = await change("POST", "/users/grace/tokens", {})
    assert (status, created["name"], created["expires_at"]) == (201, "", None)
    assert (await running.get(f"{USERS}/grace/tokens"))[1]["count"] == 2
    assert await change("DELETE", f"/tokens/{id_of(grace)}") == (204, None)
    assert await running.get(f"{USERS}/me", grace) == (401, {"message": UNRECOGNISED})
    assert (await running.get(f"{USERS}/me", {"X-Api-Key": created["token"]}))[0] == 200
    nobody = {"message": 'There is no user named "nobody".'}
    assert await running.get(f"{USERS}/nobody/tokens") == (404, nobody)
    assert await change("POST", "/users/nobody/tokens", {}) == (404, nobody)
    await running.afresh()
    # who is no owner revokes none of others, and is not told which there are
    grace, ada = await running.user("grace"), running.identity.token_id
    for token_id in (ada, "x", "%00", "$ne"):
        unknown = "\0" if token_id == "%00" else token_id
        message = f'No token with the id "{unknown}" (the part before the hyphen).'
        assert await change("DELETE", f"/tokens/{token_id}", headers=grace) == (404, {"message": message})
    assert (await running.get(f"{USERS}/me"))[0] == 200
    await running.afresh()
    # an owners token that expires makes none for others that does not
    await running.user("grace")
    own, expires_at = await expiring(running, "ada", timedelta(days=1))
    status, made = await change("POST", "/users/grace/tokens", {}, own)
    assert (status, made["expires_at"]) == (201, format_time(expires_at))


async def test_a_token_that_was_revoked_elsewhere_makes_no_other_one(running, elsewhere, change):
    headers = await running.user("grace")
    assert (await running.get(f"{USERS}/me", headers))[0] == 200
    await elsewhere.revoke_token(id_of(headers))
    assert (await running.get(f"{USERS}/me", headers))[0] == 200  # remembered, for some seconds
    assert await change("POST", "/users/me/tokens", {}, headers) == (401, {"message": UNRECOGNISED})
    assert len(await elsewhere.list_tokens("grace")) == 1


async def expiring(running, username, lifetime):
    """The headers with a token that expires, and when."""
    expires_at = running.bridge.now() + lifetime
    token, text = await running.bridge.identities.create_token(username, expires_at=expires_at)
    return {"Authorization": f"Bearer {text}"}, token.expires_at


async def active(running, username):
    return sum(token.revoked_at is None for token in await running.bridge.identities.list_tokens(username))


@pytest.mark.bridge(tokens_per_user=2)
async def test_a_member_has_a_bounded_number_of_active_tokens_that_did_not_expire(running, change):
    # a member has a bounded number of active tokens
    own = await running.user("grace")
    status, second = await change("POST", "/users/me/tokens", {}, own)
    assert status == 201
    limit = TOO_MANY_TOKENS.format("grace", 2)
    assert await change("POST", "/users/me/tokens", {}, own) == (409, {"message": f"{limit}."})
    assert len(await running.bridge.identities.list_tokens("grace")) == 2
    await change("DELETE", f"/tokens/{second['id']}", headers=own)
    assert (await change("POST", "/users/me/tokens", {}, own))[0] == 201
    await running.afresh()
    # tokens that expired do not count
    own = await running.user("grace")
    past = running.bridge.now() - timedelta(days=1)
    await running.bridge.identities.create_token("grace")
    await running.bridge.database.tokens.update_many(
        {"user_id": (await running.bridge.identities.find_user("grace")).id, "_id": {"$ne": id_of(own)}},
        {"$set": {"expires_at": past}},
    )
    assert (await change("POST", "/users/me/tokens", {}, own))[0] == 201


@pytest.mark.bridge(tokens_per_user=0)
async def test_who_creates_and_revokes_tokens_all_day_fills_no_database(running, change, monkeypatch):
    monkeypatch.setattr(identities_module, "MAX_TOKENS_A_DAY", 3)
    own = await running.user("grace")
    statuses = []
    for _ in range(6):
        status, made = await change("POST", "/users/me/tokens", {}, own)
        statuses.append(status)
        if status == 201:
            await change("DELETE", f"/tokens/{made['id']}", headers=own)
    assert statuses == [201, 201, 409, 409, 409, 409]
    assert made == {"message": f"{TOO_MANY_TODAY.format('grace', 3)}."}
    assert (await change("POST", "/users/grace/tokens", {}))[0] == 201  # by an owner
    yesterday = running.bridge.now() - timedelta(days=1)
    await running.bridge.database.tokens.update_many({"_id": {"$ne": id_of(own)}}, {"$set": {"created_at": yesterday}})
    assert (await change("POST", "/users/me/tokens", {}, own))[0] == 201


@pytest.mark.bridge(tokens_per_user=3)
async def test_two_processes_that_create_tokens_at_once_make_none_too_many(running, elsewhere):
    await running.user("grace")
    grace = await running.bridge.identities.find_user("grace")
    author = Author(grace, "192.0.2.1")
    outcomes = await asyncio.gather(
        *(one.create_token("grace", author=author) for one in (running.bridge.identities, elsewhere) * 3),
        return_exceptions=True,
    )
    assert await active(running, "grace") == 3
    assert sum(isinstance(outcome, IdentityConflictError) for outcome in outcomes) == 4
    assert await running.bridge.database.audit.count_documents({"action": "token.created", "actor.id": grace.id}) == 2


@pytest.mark.bridge(token_creation=TokenCreation.OWNERS)
async def test_creating_tokens_may_be_left_to_owners(running, change):
    for role in Role:
        own = await running.user(role.value, role)
        status, response = await change("POST", "/users/me/tokens", {}, own)
        expected = (201, None) if role is Role.OWNER else (403, OWNERS_CREATE)
        assert (status, response.get("message")) == expected, role
        status, response = await change("POST", f"/tokens/{id_of(own)}/replace", {}, own)
        assert (status, response.get("message")) == expected, role
        assert (await change("DELETE", f"/tokens/{id_of(own)}", headers=own))[0] == 204, role


@pytest.mark.parametrize("username", ["ada", "grace"])
async def test_a_token_does_not_outlive_the_one_it_is_made_with(running, change, username):
    await running.user("grace")
    own, expires_at = await expiring(running, username, timedelta(days=30))
    assert (await change("POST", "/users/me/tokens", {"expires": "29d"}, own))[0] == 201
    status, made = await change("POST", "/users/me/tokens", {}, own)
    assert (status, made["expires_at"]) == (201, format_time(expires_at))
    before = await active(running, username)
    detail = OUTLIVES.format(format_time(expires_at))
    refused = {"message": "The request body has invalid values.", "detail": f"{detail[:1].upper()}{detail[1:]}."}
    assert await change("POST", "/users/me/tokens", {"expires": "31d"}, own) == (400, refused)
    assert await active(running, username) == before
    further = {"Authorization": f"Bearer {made['token']}"}
    assert (await change("POST", "/users/me/tokens", {}, further))[1]["expires_at"] == format_time(expires_at)


@pytest.mark.bridge(tokens_per_user=3, token_creation=TokenCreation.OWNERS)
async def test_everybody_is_told_which_tokens_they_may_create(running):
    await running.user("grace")
    own, expires_at = await expiring(running, "grace", timedelta(days=1))
    rules = {"may_create": False, "limit": 3, "expire_by": format_time(expires_at)}
    assert (await running.get(f"{USERS}/me", own))[1]["tokens"] == rules
    rules = {"may_create": True, "limit": None, "expire_by": None}
    assert (await running.get(f"{USERS}/me"))[1]["tokens"] == rules


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


async def test_a_token_is_found_by_owners_and_auditors_and_no_secret_of_it_is_told(
    running, change, found, call, caplog
):
    # owners and auditors find tokens of all users
    auditor = await running.user("audrey", Role.AUDITOR)
    grace = await running.user("grace.hopper")
    _, laptop = await change("POST", "/users/grace.hopper/tokens", {"name": "Laptop (new)"})
    await change("DELETE", f"/tokens/{laptop['id']}")
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
async def test_who_has_as_many_tokens_as_are_allowed_may_replace_one_of_them(running, change):
    grace = await running.user("grace")
    _, second = await change("POST", "/users/me/tokens", {}, grace)
    assert (await change("POST", f"/tokens/{second['id']}/replace", {}, grace))[0] == 201
    full = {"message": f"{TOO_MANY_TOKENS.format('grace', 2)}."}
    assert await change("POST", f"/tokens/{second['id']}/replace", {}, grace) == (409, full)
    assert await change("POST", "/users/me/tokens", {}, grace) == (409, full)


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


async def test_a_group_with_tokens_is_no_user_who_is_changed_and_needs_to_be_there(running, change):
    await change("POST", "/groups", {"name": "ci"})
    for method in ("PATCH", "DELETE"):
        nobody = {"message": 'There is no user named "groups/ci".'}
        assert await change(method, f"/users/{quote('groups/ci', safe='')}", {}) == (404, nobody)
    assert (await change("POST", "/groups/nobody/tokens", {}))[0] == 404
