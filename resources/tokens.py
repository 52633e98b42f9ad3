"""Tokens: never their secret, but once."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Self

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from resources.bodies import Body, Readers
from resources.fields import Count, Time, of_fields
from settings.kinds import POSITIVE_DURATION
from storage.accounts import users
from storage.accounts.users import MAX_NAME, checked_name


class Token(Struct):
    """What is known of a token: never its secret."""

    id: Annotated[str, Meta(description="The part of the token before the hyphen.")]
    name: str
    created_at: Time
    expires_at: Annotated[Time | None, Meta(description="Null is never.")]
    revoked_at: Annotated[Time | None, Meta(description="Null is not yet.")]

    @classmethod
    def of(cls, token: users.Token, /, **further: Any) -> Self:
        """Show a token, with what is further said of it."""
        return of_fields(cls, structs.asdict(token), **further)


class CreatedToken(Token):
    """A token that has just been created."""

    token: Annotated[str, Meta(description="The token itself, this once: only a hash of it is kept.")]


class TokenList(Struct):
    """A page of tokens, newest first."""

    count: Annotated[Count, Meta(description="How many tokens there are, expired and revoked ones too.")]
    results: list[Token]


Name = Annotated[str, Meta(max_length=MAX_NAME, description="What it is for, in printable characters.")]
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


class NewToken(Body):
    """A token to be."""

    name: Name | UnsetType = UNSET
    expires: Duration | UnsetType = UNSET

    readers: ClassVar[Readers] = {"name": partial(checked_name, "token's name"), "expires": _duration}

    @property
    def lifetime(self) -> timedelta | None:
        """After which time it expires; None where that is not said."""
        return POSITIVE_DURATION.parse(self.expires) if self.expires else None
