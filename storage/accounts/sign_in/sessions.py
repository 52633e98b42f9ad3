"""Sign-in sessions: what a browser has instead of a token. The database keeps a SHA-256 of their secret, as of tokens.

The text of a session has the form of a token, so what hides tokens hides sessions too.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct
from msgspec.structs import replace

from storage.mongo.documents.stored import Hidden, Stored, StoredTime

MAX_SESSIONS = 50
"""Sessions of one user. One more ends the one that was not used for the longest time."""

MAX_USER_AGENT = 256
"""Characters that are kept of the name of a browser."""

NOTE_USE_SECONDS = 60.0
"""A use is written down when the last one was written this long ago, or a tenth of the idle timeout."""


class Method(StrEnum):
    """How somebody signed in."""

    TOKEN = "token"  # noqa: S105 - a word
    LINK = "link"
    OPENID = "openid"


class SignInSession(Stored, frozen=True, kw_only=True):
    """A browser that is signed in: a session without its secret. `id` is its public part."""

    id: str
    user_id: Hidden[UUID]
    token_id: Annotated[
        str | None,
        Meta(
            description="The token that it signed in with, whose rights the session has. Null without one: the session has "
            "the rights of the user."
        ),
    ]
    created_at: StoredTime
    last_used_at: Annotated[StoredTime, Meta(description="Approximate: not every use is recorded.")]
    expires_at: Annotated[StoredTime, Meta(description="When the session ends without further use.")]
    client_ip: Annotated[str, Meta(description="The address from which the user signed in.")]
    user_agent: Annotated[str, Meta(max_length=MAX_USER_AGENT, description="The `User-Agent` of the browser.")]
    method: Annotated[Method, Meta(description="How the user signed in.")]


class SessionTimes(Struct, frozen=True):
    """How long sessions last: `idle` since the last use, and `lifetime` in all."""

    idle: timedelta = timedelta(hours=12)
    lifetime: timedelta = timedelta(days=7)

    def end_of(self, session: SignInSession) -> datetime:
        """When the session ends unless it is used: times that were made shorter hold for sessions that there are."""
        return min(session.expires_at, session.last_used_at + self.idle, session.created_at + self.lifetime)

    def is_use_due(self, session: SignInSession, now: datetime) -> bool:
        """Whether a use is to be written down: not each is."""
        return now - session.last_used_at >= min(timedelta(seconds=NOTE_USE_SECONDS), self.idle / 10)

    def used(self, session: SignInSession, now: datetime) -> SignInSession:
        """The session after a use."""
        expires_at = min(now + self.idle, session.created_at + self.lifetime)
        return replace(session, last_used_at=now, expires_at=expires_at)


DEFAULT_TIMES = SessionTimes()
