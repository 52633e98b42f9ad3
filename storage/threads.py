"""Threads: an interception that answers a tool call goes on with the one that issued it, its parent.

The start of such an interception marks its document: `unlinked` says when to look for the parent next, and how often that
was in vain. The mark goes when `parent_id` and `root_id`, the first of the thread, are set, or when it is given up. All
of that is in the database, so any number of servers may look at the same time, stop and go on, and no outage counts
against a document, not even one that came late out of a journal.

A parent has the same initiator and, if any, session of the client, and started before its child, so nothing is ever its
own ancestor. Where an id was used more than once, the latest one is meant. An interception whose parent still looks for
its own waits for it, so that a root is final when it is set.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pymongo
from pymongo import DESCENDING
from pymongo.errors import PyMongoError

from storage.database import Database, DatabaseUnavailableError, database_errors
from storage.indexes import BY_TOOL_CALL, UNLINKED

PASS_SECONDS = 2.0
"""From the end of one pass to the beginning of the next."""

RETRY_SECONDS = (2, 8, 30, 120, 440)
"""How long after each look in vain comes the next: ten minutes in all, then an interception is given up."""

ANSWER_SECONDS = 5.0
"""How long the database may take for one interception."""

BATCH = 200
"""How many documents are read at a time."""

_log = logging.getLogger(__name__)


class Threads:
    """Links the interceptions of a database.

    Args:
        database: Where they are.
        now: The wall clock, in UTC and whole milliseconds.
        pause: Waits for seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interceptions = database.interceptions
        self._now = now
        self._pause = pause

    async def run(self) -> None:
        """Make one pass after the other, until cancelled."""
        away = False
        while True:
            try:
                await self.link_pending()
                away = False
            except DatabaseUnavailableError as error:
                if not away:
                    _log.warning("threads are not linked: %s", error)
                away = True
            await self._pause(PASS_SECONDS)

    async def link_pending(self) -> int:
        """Look once for each parent that is due to be looked for; return how many interceptions this linked.

        Raises:
            DatabaseUnavailableError: Not all was looked for.
        """
        until, linked = self._now(), 0
        while children := await self._due(until):
            for child in children:
                linked += await self._look(child)
        return linked

    async def _due(self, until: datetime) -> list[dict[str, Any]]:
        """Return the next documents, parents before their children."""
        with _bounded():
            cursor = self._interceptions.find(
                {"unlinked.due": {"$lte": until}},
                dict.fromkeys(
                    ("initiator_id", "client_session_id", "answered_tool_call_id", "started_at", "unlinked"), True
                ),
            )
            return await cursor.sort(UNLINKED).hint(UNLINKED).limit(BATCH).to_list(BATCH)

    async def _look(self, child: Mapping[str, Any]) -> bool:
        """Look for the parent of one document. Say whether this linked it."""
        with _bounded():
            parent = await self._parent(child)
            if parent is None:
                await self._change(child, self._in_vain(child["unlinked"]["tries"]))
                return False
            if "unlinked" in parent:
                await self._change(child, {"$set": {"unlinked.due": parent["unlinked"]["due"]}})
                return False
            link = {"parent_id": parent["_id"], "root_id": parent.get("root_id", parent["_id"])}
            return await self._change(child, {"$set": link, "$unset": {"unlinked": ""}})

    async def _parent(self, child: Mapping[str, Any]) -> dict[str, Any] | None:
        issued = {
            "initiator_id": child["initiator_id"],
            "tool_call_ids": child["answered_tool_call_id"],
            "client_session_id": child["client_session_id"],
            "started_at": {"$lt": child["started_at"]},
        }
        newest_first = [("started_at", DESCENDING), ("_id", DESCENDING)]
        return await self._interceptions.find_one(
            issued, {"root_id": True, "unlinked": True}, sort=newest_first, hint=BY_TOOL_CALL
        )

    def _in_vain(self, tries: int) -> dict[str, Any]:
        if tries >= len(RETRY_SECONDS):
            return {"$unset": {"unlinked": ""}}
        due = self._now() + timedelta(seconds=RETRY_SECONDS[tries])
        return {"$set": {"unlinked": {"due": due, "tries": tries + 1}}}

    async def _change(self, child: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
        """Change a document unless another server was first."""
        as_seen = {"_id": child["_id"], "unlinked": child["unlinked"]}
        return bool((await self._interceptions.update_one(as_seen, change)).modified_count)


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    try:
        with database_errors(), pymongo.timeout(ANSWER_SECONDS):
            yield
    except PyMongoError as error:
        raise DatabaseUnavailableError(f"MongoDB does not link threads: {type(error).__name__}") from error
