"""Groups of users, and their members."""

import json
from urllib.parse import quote

from intercept.times import format_time
from storage.accounts.groups import BUILT_IN
from tests.handlers.api.test_users import listed as listed_user
from tests.handlers.api.test_users import resource

GROUPS = "/api/v2/aibridge/groups"
USERS = "/api/v2/aibridge/users"
INVALID_BODY = "The request body has invalid values."
NO_GROUP = {"message": 'There is no group named "research".'}


def group_resource(group, members=0):
    return {
        "id": str(group.id),
        "name": group.name,
        "display_name": group.display_name,
        "created_at": format_time(group.created_at),
        "members": members,
    }


async def test_groups_have_members_and_are_shown_with_them_changed_and_removed(running, change):
    # an owner adds groups and puts users into them
    bob = quote("bob+1@example.com", safe="")
    await running.user("bob+1@example.com")
    status, added = await change("POST", "/groups", {"name": "research", "display_name": "R & D"})
    research = await running.bridge.groups.find("research")
    assert (status, added) == (201, group_resource(research))
    assert await change("POST", "/groups", {"name": "Ops"}) == (
        201,
        group_resource(await running.bridge.groups.find("ops")),
    )
    for group, user in (("RESEARCH", bob), ("research", bob.upper()), (research.id, running.identity.user.id)):
        assert await change("PUT", f"/groups/{group}/members/{user}") == (204, None)
    assert await running.get(f"{GROUPS}/Research") == (200, group_resource(research, 2))
    users = [resource(user) for user in await running.bridge.identities.list_users()]
    assert await running.get(f"{GROUPS}/research/members") == (200, {"count": 2, "results": users})
    assert await running.get(f"{GROUPS}/research/members?limit=1&offset=1") == (200, {"count": 2, "results": users[1:]})
    status, page = await running.get(GROUPS)
    assert (status, page["count"], [one["name"] for one in page["results"]]) == (200, 2, ["Ops", "research"])
    assert page["results"][1] == group_resource(research, 2)
    assert (await running.get(f"{GROUPS}?limit=1&offset=1"))[1] == {"count": 2, "results": page["results"][1:]}
    assert await change("DELETE", f"/groups/research/members/{bob}") == (204, None)
    assert await change("DELETE", f"/groups/research/members/{bob}") == (204, None)
    assert (await running.get(f"{GROUPS}/{research.id}/members"))[1]["results"] == users[:1]
    await running.afresh("groups", "policies")
    # a user is shown with their groups
    ada, bob = running.identity.user, await running.user("bob")
    for name in ("Zoo", "alpha"):
        await change("POST", "/groups", {"name": name})
        await change("PUT", f"/groups/{name}/members/bob")
    found = await running.bridge.identities.find_user("bob")
    groups = [await running.bridge.groups.find(name) for name in ("alpha", "Zoo")]
    expected = listed_user(found, groups=groups)
    for name, headers in (("bob", None), ("BOB", bob), (found.id, bob), (found.id, None)):
        assert await running.get(f"{USERS}/{name}", headers) == (200, expected)
    _, listed = await running.get(USERS)
    assert listed["results"] == [listed_user(ada), expected]
    assert (await running.get(f"{USERS}/{ada.id}", bob))[0] == 403
    assert await running.get(f"{USERS}/nobody") == (404, {"message": 'There is no user named "nobody".'})
    await running.afresh("groups", "policies")
    # a user is meant by their id wherever their name may stand
    headers = await running.user("bob")
    bob = await running.bridge.identities.find_user("bob")
    status, made = await change("POST", f"/users/{bob.id}/tokens", {}, headers)
    assert status == 201
    assert (await running.get(f"{USERS}/{bob.id}/tokens", headers))[1]["count"] == 2
    assert await change("DELETE", f"/tokens/{made['id']}", None, headers) == (204, None)
    assert (await running.get(f"{USERS}/{bob.id}/sessions", headers)) == (200, {"count": 0, "results": []})
    assert (await change("PATCH", f"/users/{bob.id}", {"role": "auditor"}))[1]["role"] == "auditor"
    assert await change("DELETE", f"/users/{bob.id}") == (204, None)
    assert await change("DELETE", f"/users/{bob.id}") == (404, {"message": f'There is no user named "{bob.id}".'})


async def test_a_group_is_changed_and_removed_if_its_version_is_the_latest(running, change, send):
    # an owner changes and removes a group
    await change("POST", "/groups", {"name": "lab"})
    await change("PUT", "/groups/lab/members/ada")
    status, changed = await change("PATCH", "/groups/lab", {"name": "research"})
    research = await running.bridge.groups.find("research")
    assert (status, changed, research.display_name) == (200, group_resource(research, 1), "lab")
    assert (await change("PATCH", "/groups/research", {"display_name": ""}))[1]["display_name"] == "research"
    assert await change("DELETE", f"/groups/{research.id}") == (204, None)
    for method, path, body in (
        ("DELETE", "/groups/research", None),
        ("PATCH", "/groups/research", {"name": "x"}),
        ("PUT", "/groups/research/members/ada", None),
        ("DELETE", "/groups/research/members/ada", None),
    ):
        assert await change(method, path, body) == (404, NO_GROUP)
    for path in ("research", "research/members"):
        assert await running.get(f"{GROUPS}/{path}") == (404, NO_GROUP)
    assert await change("DELETE", "/groups/everyone") == (404, {"message": f"{BUILT_IN}."})
    assert (await running.get(f"{USERS}/ada"))[1]["groups"] == []
    await running.afresh("groups", "policies")
    # a change of a version that is over is refused
    first = (await send("POST", GROUPS, {"name": "research"})).header("ETag")
    path = f"{GROUPS}/research"
    assert (await send("GET", path)).header("ETag") == first
    second = await send("PATCH", path, {"display_name": "R"}, **{"If-Match": first})
    assert (second.status, second.header("ETag") != first) == (200, True)
    changed = {"message": 'The group "research" was changed meanwhile; read it again.'}
    for method, body in (("PATCH", {"display_name": "x"}), ("DELETE", None)):
        for tag in (first, f"W/{second.header('ETag')}", "x"):
            response = await send(method, path, body, **{"If-Match": tag})
            assert (response.status, json.loads(response.body)) == (412, changed)
    for tag in ("*", f'"x", {second.header("ETag")}'):
        assert (await send("PATCH", path, {"display_name": "R"}, **{"If-Match": tag})).status == 200
    assert (await send("DELETE", path, **{"If-Match": second.header("ETag")})).status == 204


async def test_everything_that_is_wrong_with_a_group_is_named(running, change):
    wrong = {"message": INVALID_BODY}
    wrong["validations"] = [
        {"field": "admin", "detail": "unknown field; allowed are name, display_name"},
        {
            "field": "name",
            "detail": 'the name "everyone" of a group is not allowed: that group is built in, and has all users',
        },
        {"field": "display_name", "detail": "must be text"},
    ]
    assert await change("POST", "/groups", {"admin": "x", "name": "everyone", "display_name": 1}) == (400, wrong)
    await change("POST", "/groups", {"name": "research"})
    assert await change("PATCH", "/groups/research", {"admin": "x", "name": "everyone", "display_name": 1}) == (
        400,
        wrong,
    )
    taken = {"message": 'A group named "research" exists already.'}
    assert await change("POST", "/groups", {"name": "RESEARCH"}) == (409, taken)
    assert (await running.get(GROUPS))[1]["count"] == 1
