"""All policies in memory, as in the database: a change by any server arrives within 2 s.

Reading a policy never waits. While the database cannot be followed, the last known policies hold, and `/readyz` says
so. Before they were read for the first time, nothing is admitted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from intercept.ids import format_id
from intercept.times import format_time
from limits.policies.book import PolicyBook
from limits.policies.effective import Caller, Effective
from storage.accounts.users import Identity
from storage.live.change_stream import (
    SELDOM_MILLISECONDS,
    ChangeStream,
    ForgottenPositionError,
)
from storage.mongo.clocks import Pause
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.policies.documents import KeptPolicy, path_of, read_any

READ_SECONDS: Final = 8.0
"""How long the database may take for all policies."""

POLL_SECONDS: Final = 1.0
"""Time between two reads on a standalone server, which has no change streams, and between two tries to follow."""

PAUSE_EVERY: Final = 200
"""Policies that are read before others may run."""

_EVENTS: Final = ({"$project": {"fullDocument": True}},)

_log = logging.getLogger(__name__)


class PoliciesUnknownError(Exception):
    """The policies have not been read yet."""


class _Reading:
    """What was read: the policies, the version of each, and those that this version of the bridge cannot read."""

    def __init__(self, book: PolicyBook) -> None:
        self.book = book
        self.versions: dict[str, str] = {}
        self.unreadable: set[str] = set()

    def read(self, document: Mapping[str, Any]) -> None:
        """Read a document, and have its policy hold. One that cannot be read takes away what held before, as a restart does."""
        kept, path = read_any(document), document["_id"]
        if kept.unreadable and path not in self.unreadable:
            _log.error("the policy %s cannot be read by this version, and has no effect: %s", path, kept.unreadable)
        self.put(kept)
        self.versions[path] = kept.version
        if kept.unreadable:
            self.unreadable.add(path)

    def put(self, kept: KeptPolicy) -> None:
        """Have a policy hold."""
        source, policy = kept.source, kept.policy
        path = path_of(source.level, source.key)
        self.versions[path] = kept.version
        self.unreadable.discard(path)
        if policy == type(policy)():
            self.book.remove(source.level, source.key)
        else:
            self.book.put(source, policy)


class FollowedPolicies:
    """The policies of a database, in memory.

    Args:
        zone: The time zone in which budget periods begin.
        now: The wall clock, as text for people.
        on_change: Called after the policies were read or changed.
    """

    def __init__(
        self,
        database: Database,
        *,
        zone: str = "UTC",
        now: Callable[[], Any],
        pause: Pause = asyncio.sleep,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._zone = zone
        self._now = now
        self._pause = pause
        self._reading: _Reading | None = None
        self._stale_since: str | None = None
        self.on_change = on_change

    @property
    def book(self) -> PolicyBook:
        """All policies.

        Raises:
            PoliciesUnknownError: They have not been read yet.
        """
        if self._reading is None:
            raise PoliciesUnknownError
        return self._reading.book

    @property
    def problem(self) -> str:
        """Why the policies of the database may not be those that hold here; empty if they are."""
        if self._reading is None:
            return "not read yet: nothing is admitted"
        if self._stale_since is not None:
            return f"not followed since {self._stale_since}: the last known ones hold"
        if unreadable := self._reading.unreadable:
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
        if self._reading is not None:
            self._reading.put(kept)
            self.on_change()

    async def read(self) -> None:
        """Read all policies.

        Raises:
            DatabaseUnavailableError: They cannot be read now.
        """
        reading = _Reading(PolicyBook(self._zone))
        async with self._database.within(READ_SECONDS):
            async for document in self._database.policies.find():
                reading.read(document)
                if len(reading.versions) % PAUSE_EVERY == 0:
                    await asyncio.sleep(0)
        self._reading, self._stale_since = reading, None
        self.on_change()

    async def follow(self) -> None:
        """Read all policies, and each one that is changed, until cancelled."""
        while True:
            await self._database.health.wait_until_back()
            try:
                await self._follow_stream()
            except (DatabaseUnavailableError, ForgottenPositionError) as error:
                self._lose(error)
                await self._pause(POLL_SECONDS)
            except BaseException as error:
                self._lose(error)
                raise

    async def _follow_stream(self) -> None:
        stream = await ChangeStream.open(self._database, collection=self._database.policies, pipeline=_EVENTS)
        try:
            await self.read()
            while True:
                if changes := await stream.read(SELDOM_MILLISECONDS):
                    self._apply([change.document for change in changes])
        finally:
            await stream.close()

    async def _poll(self) -> None:
        try:
            while True:
                await self._reload()
                await self._pause(POLL_SECONDS)
        except DatabaseUnavailableError as error:
            self._lose(error)

    async def _reload(self) -> None:
        """Read the policies whose version has changed."""
        if self._reading is None:
            await self.read()
            return
        versions = self._reading.versions
        async with self._database.within(READ_SECONDS):
            found = self._database.policies.find({}, {"version": True})
            changed = [one["_id"] async for one in found if versions.get(one["_id"]) != str(one.get("version"))]
            documents = await self._database.policies.find({"_id": {"$in": changed}}).to_list(None) if changed else []
        self._stale_since = None
        self._apply(documents)

    def _apply(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Apply changed policies from now on."""
        if self._reading is not None and documents:
            for document in documents:
                self._reading.read(document)
            self.on_change()

    def _lose(self, error: BaseException) -> None:
        if self._stale_since is None and not isinstance(error, asyncio.CancelledError):
            self._stale_since = format_time(self._now())


def caller_of(identity: Identity) -> Caller:
    """Whose policies hold for a caller."""
    user = identity.user
    groups = tuple([format_id(group) for group in user.group_ids])
    return Caller(format_id(user.id), identity.token_id, groups, identity.bound_by)
