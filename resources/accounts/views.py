"""Saved views of the dashboard."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Self
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from intercept.secrets.scrub import scrub_quoted
from resources.bodies import Body, OtherReaders, Readers, read_switch
from resources.fields import Time, doc, of_fields
from storage.accounts.users import User
from storage.accounts.views import documents
from storage.accounts.views.documents import MAX_VIEW_NAME, MAX_VIEW_QUERY

NOT_A_NAME: Final = f"must be 1 to {MAX_VIEW_NAME} printable characters, none of them a space at the beginning or end"
NOT_A_QUERY: Final = (
    "must be an object of the parameters of the address: names of 1 to 20 lower-case letters and _, values of printable "
    f"text, at most {MAX_VIEW_QUERY:,} characters in all"
)
SECRET: Final = "has what looks like a token or a key, which must not be saved"  # noqa: S105 - a sentence

NOT_A_PAGE: Final = "must be the name of a view of the dashboard, 1 to 20 lower-case letters"

_PAGE: Final = re.compile(r"^[a-z]{1,20}$", re.ASCII)
_PARAMETER: Final = re.compile(r"[a-z_]{1,20}")


def _name(text: str) -> str:
    if not 0 < len(text) <= MAX_VIEW_NAME or not text.isprintable() or text != text.strip():
        raise ValueError(NOT_A_NAME)
    return _without_secret(text)


def _page(text: str) -> str:
    if not _PAGE.fullmatch(text):
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


_Name = Annotated[
    str, Meta(min_length=1, max_length=MAX_VIEW_NAME, description="Unique among the views of a user, ignoring case.")
]
_Page = Annotated[
    str,
    Meta(pattern=_PAGE.pattern, description="The view of the dashboard that it opens: the first word of its address."),
]
_Query = Annotated[
    dict[str, str],
    doc(
        "The parameters of its address: `q` the search, `range` a time range that stays relative, or `from` and "
        "`to`, `tz`, `by` what is grouped by, `order` and so on. Of `usage`, `users`, `groups` "
        "and `providers` `of` is the user, the group or the provider."
    ),
]
_Shared = Annotated[bool, doc("Whether all users see it. Each sees only the calls that they may see.")]


class _ViewBody(Body, omit_defaults=True):
    readers: ClassVar[Readers] = {"name": _name, "page": _page}
    other_readers: ClassVar[OtherReaders] = {"query": _query, "shared": read_switch}


class NewView(_ViewBody):
    """A view that is saved. It is not shared unless that is said."""

    name: _Name
    page: _Page
    query: _Query | UnsetType = UNSET
    shared: _Shared | UnsetType = UNSET


class ViewChange(_ViewBody):
    """Changes of a view: only the given fields."""

    name: _Name | UnsetType = UNSET
    page: _Page | UnsetType = UNSET
    query: _Query | UnsetType = UNSET
    shared: _Shared | UnsetType = UNSET


class ViewOwner(Struct):
    """Whose view it is."""

    id: UUID
    username: str


class SavedView(Struct, kw_only=True):
    """A view of the dashboard under a name."""

    id: UUID
    name: _Name
    page: _Page
    query: _Query
    shared: _Shared
    owner: ViewOwner
    created_at: Time
    changed_at: Time

    @classmethod
    def of(cls, view: documents.View, users: Mapping[UUID, User]) -> Self:
        """Show a view, with the users that are known."""
        owner = users.get(view.user_id)
        name = owner.username if owner else ""
        return of_fields(cls, structs.asdict(view), query=dict(view.query), owner=ViewOwner(view.user_id, name))
