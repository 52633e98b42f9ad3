"""Saved views of the dashboard."""

from __future__ import annotations

from uuid import UUID

from handlers.api.accounts.views import NOT_YOURS_TO_CHANGE
from handlers.openapi.errors import problem
from handlers.openapi.methods import delete, get, patch, post
from handlers.openapi.operations import ETAG, IF_MATCH, Described, body, in_path, json_response, location, query
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET
from handlers.problems import sentence
from resources.accounts.views import NewView, SavedView, ViewChange, ViewOwner
from resources.fields import ListPage
from storage.accounts.views.documents import Page
from storage.accounts.views.views import CHANGED, TAKEN, TOO_MANY, UNKNOWN

_ID = "2f0c7d4b-8a35-4f0e-9d1e-6a1b7c0e5d21"
_VIEW = SavedView(
    id=UUID(_ID),
    name="Spend of research",
    page=Page.EXPLORE,
    query={"q": "group:research", "range": "last-month", "by": "user,model", "order": "cost"},
    shared=True,
    owner=ViewOwner(UUID("0d6e8f57-6f02-4a3c-8a2b-0a8a4be7cf11"), "ada"),
    created_at="2026-11-24T23:50:31.877Z",
    changed_at="2026-11-24T23:50:31.877Z",
)
_NEW = NewView(name=_VIEW.name, page=_VIEW.page, query=_VIEW.query, shared=True)
_PARAMETER = in_path("id", UUID, "The id of the view.")


_TAKEN = sentence(TAKEN.format("ada", _VIEW.name))
_NONE = {"404": problem("There is none that the caller may see.", sentence(UNKNOWN))}
_NOT_YOURS = {"403": problem("It belongs to another user.", NOT_YOURS_TO_CHANGE)}
_STALE = {"412": problem("It has another version.", sentence(CHANGED))}

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/views": get(
        "listViews",
        "Saved views",
        "The caller's own, and those that others share, by name.",
        parameters=(query("page", Page, "Only those that open this view of the dashboard."), LIMIT, OFFSET),
        responses={"200": json_response("The page.", ListPage[SavedView])},
    )
    | post(
        "saveView",
        "Save a view",
        "It belongs to the caller. A view is an address, so each reader sees only what they may see.",
        request=body(view=_NEW),
        responses={
            "201": json_response("It was saved.", SavedView, location(f"/api/v2/aibridge/views/{_ID}") | ETAG),
            "409": problem("The caller has one of this name, or too many.", _TAKEN, sentence(TOO_MANY)),
        },
    ),
    "/api/v2/aibridge/views/{id}": get(
        "getView",
        "A saved view",
        "The caller's own, or a shared one.",
        parameters=(_PARAMETER,),
        responses={"200": json_response("The view.", SavedView, ETAG)} | _NONE,
    )
    | patch(
        "changeView",
        "Change a saved view",
        "For the user who saved it; owners may change shared ones. Fields that are not given stay unchanged.",
        parameters=(_PARAMETER, IF_MATCH),
        request=body(shared=ViewChange(shared=False)),
        responses={
            "200": json_response("The view after the change.", SavedView, ETAG),
            "409": problem("The user has another view of this name.", _TAKEN),
        }
        | _NOT_YOURS
        | _NONE
        | _STALE,
    )
    | delete(
        "removeView",
        "Remove a saved view",
        "For the user who saved it; owners may remove shared ones.",
        parameters=(_PARAMETER, IF_MATCH),
        responses={"204": {"description": "It is gone."}} | _NOT_YOURS | _NONE | _STALE,
    ),
}
