"""Saved views of the dashboard."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final, Self
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from intercept.secrets import scrub_quoted
from resources.bodies import Body, OtherReaders, Readers, read_switch
from storage.accounts.users import User
from storage.accounts.views.documents import (
    MAX_VIEW_NAME,
    MAX_VIEW_QUERY,
    VIEW_PAGE,
    IsShared,
    View,
    ViewName,
    ViewPage,
    ViewParameters,
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


class ViewChange(_ViewBody):
    """Changes of a view: only the given fields."""

    name: ViewName | UnsetType = UNSET
    page: ViewPage | UnsetType = UNSET
    query: ViewParameters | UnsetType = UNSET
    shared: IsShared | UnsetType = UNSET


class ViewOwner(Struct):
    """Whose view it is."""

    id: UUID
    username: str


class SavedView(View, frozen=True, kw_only=True):
    """A view of the dashboard under a name, and whose it is."""

    owner: ViewOwner

    @classmethod
    def by(cls, view: View, users: Mapping[UUID, User]) -> Self:
        """Show a view, with the users that are known."""
        owner = users.get(view.user_id)
        return cls.extending(view, owner=ViewOwner(view.user_id, owner.username if owner else ""))
