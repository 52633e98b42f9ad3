"""Tokens: never their secret, but once."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Self

from msgspec import UNSET, Meta, UnsetType

from resources.bodies import Body, Readers
from resources.fields import Initiator, doc
from settings.kinds import DURATION, POSITIVE_DURATION
from storage.accounts.users import MAX_NAME, Token, TokenUse, checked_name
from storage.mongo.documents.stored import StoredTime

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


Name = Annotated[str, Meta(max_length=MAX_NAME, description="Its purpose, in printable characters.")]
Duration = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$",
        description=f"After which time it expires: {POSITIVE_DURATION.allowed}. If not given, with the token "
        "that it is made with; never, if that never does. It cannot outlive that one.",
    ),
]


def _duration(text: str) -> str:
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

    readers: ClassVar[Readers] = {"overlap": _overlap, "expires": _duration}

    @property
    def overlap_time(self) -> timedelta:
        """How long the old one works on."""
        return DURATION.parse(self.overlap) if self.overlap else DEFAULT_OVERLAP


class NewToken(Body):
    """A token to be."""

    name: Name | UnsetType = UNSET
    expires: Duration | UnsetType = UNSET

    readers: ClassVar[Readers] = {"name": partial(checked_name, "token's name"), "expires": _duration}


def expiry(body: NewToken | Replacement, now: datetime) -> datetime | None:
    """Return when the token expires; None where that is not said."""
    return now + POSITIVE_DURATION.parse(body.expires) if body.expires else None
