"""Views of the dashboard under a name: one's own, and those that others share."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET

from handlers.operations.operation import Ask, Tagged, Versions, operation
from handlers.operations.problems import NOT_YOUR_VIEW
from handlers.operations.query import Paged
from resources.accounts.views import NewView, SavedView, ViewChange
from resources.fields import ListPage, doc
from storage.accounts.views.documents import View
from storage.accounts.views.views import UNKNOWN, Views

Id = Annotated[UUID, doc("The id of the view.")]


class ViewQuery(Paged, frozen=True):
    """Which views."""

    page: Annotated[str | None, doc("Only those that open this view of the dashboard.")] = None


def _views(ask: Ask) -> Views:
    return Views(ask.bridge.database, ask.bridge.identities, now=ask.bridge.now)


async def _shown(ask: Ask, view: View) -> Tagged[SavedView]:
    return Tagged(SavedView.by(view, await _views(ask).owners([view])), view.version)


@operation("GET", "views")
async def list_views(ask: Ask, query: ViewQuery) -> ListPage[SavedView]:
    """List saved views.

    The caller's own, and those that others share, by name.
    """
    count, views = await _views(ask).page(ask.user, page=query.page, limit=query.limit, offset=query.offset)
    users = await _views(ask).owners(views)
    return ListPage(count, [SavedView.by(view, users) for view in views])


@operation(
    "POST",
    "views",
    status=201,
    located="id",
    raises={409: "The caller has one of this name, or too many."},
    example=NewView(name="Spend of research", page="explore", query={"q": "group:research", "by": "user"}, shared=True),
)
async def save_view(ask: Ask, body: NewView) -> Tagged[SavedView]:
    """Save a view.

    It belongs to the caller. A view is an address, so each reader sees only what they may see.
    """
    query = {} if body.query is UNSET else body.query
    view = await _views(ask).add(ask.author, name=body.name, page=body.page, query=query, shared=body.shared is True)
    return await _shown(ask, view)


@operation("GET", "views/{id}", unknown=UNKNOWN)
async def get_view(ask: Ask, id_: Id) -> Tagged[SavedView]:
    """Read a saved view.

    The caller's own, or a shared one.
    """
    return await _shown(ask, await _views(ask).find(id_, ask.user))


@operation(
    "PATCH",
    "views/{id}",
    unknown=UNKNOWN,
    raises={403: NOT_YOUR_VIEW, 409: "The user has another view of this name."},
    example=ViewChange(shared=False),
)
async def change_view(ask: Ask, id_: Id, body: ViewChange, versions: Versions) -> Tagged[SavedView]:
    """Change a saved view.

    For the user who saved it; owners may change shared ones. Fields that are not given stay unchanged.
    """
    return await _shown(ask, await _views(ask).change(id_, body.changes, versions=versions, author=ask.author))


@operation("DELETE", "views/{id}", unknown=UNKNOWN, raises={403: NOT_YOUR_VIEW})
async def remove_view(ask: Ask, id_: Id, versions: Versions) -> None:
    """Remove a saved view.

    For the user who saved it; owners may remove shared ones.
    """
    await _views(ask).remove(id_, versions=versions, author=ask.author)
