"""Everybody's own tokens, and for owners those of all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handlers.base import UNRECOGNISED
from handlers.tokens import NOT_YOURS_TO_CHANGE, NOT_YOURS_TO_SEE
from storage.documents import shown_time
from storage.tokens import FRESH_SECONDS, split_token
from storage.users import Role

USERS = "/api/v2/aibridge/users"


def token_of(headers):
    return headers["Authorization"].removeprefix("Bearer ")


def id_of(headers):
    return split_token(token_of(headers))[0]


def shown(token):
    return {
        "id": token.id,
        "name": token.name,
        "created_at": shown_time(token.created_at),
        "expires_at": shown_time(token.expires_at),
        "revoked_at": shown_time(token.revoked_at),
    }


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.gen_test
async def test_everybody_has_their_own_tokens_in_hand(running, change, role):
    own = await running.user("grace", role)
    created = []
    for name in ("me", "grace"):
        status, token = await change("POST", f"/users/{name}/tokens", {"name": "laptop"}, own)
        assert status == 201
        assert (await running.get(f"{USERS}/me", {"X-Api-Key": token.pop("token")}))[1]["username"] == "grace"
        created.append(token)
    kept = [shown(token) for token in reversed(await running.bridge.identities.list_tokens("grace"))]
    assert [token["id"] for token in kept[:2]] == [token["id"] for token in reversed(created)]
    for name in ("me", "grace"):
        assert await running.get(f"{USERS}/{name}/tokens", own) == (200, {"count": 3, "results": kept})
    assert await running.get(f"{USERS}/me/tokens?limit=1&offset=1", own) == (200, {"count": 3, "results": kept[1:2]})
    for token in created:
        assert await change("DELETE", f"/users/me/tokens/{token['id']}", headers=own) == (204, None)
    _, listed = await running.get(f"{USERS}/me/tokens", own)
    assert [token["revoked_at"] is None for token in listed["results"]] == [False, False, True]


@pytest.mark.gen_test
async def test_the_token_is_shown_once_and_its_secret_is_kept_nowhere(running, change):
    _, created = await change("POST", "/users/me/tokens", {"name": "laptop", "expires": "90d"})
    token_id, secret = split_token(created.pop("token"))
    (token,) = [token for token in await running.bridge.identities.list_tokens("ada") if token.id == token_id]
    assert created == shown(token)
    assert token.expires_at - token.created_at <= timedelta(days=90)
    assert token.expires_at - token.created_at > timedelta(days=90) - timedelta(minutes=1)
    database = running.bridge.database
    for collection in (database.tokens, database.audit, database.users):
        assert secret not in repr([document async for document in collection.find()])


@pytest.mark.gen_test
async def test_everything_that_is_wrong_with_a_new_token_is_named(running, change):
    lifetime = "must be a duration longer than 0, such as 500ms, 30s, 10m, 1h30m or 60d, up to 3650d"
    name = "the token's name is not allowed: it has up to 128 printable characters"
    for expires in ("0", "", "soon", "3651d", "-1d", "999999999d"):
        status, answer = await change("POST", "/users/me/tokens", {"name": "x" * 129, "expires": expires})
        assert (status, answer["validations"]) == (
            400,
            [{"field": "name", "detail": name}, {"field": "expires", "detail": lifetime}],
        )
    assert len(await running.bridge.identities.list_tokens("ada")) == 1


@pytest.mark.gen_test
async def test_an_owner_has_the_tokens_of_all_in_hand(running, change):
    grace = await running.user("grace")
    status, created = await change("POST", "/users/grace/tokens", {})
    assert (status, created["name"], created["expires_at"]) == (201, "", None)
    assert (await running.get(f"{USERS}/grace/tokens"))[1]["count"] == 2
    assert await change("DELETE", f"/users/grace/tokens/{id_of(grace)}") == (204, None)
    assert await running.get(f"{USERS}/me", grace) == (401, {"message": UNRECOGNISED})
    assert (await running.get(f"{USERS}/me", {"X-Api-Key": created["token"]}))[0] == 200
    nobody = {"message": 'There is no user named "nobody".'}
    assert await running.get(f"{USERS}/nobody/tokens") == (404, nobody)
    assert await change("POST", "/users/nobody/tokens", {}) == (404, nobody)
    assert await change("DELETE", f"/users/nobody/tokens/{id_of(grace)}") == (404, nobody)


@pytest.mark.gen_test
async def test_a_token_is_revoked_below_its_own_user_only(running, change):
    grace, ada = await running.user("grace"), running.identity.token_id
    for token_id in (ada, "x", "%00", "$ne"):
        unknown = "\0" if token_id == "%00" else token_id
        message = f'There is no token with the id "{unknown}": it is the part before the hyphen.'
        assert await change("DELETE", f"/users/me/tokens/{token_id}", headers=grace) == (404, {"message": message})
        assert await change("DELETE", f"/users/grace/tokens/{token_id}") == (404, {"message": message})
    assert (await running.get(f"{USERS}/me"))[0] == 200


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.MEMBER])
@pytest.mark.gen_test
async def test_who_is_no_owner_changes_no_token_of_others(running, change, role):
    headers, token_id = await running.user("grace", role), running.identity.token_id
    refused = (403, {"message": NOT_YOURS_TO_CHANGE})
    for name in ("ada", "nobody"):  # who may not see users is not told who there is
        assert await change("POST", f"/users/{name}/tokens", {}, headers) == refused
        assert await change("DELETE", f"/users/{name}/tokens/{token_id}", None, headers) == refused
        if role is Role.MEMBER:
            assert await running.get(f"{USERS}/{name}/tokens", headers) == (403, {"message": NOT_YOURS_TO_SEE})
    if role is Role.AUDITOR:
        assert await running.get(f"{USERS}/ada/tokens", headers) == await running.get(f"{USERS}/me/tokens")
    (token,) = await running.bridge.identities.list_tokens("ada")
    assert token.revoked_at is None


@pytest.mark.gen_test
async def test_without_a_token_there_are_none(running, change):
    for method, path in (("POST", "ada/tokens"), ("POST", "me/tokens"), ("DELETE", "me/tokens/x")):
        assert (await change(method, f"/users/{path}", {}, {}))[0] == 401
    assert (await running.get(f"{USERS}/me/tokens", {}))[0] == 401


@pytest.mark.gen_test
async def test_a_token_that_was_revoked_elsewhere_makes_no_other_one(running, change, elsewhere):
    headers = await running.user("grace")
    assert (await running.get(f"{USERS}/me", headers))[0] == 200
    await elsewhere.revoke_token(id_of(headers))
    assert (await running.get(f"{USERS}/me", headers))[0] == 200  # remembered, for some seconds
    assert await change("POST", "/users/me/tokens", {}, headers) == (401, {"message": UNRECOGNISED})
    assert len(await elsewhere.list_tokens("grace")) == 1


@pytest.mark.gen_test
async def test_a_token_that_was_revoked_elsewhere_lets_nobody_in_after_five_seconds(running, elsewhere, monkeypatch):
    headers = await running.user("grace")
    assert (await running.get(f"{USERS}/me", headers))[0] == 200
    await elsewhere.revoke_token(id_of(headers))
    identities = running.bridge.identities
    began = identities._monotonic()
    monkeypatch.setattr(identities, "_monotonic", lambda: began + FRESH_SECONDS)
    assert await running.get(f"{USERS}/me", headers) == (401, {"message": UNRECOGNISED})
