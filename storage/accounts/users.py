"""What a user, a group and a token are, as records and as documents. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from intercept.secrets import scrub_quoted
from storage.mongo.documents.stored import Hidden, Stored, StoredTime, Versioned

MAX_USERNAME = 128
MAX_NAME = 128
"""Longest display name of a user and name of a token, in characters."""

SERVICE_PREFIX = "groups/"
"""What the name of a group begins with where a user is meant who calls with a token of that group."""

EVERYONE = "everyone"
"""The name of the built-in group of all users; it is not stored."""

PLAIN_NAME = f"it has 1 to {MAX_USERNAME} characters of A-Z a-z 0-9 . _ + - @, at least one a letter or digit"
_PLAIN_NAME = re.compile(r"[._+@-]*[a-zA-Z0-9][a-zA-Z0-9._+@-]*")


class IdentityError(ValueError):
    """A change of users, groups or tokens is not possible. The text is one sentence for the operator."""


class UnknownIdentityError(IdentityError):
    """There is no such user, group or token."""


class IdentityConflictError(IdentityError):
    """As users are now, that cannot be done."""


class LastOwnerError(IdentityConflictError):
    """There would be no owner any more."""


class Role(StrEnum):
    """What a user may see."""

    OWNER = "owner"
    AUDITOR = "auditor"
    READER = "reader"
    MEMBER = "member"

    @property
    def sees_everyone(self) -> bool:
        """Whether the role sees other users, their calls and their usage."""
        return self is not Role.MEMBER

    @property
    def sees_everything(self) -> bool:
        """Whether the role also sees the audit trail, tokens of others, and settings of providers."""
        return self in {Role.OWNER, Role.AUDITOR}

    @property
    def reads_texts(self) -> bool:
        """Whether the role sees prompts, inputs of tools, thoughts and errors of calls; else only numbers."""
        return self is not Role.READER


class ChangedMeanwhileError(IdentityError):
    """It was changed since the author read it."""


class User(Versioned, frozen=True, kw_only=True):
    """A person or program that calls.

    Attributes:
        name: What the user is called.
        group_ids: Their groups, without `everyone`, which has no id.
    """

    id: UUID
    username: str
    name: str
    role: Annotated[
        Role,
        Meta(
            description="An owner and an auditor see every call, a reader every call without its texts, a member their own."
        ),
    ]
    created_at: StoredTime
    group_ids: Hidden[tuple[UUID, ...]] = ()

    @property
    def is_service(self) -> bool:
        """Whether it is not a user, but the caller with a token of a group."""
        return self.username.startswith(SERVICE_PREFIX)


class Group(Versioned, frozen=True, kw_only=True):
    """A group of users."""

    id: UUID
    name: str
    display_name: str
    created_at: StoredTime


class Person(Struct, frozen=True, kw_only=True):
    """A user with their groups, tokens and spend.

    Attributes:
        groups: Their groups, by name, without `everyone`.
        active_tokens: The number of their tokens that are neither revoked nor expired.
        last_seen_at: The last use of one of their tokens; None if none is known.
        spend_usd: The cost of their calls in this month, in UTC, in US dollars.
    """

    user: User
    groups: tuple[Group, ...]
    active_tokens: int
    last_seen_at: datetime | None
    spend_usd: Decimal


class Token(Stored, frozen=True, kw_only=True):
    """A token without its secret.

    `bound_by` are the tokens whose policies hold for it as well, and count it. `by_device` is one of a program that its user
    allowed in a browser, `at_desk` one of Claude Code that signed in below a provider.
    """

    id: Annotated[str, Meta(description="The part of the token before the hyphen.")]
    user_id: Hidden[UUID]
    name: str
    created_at: StoredTime
    expires_at: Annotated[StoredTime | None, Meta(description="Null is never.")]
    revoked_at: Annotated[StoredTime | None, Meta(description="Null if it is not revoked.")]
    bound_by: Hidden[tuple[str, ...]] = ()
    by_device: Hidden[bool] = False
    at_desk: Hidden[bool] = False


class TokenUse(Struct, frozen=True, kw_only=True):
    """The last use of a token, with the name of the client, as in records, and its address."""

    user_id: UUID
    at: datetime
    client: str
    client_ip: str


class Identity(Struct, frozen=True, kw_only=True):
    """The caller, the token, and when it expires; None is never.

    Attributes:
        token_id: The public part of the token; empty of a session that was made without one.
        bound_by: The other tokens whose policies hold for that one.
        at_desk: Whether it is of Claude Code that signed in below a provider.
        session_id: The session that was made with the token, if that was sent instead.
        session_expires_at: When the session ends, unless it is used.
    """

    user: User
    token_id: str = ""
    bound_by: tuple[str, ...] = ()
    at_desk: bool = False
    expires_at: datetime | None = None
    session_id: str | None = None
    session_expires_at: datetime | None = None


def checked_username(username: str) -> str:
    """Return the username if it is allowed, else raise `IdentityError`. It may be a mail address."""
    refuse_secret("username", username)
    refusal = f'the username "{username}" is not allowed: '
    if not is_plain_name(username):
        raise IdentityError(refusal + PLAIN_NAME)
    if is_same_name(username, "me"):
        raise IdentityError(f"{refusal}in a search it means the current user")
    if read_id(username) is not None:
        raise IdentityError(f"{refusal}in a search it means the user with that id")
    return username


def checked_group_name(name: str) -> str:
    """Return the name of a group if it is allowed, else raise `IdentityError`. It has the form of usernames."""
    refuse_secret("group's name", name)
    refusal = f'the name "{name}" of a group is not allowed: '
    if not is_plain_name(name):
        raise IdentityError(refusal + PLAIN_NAME)
    if is_same_name(name, EVERYONE):
        raise IdentityError(f"{refusal}that group is built in, and has all users")
    if read_id(name) is not None:
        raise IdentityError(f"{refusal}it means the group with that id")
    return name


def is_plain_name(name: str) -> bool:
    """Say whether a text has the form of the name of a user or a group."""
    return len(name) <= MAX_USERNAME and _PLAIN_NAME.fullmatch(name) is not None


def is_same_name(one: str, another: str) -> bool:
    """Say whether two usernames name the same user: case makes no difference."""
    return one.lower() == another.lower()


def is_meant(reference: str, user: User) -> bool:
    """Say whether a text, a name or an id, means this user."""
    return is_same_name(reference, user.username) or read_id(reference) == user.id


def other_owners(user_id: UUID) -> dict[str, Any]:
    """What finds the owners beside a user."""
    return {"role": Role.OWNER.value, "removed_at": None, "_id": {"$ne": user_id}}


def read_id(text: str) -> UUID | None:
    """Read the id of a user or a group, if it is one: no name can look like it."""
    try:
        return UUID(text)
    except ValueError:
        return None


def checked_name(subject: str, name: str) -> str:
    """Return the name of something if it is allowed, else raise `IdentityError`."""
    refuse_secret(subject, name)
    if len(name) > MAX_NAME or not name.isprintable():
        raise IdentityError(f"the {subject} is not allowed: it has up to {MAX_NAME} printable characters")
    return name


def refuse_secret(subject: str, name: str) -> None:
    """Raise `IdentityError` for a name that holds a credential: it would be shown to everybody, and kept."""
    if scrub_quoted(name) != name:
        raise IdentityError(f"the {subject} is not allowed: it looks like a token or a key")


def readable(text: str, most: int) -> str:
    """Return what a client says of itself as it is kept: printable, without secrets, of so many characters at most."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return scrub_quoted(printable)[:most]


def milliseconds(time: datetime) -> datetime:
    """Truncate a time to milliseconds, as MongoDB stores it."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
