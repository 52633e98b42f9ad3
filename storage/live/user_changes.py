"""Has a process know within 2 s what others changed of users: their groups, their role, that they were removed.

Verified tokens are remembered with their user. A change stream says whose have to be verified again. While there is none,
tokens are verified as often as it takes.
"""

from __future__ import annotations

import asyncio
from typing import Final

from storage.accounts.authentication import Authentication
from storage.accounts.tokens.text import FRESH_SECONDS
from storage.live.change_stream import (
    SELDOM_MILLISECONDS,
    WAIT_MILLISECONDS,
    ChangeStream,
    ChangeStreamsUnsupportedError,
    ForgottenPositionError,
)
from storage.mongo.clocks import Monotonic, Pause
from storage.mongo.database import Database, DatabaseUnavailableError

UNFOLLOWED_SECONDS: Final = 2.0
"""How long a verified token is remembered while changes of users are not followed."""

PAUSE_SECONDS: Final = 1.0
"""Between two tries to follow."""

_EVENTS: Final = ({"$project": {"fullDocument._id": True}},)


async def follow_users(
    database: Database, authentication: Authentication, *, monotonic: Monotonic, pause: Pause = asyncio.sleep
) -> None:
    """Follow the changes of users until cancelled; end at once on a MongoDB that has no change streams."""
    while True:
        authentication.fresh_seconds = UNFOLLOWED_SECONDS
        await database.health.wait_until_back()
        try:
            await _follow_stream(database, authentication, monotonic)
        except ChangeStreamsUnsupportedError:
            return
        except (DatabaseUnavailableError, ForgottenPositionError):
            authentication.fresh_seconds = UNFOLLOWED_SECONDS
            await pause(PAUSE_SECONDS)


async def _follow_stream(database: Database, authentication: Authentication, monotonic: Monotonic) -> None:
    stream = await ChangeStream.open(database, collection=database.users, pipeline=_EVENTS)
    # What was verified before now may have changed unseen. It is not remembered for longer than until then.
    known_at = monotonic() + UNFOLLOWED_SECONDS
    try:
        while True:
            is_known = monotonic() >= known_at
            if is_known:
                authentication.fresh_seconds = FRESH_SECONDS
            if changes := await stream.read(SELDOM_MILLISECONDS if is_known else WAIT_MILLISECONDS):
                authentication.forget(*[change.document["_id"] for change in changes])
    finally:
        authentication.fresh_seconds = UNFOLLOWED_SECONDS
        await stream.close()
