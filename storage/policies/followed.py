"""All policies in memory, as in the database: a change by any server arrives within 2 s.

Reading a policy never waits. While the database cannot be followed, the last known policies hold, and `/readyz` says
so. Before they were read for the first time, nothing is admitted. The bridge alone writes them: one that it cannot read keeps
all others from being read anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from intercept.ids import format_id
from intercept.times import format_time
from limits.policies.effective import Caller, Effective, PolicyBook
from storage.accounts.users import Identity
from storage.mongo.clocks import Now
from storage.mongo.database import Database
from storage.mongo.errors import DatabaseRefusalError
from storage.mongo.followed import Followed, read_version
from storage.policies.documents import KeptPolicy, UnreadablePolicyError, read_document

READ_SECONDS: Final = 8.0
"""How long the database may take for all policies."""

PAUSE_EVERY: Final = 200
"""Policies that are read before others may run."""

_log = logging.getLogger(__name__)


class PoliciesUnknownError(Exception):
    """The policies have not been read yet."""


class FollowedPolicies:
    """The policies of a database, in memory.

    Args:
        zone: The time zone in which budget periods begin.
        now: The wall clock.
        on_change: Called after the policies were read or changed.
    """

    def __init__(
        self,
        database: Database,
        *,
        zone: str = "UTC",
        now: Now,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._zone = zone
        self.on_change = on_change
        self.followed = Followed(self._read, lambda _: self.on_change(), version=self._version, now=now)
        self._unreadable = ""

    @property
    def book(self) -> PolicyBook:
        """All policies.

        Raises:
            PoliciesUnknownError: They have not been read yet.
        """
        if self.followed.value is None:
            raise PoliciesUnknownError
        return self.followed.value

    @property
    def problem(self) -> str:
        """Why the policies of the database may not be those that hold here; empty if they are."""
        if self.followed.value is None:
            return f"not read yet: nothing is admitted{self._unreadable and f'; {self._unreadable}'}"
        if self.followed.behind_since is not None:
            return f"not followed since {format_time(self.followed.behind_since)}: the last known ones hold"
        return ""

    def find(self, identity: Identity) -> Effective | None:
        """What holds for a caller; None if nothing is restricted.

        Raises:
            PoliciesUnknownError: The policies have not been read yet.
        """
        book = self.book
        return book.find(caller_of(identity), identity.user.username) if len(book) else None

    def put(self, kept: KeptPolicy) -> None:
        """Have a policy hold from now on, as this process has changed it itself."""
        if (book := self.followed.value) is not None:
            _put(book, kept)
            self.followed.put(book)

    async def _version(self) -> int:
        async with self._database.query(READ_SECONDS):
            return await read_version(self._database, "policies")

    async def _read(self) -> PolicyBook:
        book, number = PolicyBook(self._zone), 0
        async with self._database.query(READ_SECONDS):
            async for document in self._database.policies.find():
                try:
                    _put(book, read_document(document))
                except UnreadablePolicyError as error:
                    self._refuse(str(error))
                number += 1
                if number % PAUSE_EVERY == 0:
                    await asyncio.sleep(0)
        self._unreadable = ""
        return book

    def _refuse(self, why: str) -> None:
        if why != self._unreadable:
            _log.error("%s", why)
        self._unreadable = why
        raise DatabaseRefusalError(why)


def _put(book: PolicyBook, kept: KeptPolicy) -> None:
    """Have a policy hold."""
    if kept.policy == type(kept.policy)():
        book.remove(kept.source.level, kept.source.key)
    else:
        book.put(kept.source, kept.policy)


def caller_of(identity: Identity) -> Caller:
    """Whose policies hold for a caller."""
    user = identity.user
    groups = tuple([format_id(group) for group in user.group_ids])
    return Caller(format_id(user.id), identity.token_id, groups, identity.bound_by)
