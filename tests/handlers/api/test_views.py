"""Saved views by HTTP."""

import json

from handlers.api.views import NOT_A_NAME, NOT_A_PAGE, NOT_A_QUERY, SECRET, NewView
from handlers.operations.problems import NOT_YOUR_VIEW
from resources.bodies import NOT_A_SWITCH, InvalidBodyError
from storage.accounts.users import Role
from storage.accounts.views import MAX_VIEW_NAME, MAX_VIEW_QUERY
from tests.cases import for_each

VIEWS = "/api/v2/aibridge/views"
QUERY = {"q": "model:gpt-5 token:abcdefghij", "range": "last-month", "by": "user,model"}
KEY = "sk-ant-" + "0123456789abcdefghij"
TOKEN = "abcdefghij-0123456789abcdefghijkl"


def summary(response):
    return response.status, json.loads(response.body) if response.body else None


async def test_a_view_is_saved_shown_and_changed_by_its_user_and_seen_by_others_if_shared(running, send):
    # a view is saved shown changed and removed
    user = running.identity.user
    added = await send("POST", VIEWS, {"name": "Spend", "page": "explore", "query": QUERY | {"tz": ""}, "shared": True})
    status, view = summary(added)
    made = {name: view.pop(name) for name in ("id", "created_at", "changed_at")}
    assert (status, added.header("Location"), view) == (
        201,
        f"{VIEWS}/{made['id']}",
        {
            "name": "Spend",
            "page": "explore",
            "query": QUERY,
            "shared": True,
            "owner": {"id": str(user.id), "username": user.username, "name": user.name},
        },
    )
    assert made["created_at"] == made["changed_at"]
    path, view = f"{VIEWS}/{made['id']}", view | made
    assert summary(await send("GET", VIEWS)) == (200, {"count": 1, "results": [view]})
    assert summary(await send("GET", f"{VIEWS}?page=sessions")) == (200, {"count": 0, "results": []})
    seen = await send("GET", path)
    assert (summary(seen), seen.header("ETag")) == ((200, view), added.header("ETag"))
    changed = await send(
        "PATCH", path, {"name": "All", "page": "errors", "query": {}}, **{"If-Match": seen.header("ETag")}
    )
    after = view | {"name": "All", "page": "errors", "query": {}, "changed_at": json.loads(changed.body)["changed_at"]}
    assert summary(changed) == (200, after)
    stale = 412, {"message": "The view was changed meanwhile; read it again."}
    assert summary(await send("PATCH", path, {"name": "x"}, **{"If-Match": seen.header("ETag")})) == stale
    assert summary(await send("DELETE", path, **{"If-Match": seen.header("ETag")})) == stale
    assert summary(await send("DELETE", path, **{"If-Match": changed.header("ETag")})) == (204, None)
    unknown = 404, {"message": "There is no view with this id that you may see."}
    assert summary(await send("GET", path)) == summary(await send("PATCH", f"{VIEWS}/x", {})) == unknown
    await running.afresh("views")
    # others see a shared view and change nothing of it
    grace, rhea = await running.user("grace"), await running.user("rhea", Role.READER)
    _, mine = summary(await send("POST", VIEWS, {"name": "mine", "page": "sessions"}, grace))
    _, ours = summary(await send("POST", VIEWS, {"name": "ours", "page": "interceptions", "shared": True}, grace))
    assert (mine["shared"], mine["query"], ours["owner"]["username"]) == (False, {}, "grace")
    for headers in (rhea, running.headers):
        assert summary(await send("GET", VIEWS, None, headers)) == (200, {"count": 1, "results": [ours]})
    assert summary(await send("GET", VIEWS, None, grace)) == (200, {"count": 2, "results": [mine, ours]})
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert summary(await send(method, f"{VIEWS}/{ours['id']}", body, rhea)) == (
            403,
            {"message": NOT_YOUR_VIEW},
        )
        assert (await send(method, f"{VIEWS}/{mine['id']}", body)).status == 404
    _, changed = summary(await send("PATCH", f"{VIEWS}/{ours['id']}", {"name": "theirs"}))
    assert (changed["name"], changed["owner"]) == ("theirs", ours["owner"])
    assert (await send("DELETE", f"{VIEWS}/{ours['id']}")).status == 204


async def test_what_is_wrong_with_a_view_is_named_and_nothing_is_saved(running, send):
    wrong = {"name": "", "page": "Prices/x", "query": [], "shared": "yes", "user": "ada"}
    status, response = summary(await send("POST", VIEWS, wrong))
    assert status == 400
    assert {one["field"]: one["detail"] for one in response["validations"]} == {
        "name": NOT_A_NAME,
        "page": NOT_A_PAGE,
        "query": NOT_A_QUERY,
        "shared": NOT_A_SWITCH,
        "user": "unknown field; allowed are name, page, query, shared",
    }
    _, response = summary(await send("POST", VIEWS, {}))
    assert [one["field"] for one in response["validations"]] == ["name", "page"]
    saved = {"name": "week", "page": "errors"}
    assert (await send("POST", VIEWS, saved)).status == 201
    taken = f'A view of {running.identity.user.username} named "Week" exists already.'
    assert summary(await send("POST", VIEWS, saved | {"name": "Week"})) == (409, {"message": taken})
    assert json.loads((await send("GET", VIEWS)).body)["count"] == 1


def problems(**fields):
    try:
        NewView.of({"name": "week", "page": "explore"} | fields)
    except InvalidBodyError as error:
        return dict(error.problems)
    return {}


@for_each("name", " x", "x ", "a\nb", "n" * (MAX_VIEW_NAME + 1), "\u202e", " ")
def test_another_name_is_refused(name):
    assert problems(name=name) == {"name": NOT_A_NAME}


@for_each(
    "query",
    {"Q": "x"},
    {"": "x"},
    {"q": 1},
    {"q": None},
    {"q": "a\tb"},
    {"x" * 21: "x"},
    {"q": "x" * MAX_VIEW_QUERY},
    "q=x",
    None,
)
def test_a_query_that_is_no_address_is_refused(query):
    assert problems(query=query) == {"query": NOT_A_QUERY}


@for_each("secret", KEY, TOKEN, f"token:{TOKEN}", f"words {KEY}")
def test_what_looks_like_a_token_or_a_key_is_not_saved(secret):
    assert problems(query={"q": secret}) == {"query": SECRET}
    assert problems(query={"by": secret}) == {"query": SECRET}
    assert problems(name=secret) == {"name": SECRET}
