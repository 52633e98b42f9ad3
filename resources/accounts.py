"""Users, groups, tokens and sign-ins. A token itself is shown once, when it is created."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from resources.bodies import Body, Readers, change_of, one_of
from resources.fields import Count, Initiator, Time, doc
from settings.kinds import DURATION, POSITIVE_DURATION
from storage.accounts.sign_in.sessions import SignInSession
from storage.accounts.users import (
    MAX_NAME,
    MAX_USERNAME,
    Group,
    Person,
    Role,
    Token,
    TokenUse,
    User,
    checked_group_name,
    checked_name,
    checked_username,
)
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


UserChange = Annotated[Body, change_of(NewUser, without=("username",))]


class ListedGroup(Group, frozen=True, kw_only=True):
    """A group of users, and how many they are."""

    members: Annotated[Count, doc("The number of its members.")]


GroupName = Annotated[
    str,
    Meta(
        max_length=MAX_USERNAME,
        pattern=r"^[._+@-]*[a-zA-Z0-9][a-zA-Z0-9._+@-]*$",
        description="Letters, digits and `.` `_` `+` `-` `@`, matched without regard to case. Neither `everyone`, nor a "
        "UUID, nor what looks like a token.",
    ),
]
DisplayName = Annotated[str, Meta(max_length=MAX_NAME, description="Printable characters; an empty one is the name.")]


class NewGroup(Body):
    """A group to be."""

    name: GroupName
    display_name: DisplayName | UnsetType = UNSET

    readers: ClassVar[Readers] = {
        "name": checked_group_name,
        "display_name": partial(checked_name, "display name"),
    }


GroupChange = Annotated[Body, change_of(NewGroup)]

MAX_OVERLAP = timedelta(days=30)
"""How long a token that is replaced may work on."""

DEFAULT_OVERLAP = timedelta(hours=24)


class ListedToken(Token, frozen=True, kw_only=True):
    """A token without its secret, and its last use."""

    last_used_at: Annotated[StoredTime | None, doc("Accurate to about 20 seconds; null if no use is known.")]
    last_client: Annotated[str | None, doc("The client that used it last; `Dashboard` for a session.")]
    last_client_ip: Annotated[str | None, doc("The address of that client.")]

    @classmethod
    def used(cls, token: Token, use: TokenUse | None = None, /, **further: Any) -> Self:
        """Show a token with its last use, and with further fields."""
        at, client, client_ip = (use.at, use.client, use.client_ip) if use else (None, None, None)
        return cls.extending(token, last_used_at=at, last_client=client, last_client_ip=client_ip, **further)


class CreatedToken(ListedToken, frozen=True, kw_only=True):
    """A token that has just been created."""

    token: Annotated[str, doc("The token itself. It appears only here: the database has only its hash.")]


class FoundToken(ListedToken, frozen=True, kw_only=True):
    """A token, and whose it is."""

    user: Annotated[Initiator, doc("For a service token: `groups/`, the name of its group, and its id.")]


TokenName = Annotated[str, Meta(max_length=MAX_NAME, description="Its purpose, in printable characters.")]
LIFETIME = Meta(pattern=r"^([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$")
Duration = Annotated[
    str,
    LIFETIME,
    Meta(
        description=f"After which time it expires: {POSITIVE_DURATION.allowed}. If not given, with the token "
        "that it is made with; never, if that never does. It cannot outlive that one.",
    ),
]


def read_duration(text: str) -> str:
    """Read a lifetime, such as `7d`.

    Raises:
        ValueError: It is none.
    """
    try:
        POSITIVE_DURATION.parse(text)
    except (ValueError, OverflowError):
        raise ValueError(f"must be {POSITIVE_DURATION.allowed}") from None
    return text


def _overlap(text: str) -> str:
    try:
        overlap = DURATION.parse(text)
    except (ValueError, OverflowError):
        raise ValueError(f"must be {DURATION.allowed}") from None
    if overlap > MAX_OVERLAP:
        raise ValueError(f"must be {MAX_OVERLAP.days} days at most")
    return text


class TokenText(Body):
    """A token to look up."""

    token: Annotated[str, doc("The whole token.")]

    readers: ClassVar[Readers] = {"token": str.strip}


class Replacement(Body):
    """How a token is to be replaced."""

    overlap: (
        Annotated[str, doc(f"How long the old one works on: {DURATION.allowed}, {MAX_OVERLAP.days} days at most.")]
        | UnsetType
    ) = UNSET
    expires: Duration | UnsetType = UNSET

    readers: ClassVar[Readers] = {"overlap": _overlap, "expires": read_duration}

    @property
    def overlap_time(self) -> timedelta:
        """How long the old one works on."""
        return DURATION.parse(self.overlap) if self.overlap else DEFAULT_OVERLAP


class NewToken(Body):
    """A token to be."""

    name: TokenName | UnsetType = UNSET
    expires: Duration | UnsetType = UNSET

    readers: ClassVar[Readers] = {"name": partial(checked_name, "token's name"), "expires": read_duration}


def expiry(body: NewToken | Replacement, now: datetime) -> datetime | None:
    """Return when the token expires; None where that is not said."""
    return now + POSITIVE_DURATION.parse(body.expires) if body.expires else None


class SignIn(Struct):
    """What a browser signs in with: either of the two."""

    token: Annotated[str | UnsetType, doc("A token of the bridge.")] = UNSET
    code: Annotated[str | UnsetType, doc("A code of a link that signs in once.")] = UNSET


class OpenIDSignIn(Struct):
    """Signing in at an OpenID provider."""

    name: Annotated[str, doc("The operator's name for the provider.")]
    path: Annotated[str, doc("The address at which a browser signs in, on this server.")]


class SignInWays(Struct):
    """How somebody may sign in to the dashboard here."""

    token: Annotated[bool, doc("With a token.")]
    openid: Annotated[OpenIDSignIn | None, doc("Sign-in at an OpenID provider; null without one.")]


class ListedSession(SignInSession, frozen=True, kw_only=True):
    """A browser that is signed in."""

    current: Annotated[bool, doc("Whether it is the session of this request.")]
