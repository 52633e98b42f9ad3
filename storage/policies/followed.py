"""All policies in memory, as in the database: a change by any server arrives within 2 s.

Reading a policy never waits. While the database cannot be followed, the last known policies hold, and `/readyz` says
so. Before they were read for the first time, nothing is admitted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from intercept.ids import format_id
from intercept.times import format_time
from limits.policies.effective import Caller, Effective, PolicyBook
from storage.accounts.users import Identity
from storage.mongo.clocks import Now
from storage.mongo.database import Database
from storage.mongo.followed import Followed, read_version
from storage.policies.documents import KeptPolicy, path_of, read_any

READ_SECONDS: Final = 8.0
"""How long the database may take for all policies."""

PAUSE_EVERY: Final = 200
"""Policies that are read before others may run."""

_log = logging.getLogger(__name__)


class PoliciesUnknownError(Exception):
    """The policies have not been read yet."""


class HeldPolicies:
    """The policies that hold in this process, and the paths of those that this version of the bridge cannot read."""

    def __init__(self, book: PolicyBook) -> None:
        self.book = book
        self.unreadable: set[str] = set()

    def read(self, document: Mapping[str, Any]) -> str:
        """Have the policy of a document hold. Return why it cannot be read, and has no effect; else an empty text."""
        kept = read_any(document)
        self.put(kept)
        if kept.unreadable:
            self.unreadable.add(document["_id"])
        return kept.unreadable

    def put(self, kept: KeptPolicy) -> None:
        """Have a policy hold."""
        source, policy = kept.source, kept.policy
        self.unreadable.discard(path_of(source.level, source.key))
        if policy == type(policy)():
            self.book.remove(source.level, source.key)
        else:
            self.book.put(source, policy)


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

    @property
    def book(self) -> PolicyBook:
        """All policies.

        Raises:
            PoliciesUnknownError: They have not been read yet.
        """
        if self.followed.value is None:
            raise PoliciesUnknownError
        return self.followed.value.book

    @property
    def problem(self) -> str:
        """Why the policies of the database may not be those that hold here; empty if they are."""
        if self.followed.value is None:
            return "not read yet: nothing is admitted"
        if self.followed.behind_since is not None:
            return f"not followed since {format_time(self.followed.behind_since)}: the last known ones hold"
        if unreadable := self.followed.value.unreadable:
            return f"without effect, as this version cannot read them: {', '.join(sorted(unreadable))}"
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
        if (held := self.followed.value) is not None:
            held.put(kept)
            self.followed.put(held)

    async def _version(self) -> int:
        async with self._database.query(READ_SECONDS):
            return await read_version(self._database, "policies")

    async def _read(self) -> HeldPolicies:
        held, before = HeldPolicies(PolicyBook(self._zone)), self.followed.value
        number = 0
        async with self._database.query(READ_SECONDS):
            async for document in self._database.policies.find():
                path, unreadable = document["_id"], held.read(document)
                if unreadable and (before is None or path not in before.unreadable):
                    _log.error("the policy %s cannot be read by this version, and has no effect: %s", path, unreadable)
                number += 1
                if number % PAUSE_EVERY == 0:
                    await asyncio.sleep(0)
        return held


def caller_of(identity: Identity) -> Caller:
    """Whose policies hold for a caller."""
    user = identity.user
    groups = tuple([format_id(group) for group in user.group_ids])
    return Caller(format_id(user.id), identity.token_id, groups, identity.bound_by)
