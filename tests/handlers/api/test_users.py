"""The caller's own account, and the list of users."""

import json
from urllib.parse import quote, unquote

from intercept.times import format_time
from storage.accounts.users import Role
from tests.handlers.conversations import CHAT

LIST = "/api/v2/aibridge/interceptions"
USERS = "/api/v2/aibridge/users"
PATH = f"{USERS}/me"
JSON = {"Content-Type": "application/json"}
INVALID_BODY = "The request body has invalid values."
LAST_OWNER = '"ada" is the only owner; assign another owner first.'


def resource(user):
    return {
        "id": str(user.id),
        "username": user.username,
        "name": user.name,
        "role": user.role.value,
        "created_at": format_time(user.created_at),
    }


def listed(user, tokens=1, groups=(), seen=None, spend=0.0):
    """A user as the list has them, to whom nothing has happened yet unless it is said."""
    return resource(user) | {
        "groups": [{"id": str(group.id), "name": group.name} for group in groups],
        "active_tokens": tokens,
        "last_seen_at": seen,
        "spend_usd": spend,
    }


async def test_users_are_told_who_they_are_and_owners_and_auditors_who_there_is(running):
    # everybody is told who they are
    ada = running.identity.user
    created_at = ada.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    expected = {"id": str(ada.id), "username": "ada", "name": "ada", "role": "owner", "created_at": created_at}
    expected["tokens"] = {"may_create": True, "limit": None, "expire_by": None}
    assert await running.get(PATH) == (200, expected)
    for role in (Role.MEMBER, Role.AUDITOR):
        status, user = await running.get(PATH, await running.user(f"user-{role}", role))
        assert (status, user["username"], user["role"]) == (200, f"user-{role}", role.value)
    await running.afresh()
    # owners and auditors see the users by name with their active tokens
    identities = running.bridge.identities
    auditor = await running.user("bob", Role.AUDITOR)
    revoked, _ = await identities.create_token("bob")
    await identities.revoke_token(revoked.id)
    expiring, _ = await identities.create_token("bob", expires_at=running.bridge.now().replace(year=2999))
    await running.bridge.database.tokens.update_one(
        {"_id": expiring.id}, {"$set": {"expires_at": running.bridge.now()}}
    )
    await identities.create_token("ada")
    await running.user("gone")
    await identities.remove_user("gone")
    await identities.add_user("Zoe", role=Role.MEMBER)
    users = await identities.list_users()
    everybody = [listed(user, tokens) for user, tokens in zip(users, (2, 1, 0), strict=True)]
    assert [user["username"] for user in everybody] == ["ada", "bob", "Zoe"]
    for headers in (running.headers, auditor):
        assert await running.get(USERS, headers) == (200, {"count": 3, "results": everybody})
    assert await running.get(f"{USERS}?limit=1&offset=1") == (200, {"count": 3, "results": everybody[1:2]})


async def test_an_owner_adds_changes_and_removes_users(running, change):
    # an owner adds a user
    for body, name in (
        ({"username": "grace", "role": "auditor", "name": "Grace H."}, "Grace H."),
        ({"username": "bob", "role": "member"}, "bob"),
    ):
        status, added = await change("POST", "/users", body)
        found = await running.bridge.identities.find_user(body["username"])
        assert (status, added) == (201, resource(found))
        assert (found.name, found.role) == (name, body["role"])
    again = {"message": 'A user named "bob" exists already.'}
    assert await change("POST", "/users", {"username": "bob", "role": "owner"}) == (409, again)
    await running.afresh()
    # an owner changes what is given of a user
    headers = await running.user("grace")
    assert (await running.get(USERS, headers))[0] == 403
    status, changed = await change("PATCH", "/users/grace", {"role": "auditor"})
    found = await running.bridge.identities.find_user("grace")
    assert (status, changed, found.role, found.name) == (200, resource(found), Role.AUDITOR, "grace")
    assert (await running.get(USERS, headers))[0] == 200  # in this process at once
    for given, name in (("Grace H.", "Grace H."), ("", "grace")):
        status, changed = await change("PATCH", "/users/grace", {"name": given})
        assert (status, changed["name"], changed["role"]) == (200, name, "auditor")
    assert await change("PATCH", "/users/grace", {}) == (200, changed)
    await running.afresh()
    # an owner removes a user and their tokens
    headers = await running.user("grace")
    assert await change("DELETE", "/users/grace") == (204, None)
    assert (await running.get(PATH, headers))[0] == 401
    assert await change("DELETE", "/users/grace") == (404, {"message": 'There is no user named "grace".'})
    assert (await change("POST", "/users", {"username": "grace", "role": "member"}))[0] == 201
    assert (await running.get(PATH, headers))[0] == 401


async def test_what_is_wrong_with_a_user_or_its_version_is_named(running, change):
    # everything that is wrong with a new user is named
    detail = (
        'the username "a b" is not allowed: it has 1 to 128 characters of A-Z a-z 0-9 . _ + - @, at least one a letter or digit',
        "must be one of owner, auditor, reader, member",
        "the name is not allowed: it has up to 128 printable characters",
    )
    fields = ("username", "role", "name")
    wrong = {"message": INVALID_BODY}
    wrong["validations"] = [{"field": field, "detail": text} for field, text in zip(fields, detail, strict=True)]
    assert await change("POST", "/users", {"username": "a b", "role": "king", "name": "\n"}) == (400, wrong)
    wrong["validations"] = [{"field": field, "detail": "is required"} for field in fields[:2]]
    assert await change("POST", "/users", {}) == (400, wrong)
    status, refused = await change("POST", "/users", {"username": "me", "role": "owner"})
    message = 'the username "me" is not allowed: in a search it means the current user'
    assert (status, refused["validations"]) == (400, [{"field": "username", "detail": message}])
    assert [user.username for user in await running.bridge.identities.list_users()] == ["ada"]
    await running.afresh()
    # a change of a version of a user that is over is refused
    first = (
        await running.request("POST", USERS, running.headers | JSON, b'{"username": "grace", "role": "member"}')
    ).header("ETag")
    assert (await running.request("GET", f"{USERS}/grace", running.headers)).header("ETag") == first
    await change("PATCH", "/users/grace", {"name": "G"})
    response = await running.request(
        "PATCH", f"{USERS}/grace", running.headers | JSON | {"If-Match": first}, b'{"role": "owner"}'
    )
    changed = {"message": 'The user "grace" was changed meanwhile; read it again.'}
    assert (response.status, json.loads(response.body)) == (412, changed)
    assert (await running.bridge.identities.find_user("grace")).role is Role.MEMBER


async def test_when_a_user_was_seen_last_and_from_where_is_noted_of_each_plane(running, call):
    headers = await running.user("grace")
    grace = await running.bridge.identities.find_user("grace")
    uses, token_id = running.bridge.token_uses, headers["Authorization"].removeprefix("Bearer ")[:10]
    assert (await running.get(f"{USERS}/grace", headers | {"User-Agent": "curl/8"}))[1]["last_seen_at"] is None
    await uses.flush()
    (use,) = (await uses.of_tokens([token_id])).values()
    assert (use.user_id, use.client, use.client_ip) == (grace.id, "curl", "127.0.0.1")
    assert (await running.get(f"{USERS}/grace"))[1]["last_seen_at"] == format_time(use.at)
    bob = await running.user("bob")
    await call(CHAT, bob | {"Content-Type": "application/json", "User-Agent": "codex_cli_rs/1"})
    assert (await running.get(f"{USERS}/me", await running.signed_in(bob["Authorization"].removeprefix("Bearer "))))[
        0
    ] == 200
    await uses.flush()
    (use,) = (await uses.of_tokens([bob["Authorization"].removeprefix("Bearer ")[:10]])).values()
    assert (use.client, use.client_ip) == ("Codex", "127.0.0.1")


async def test_there_is_always_an_owner(running, change):
    oneself = {"message": "You cannot remove yourself; ask another owner."}
    assert await change("DELETE", "/users/ada") == (409, oneself)
    assert await change("PATCH", "/users/ada", {"role": "member"}) == (409, {"message": LAST_OWNER})
    assert (await change("PATCH", "/users/ada", {"role": "owner"}))[0] == 200
    grace = await running.user("grace", Role.OWNER)
    assert (await change("PATCH", "/users/ada", {"role": "member"}))[0] == 200
    assert (await change("DELETE", "/users/grace"))[0] == 403
    assert await change("DELETE", "/users/ada", headers=grace) == (204, None)


async def test_a_role_that_was_taken_elsewhere_changes_nothing_any_more(running, change, elsewhere):
    assert (await running.get(PATH))[1]["role"] == "owner"
    await elsewhere.add_user("grace", role=Role.OWNER)
    await elsewhere.change_user("ada", role=Role.MEMBER)
    assert (await running.get(PATH))[1]["role"] == "owner"  # remembered
    assert (await change("PATCH", "/users/ada", {"role": "owner"}))[0] == 403
    assert (await change("POST", "/users", {}))[0] == 403


async def test_a_mail_address_names_a_user_in_paths_and_searches_in_any_case(running, change, call):
    mail = "Grace.Hopper+work@Example.com"
    status, grace = await change("POST", "/users", {"username": mail, "role": "member"})
    assert (status, grace["username"], grace["name"]) == (201, mail, mail)
    again = {"message": f'A user named "{mail}" exists already.'}
    assert await change("POST", "/users", {"username": mail.upper(), "role": "member"}) == (409, again)
    quoted = quote(mail.lower(), safe="")
    _, token = await change("POST", f"/users/{quoted}/tokens", {})
    own = {"Authorization": f"Bearer {token['token']}"}
    await call(CHAT, own | {"Content-Type": "application/json"})
    for name in (quoted, quote(mail.upper()), mail):
        assert (await running.get(f"{USERS}/{name}/tokens", own))[1]["count"] == 1
        for headers in (own, None):
            status, listed = await running.get(f"{LIST}?q={quote(f'initiator:{unquote(name)}')}", headers)
            assert (status, [one["initiator"]["username"] for one in listed["results"]]) == (200, [mail])
    assert (await change("PATCH", f"/users/{quoted}", {"role": "auditor"}))[1]["role"] == "auditor"
    assert await change("DELETE", f"/users/{quoted}") == (204, None)
