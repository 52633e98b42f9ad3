"""The audit trail: who changed what of users and tokens. One document a change, never with a secret, kept for ever.

Who signed in, and who was refused, is there too for a while, see `storage.accounts.access_trail`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pymongo
from msgspec import Struct

from storage.accounts.events import Action
from storage.accounts.users import User
from storage.mongo.database import Database, database_errors
from storage.mongo.indexes import AUDIT_BY_TIME

ANSWER_SECONDS = 2.0
"""How long the database may take for a page."""


class Author(Struct, frozen=True):
    """Who makes a change: a user, by HTTP from an address with a token, or without a user the command line.

    `expires_at` is when the token expires; None is never.
    """

    user: User | None = None
    client_ip: str | None = None
    token_id: str | None = None
    expires_at: datetime | None = None


COMMAND_LINE = Author()
_COMMAND_LINE_NAME = "command line"  # which no user can have: it has a space


class UnknownEntryError(LookupError):
    """The audit trail has no entry with this id."""


def entry(author: Author, action: Action, subject: User, *, at: datetime, **detail: object) -> dict[str, Any]:
    """Make the document of a change. Names are kept as they were then.

    Args:
        author: Who made it.
        action: What was done.
        subject: To which user, or to whose token.
        at: When, in whole milliseconds.
        detail: What else is to be known of it.
    """
    by = author.user
    return {
        "_id": uuid4(),
        "schema_version": 1,
        "at": at,
        "actor": {"id": None, "username": _COMMAND_LINE_NAME} if by is None else _actor(by, author.token_id),
        "action": action.value,
        "subject": _named(subject),
        "detail": detail,
        "client_ip": author.client_ip,
    }


def _actor(user: User, token_id: str | None) -> dict[str, Any]:
    return _named(user) | ({} if token_id is None else {"token_id": token_id})


def _named(user: User) -> dict[str, Any]:
    return {"id": user.id, "username": user.username}


class Audit:
    """The audit trail of a database."""

    def __init__(self, database: Database) -> None:
        self._entries = database.audit

    async def page(self, *, limit: int, after_id: UUID | None = None) -> list[dict[str, Any]]:
        """List the documents of entries, newest first.

        Args:
            limit: How many at most.
            after_id: Begin behind this entry.

        Raises:
            UnknownEntryError: There is no entry `after_id`.
            DatabaseUnavailableError: The database is away.
        """
        with database_errors(), pymongo.timeout(ANSWER_SECONDS):
            behind = {} if after_id is None else await self._behind(after_id)
            cursor = self._entries.find(behind).sort(AUDIT_BY_TIME).hint(AUDIT_BY_TIME).limit(limit)
            return [document async for document in cursor]

    async def _behind(self, after_id: UUID) -> dict[str, Any]:
        last = await self._entries.find_one({"_id": after_id}, {"at": True})
        if last is None:
            raise UnknownEntryError(f"the audit trail has no entry {after_id}")
        return {"at": {"$lte": last["at"]}, "$or": [{"at": {"$lt": last["at"]}}, {"_id": {"$lt": after_id}}]}
