"""What users, groups of users and tokens are called that calls have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, field

from intercept.ids import format_id
from resources.fields import doc
from storage.accounts.users import Group, Token, User
from storage.queries.questions.question import Dimension


class SeriesGroup(Struct):
    """A user, a group of users or a token that calls have in common."""

    id: Annotated[str | None, doc("Null for calls of users without a group.")]
    name: Annotated[str, doc("The display name of a user; the name of a group or a token.")]
    username: Annotated[
        str | UnsetType, doc("The username of the user, or of the owner of the token; absent for a group.")
    ] = UNSET


class Names(Struct, frozen=True):
    """Users and groups that are known, by id, and tokens, by the public part."""

    users: Mapping[UUID, User] = field(default_factory=dict)
    groups: Mapping[UUID, Group] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)

    def show(self, dimension: Dimension, value: Any) -> Any:
        """Show what a group of calls has in common: people and tokens with their names, where these are known."""
        match dimension:
            case Dimension.USER if value is not None:
                user = self.users.get(value)
                return SeriesGroup(format_id(value), user.name if user else "", user.username if user else "")
            case Dimension.GROUP:
                known = self.groups.get(value)
                return SeriesGroup(None if value is None else format_id(value), known.name if known else "")
            case Dimension.TOKEN if value is not None:
                token = self.tokens.get(value)
                user = self.users.get(token.user_id) if token else None
                return SeriesGroup(value, token.name if token else "", user.username if user else "")
        return format_id(value) if isinstance(value, UUID) else value
