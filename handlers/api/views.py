"""Views of the dashboard under a name: one's own, and those that others share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Self
from uuid import UUID

from msgspec import UNSET, UnsetType

from handlers.operations.operation import Ask, Tagged, Versions, operation
from handlers.operations.problems import NOT_YOUR_VIEW
from handlers.operations.query import Paged
from intercept.secrets import scrub_quoted
from resources.bodies import Body, OtherReaders, Readers, change_of, read_switch
from resources.fields import Initiator, ListPage, doc
from storage.accounts.users import User
from storage.accounts.views import (
    MAX_VIEW_NAME,
    MAX_VIEW_QUERY,
    UNKNOWN,
    VIEW_PAGE,
    IsShared,
    View,
    ViewName,
    ViewPage,
    ViewParameters,
    Views,
)

NOT_A_NAME: Final = f"must be 1 to {MAX_VIEW_NAME} printable characters, none of them a space at the beginning or end"
NOT_A_QUERY: Final = (
    "must be an object of the parameters of the address: names of 1 to 20 lower-case letters and _, values of printable "
    f"text, at most {MAX_VIEW_QUERY:,} characters in all"
)
SECRET: Final = "has what looks like a token or a key, which must not be saved"  # noqa: S105 - a sentence

NOT_A_PAGE: Final = "must be the name of a view of the dashboard, 1 to 20 lower-case letters"

_PARAMETER: Final = re.compile(r"[a-z_]{1,20}")


def _name(text: str) -> str:
    if not 0 < len(text) <= MAX_VIEW_NAME or not text.isprintable() or text != text.strip():
        raise ValueError(NOT_A_NAME)
    return _without_secret(text)


def _page(text: str) -> str:
    if not re.fullmatch(VIEW_PAGE, text):
        raise ValueError(NOT_A_PAGE)
    return text


def _query(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) and one.isprintable() for one in value.values()):
        raise ValueError(NOT_A_QUERY)
    length = sum(len(name) + len(one) for name, one in value.items())
    if length > MAX_VIEW_QUERY or not all(_PARAMETER.fullmatch(name) for name in value):
        raise ValueError(NOT_A_QUERY)
    return {name: _without_secret(one) for name, one in value.items() if one}


def _without_secret(text: str) -> str:
    if scrub_quoted(text) != text:
        raise ValueError(SECRET)
    return text


class _ViewBody(Body, omit_defaults=True):
    readers: ClassVar[Readers] = {"name": _name, "page": _page}
    other_readers: ClassVar[OtherReaders] = {"query": _query, "shared": read_switch}


class NewView(_ViewBody):
    """A view that is saved. It is not shared unless that is said."""

    name: ViewName
    page: ViewPage
    query: ViewParameters | UnsetType = UNSET
    shared: IsShared | UnsetType = UNSET


ViewChange = Annotated[Body, change_of(NewView)]


class SavedView(View, frozen=True, kw_only=True):
    """A view of the dashboard under a name, and whose it is."""

    owner: Initiator

    @classmethod
    def by(cls, view: View, users: Mapping[UUID, User]) -> Self:
        """Show a view, with the users that are known."""
        return cls.extending(view, owner=Initiator.of(view.user_id, users))


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
    example={"shared": False},
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
