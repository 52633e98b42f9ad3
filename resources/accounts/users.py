"""Users, and the caller."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Self
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from resources.bodies import Body, Readers, one_of
from resources.fields import Count, Time, doc
from storage.accounts.users import MAX_NAME, MAX_USERNAME, Person, Role, User, checked_name, checked_username
from storage.mongo.documents.stored import StoredTime


class TokenRules(Struct):
    """The tokens that the caller may create."""

    may_create: Annotated[bool, doc("Whether the user may create tokens, see `token-creation`.")]
    limit: Annotated[
        Count | None, doc("The maximum number of active tokens, see `tokens-per-user`. Null is unlimited.")
    ]
    expire_by: Annotated[
        Time | None,
        doc("When the token of this request expires; a token created with it expires no later. Null is never."),
    ]


class Me(User, frozen=True, kw_only=True):
    """The caller."""

    tokens: TokenRules


class UserGroup(Struct):
    """A group that a user is in."""

    id: UUID
    name: str


class ListedUser(User, frozen=True, kw_only=True):
    """A user with groups, tokens and spend."""

    groups: Annotated[list[UserGroup], doc("By name. `everyone`, which has all users, is not among them.")]
    active_tokens: Annotated[Count, doc("Tokens that are neither expired nor revoked.")]
    last_seen_at: Annotated[
        StoredTime | None, doc("The last use of one of their tokens, accurate to about 20 seconds; null is never.")
    ]
    spend_usd: Annotated[
        float,
        Meta(
            ge=0,
            description="The cost of their calls since the start of the month in UTC, at own or list prices, in US dollars.",
        ),
    ]

    @classmethod
    def listed(cls, person: Person) -> Self:
        """Make the resource of a user with groups, tokens and spend."""
        groups = [UserGroup(group.id, group.name) for group in person.groups]
        return cls.extending(
            person.user,
            groups=groups,
            active_tokens=person.active_tokens,
            last_seen_at=person.last_seen_at,
            spend_usd=float(person.spend_usd),
        )


Username = Annotated[
    str,
    Meta(
        max_length=MAX_USERNAME,
        pattern=r"^[._+@-]*[a-zA-Z0-9][a-zA-Z0-9._+@-]*$",
        description="Letters, digits and `.` `_` `+` `-` `@`, as in a mail address, matched without regard to case. Neither "
        "`me`, nor a UUID, nor what looks like a token.",
    ),
]
Name = Annotated[str, Meta(max_length=MAX_NAME, description="Printable characters; an empty one is the username.")]


class NewUser(Body):
    """A user to be."""

    username: Username
    role: Role
    name: Name | UnsetType = UNSET

    readers: ClassVar[Readers] = {
        "username": checked_username,
        "role": one_of(Role),
        "name": partial(checked_name, "name"),
    }


class UserChange(Body):
    """Changes of a user."""

    role: Role | UnsetType = UNSET
    name: Name | UnsetType = UNSET

    readers: ClassVar[Readers] = NewUser.readers
