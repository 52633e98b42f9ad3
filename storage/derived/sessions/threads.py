"""Threads and conversations: an interception goes on with an earlier one, its parent.

One that answers a tool call goes on with the one that issued the call, and is in its thread. One of a client that does not
name its sessions goes on with the response that it names, or with the call whose messages it repeats (see
`intercept.callers.conversations`): it begins a thread of its own, in the same session.

The start of such an interception marks its document: `unlinked` says when to look for the parent next, and how often that
was in vain. The mark goes when its place is set (`parent_id` and `root_id`, the first of the thread; `session_id`, unless
the client names that), or when it is given up. All of that is in the database, so any number of servers may look at the
same time, stop and go on, and no outage counts against a document, not even one that came late out of a spool.

The results of tool calls are found in the same way: they go into the call that issued those, `tool_usages[].result`, when it is
found. What is there stays, so doing it again changes nothing.

A parent has the same initiator and, if any, session of the client, and started before its child, so nothing is ever its
own ancestor. A conversation also stays with one client. Where several calls fit, the latest one is meant. An interception
whose parent still looks for its own waits for it, so that a root and a session are final when they are set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo import DESCENDING

from intercept.ids import in_any_case
from storage.mongo.clocks import Now, Pause
from storage.mongo.database import Database
from storage.mongo.indexes import BY_LINK, BY_REQUEST, UNLINKED, Keys
from storage.recording.links import Link

PASS_SECONDS = 2.0
"""From the end of one pass to the beginning of the next."""

RETRY_SECONDS = (2, 4)
"""Pauses between searches for a parent. Whoever goes on had its answer, so it is recorded by then if it ever is."""

CONVERSATION_PAUSE = timedelta(days=7)
"""How long after a call its conversation may continue, if only its messages show that."""

ANSWER_SECONDS = 5.0
"""How long the database may take for one interception."""

BATCH = 200
"""How many documents are read at a time."""

_OPERATION = "link threads"
_CHILD = (
    *("initiator_id", "client", "client_session_id", "session_id", "started_at", "unlinked"),
    *("answered_tool_call_id", "previous_response_id", "continues", "tool_results"),
)


class Threads:
    """Links the interceptions of a database."""

    def __init__(self, database: Database, *, now: Now, pause: Pause = asyncio.sleep) -> None:
        self._database = database
        self._interceptions = database.interceptions
        self._now = now
        self._pause = pause

    async def run(self) -> None:
        """Make one pass after the other, until cancelled.

        Raises:
            DatabaseRefusalError: The database does not link threads.
        """
        while True:
            with self._database.health.tolerate("threads are not linked"):
                await self.link_pending()
            await self._pause(PASS_SECONDS)
            await self._database.health.wait_until_back()

    async def link_pending(self) -> int:
        """Search once for each parent that is due; return the number of linked interceptions.

        Raises:
            DatabaseUnavailableError: Not all were searched.
        """
        until, linked = self._now(), 0
        while children := await self._due(until):
            for child in children:
                linked += await self._find_parent(child)
        return linked

    async def _due(self, until: datetime) -> list[dict[str, Any]]:
        """Return the next documents, parents before their children."""
        async with self._database.within(ANSWER_SECONDS, _OPERATION):
            cursor = self._interceptions.find(
                {"unlinked.due": {"$lte": until}},
                dict.fromkeys(_CHILD, True),
            )
            return await cursor.sort(UNLINKED).hint(UNLINKED).limit(BATCH).to_list(BATCH)

    async def _find_parent(self, child: Mapping[str, Any]) -> bool:
        """Find the parent of a document; return whether this linked it."""
        async with self._database.within(ANSWER_SECONDS, _OPERATION):
            parent = await self._parent(child)
            if parent is None:
                await self._change(child, self._in_vain(child))
                return False
            if "unlinked" in parent:
                await self._change(child, {"$set": {"unlinked.due": parent["unlinked"]["due"]}})
                return False
            await self._add_results(parent, child)
            return await self._change(child, {"$set": _position_fields(child, parent), "$unset": {"unlinked": ""}})

    async def _parent(self, child: Mapping[str, Any]) -> dict[str, Any] | None:
        wanted, index = _wanted(child)
        newest_first = [("started_at", DESCENDING), ("_id", DESCENDING)]
        found = dict.fromkeys(("session_id", "root_id", "unlinked"), True)
        return await self._interceptions.find_one(wanted, found, sort=newest_first, hint=index)

    async def _add_results(self, parent: Mapping[str, Any], child: Mapping[str, Any]) -> None:
        """Give the tool calls of a document the results that its child has of them, unless they have theirs."""
        # MongoDB refuses two for one tool call.
        results = {one["id"]: one for one in child.get("tool_results", ()) if one["id"]}.values()
        if not results:
            return
        given = {
            f"tool_usages.$[r{number}].result": {"bytes": one["bytes"], "is_error": one["is_error"]}
            for number, one in enumerate(results)
        }
        which = [
            {f"r{number}.provider_tool_call_id": one["id"], f"r{number}.result": None}
            for number, one in enumerate(results)
        ]
        await self._interceptions.update_one(
            {"_id": parent["_id"], "tool_usages": {"$exists": True}}, {"$set": given}, array_filters=which
        )

    def _in_vain(self, child: Mapping[str, Any]) -> dict[str, Any]:
        tries = child["unlinked"]["tries"]
        if tries >= len(RETRY_SECONDS):
            return {"$unset": {"unlinked": ""}}
        due = self._now() + timedelta(seconds=RETRY_SECONDS[tries])
        return {"$set": {"unlinked": {"due": due, "tries": tries + 1}}}

    async def _change(self, child: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
        """Change a document unless another server was first."""
        as_seen = {"_id": child["_id"], "unlinked": child["unlinked"]}
        return bool((await self._interceptions.update_one(as_seen, change)).modified_count)


def _wanted(child: Mapping[str, Any]) -> tuple[dict[str, Any], Keys]:
    """Return what the parent of a document has, and the index that finds it."""
    same = {"initiator_id": child["initiator_id"], "client_session_id": child["client_session_id"]}
    earlier = {"$lt": child["started_at"]}
    if tool_call_id := child["answered_tool_call_id"] or _result_id(child):
        return {**same, "links": Link.TOOL_CALL.of(tool_call_id, child["initiator_id"]), "started_at": earlier}, BY_LINK
    same["client"] = child["client"]
    if response_id := child.get("previous_response_id"):
        return {**same, "request_ids": in_any_case(response_id), "started_at": earlier}, BY_REQUEST
    recent = {"$gte": child["started_at"] - CONVERSATION_PAUSE, **earlier}
    # A policy may have removed it with the texts. No call has an empty one, so the search ends.
    return {
        **same,
        "links": Link.CONVERSATION.of(child.get("continues", b""), child["initiator_id"]),
        "started_at": recent,
    }, BY_LINK


def _result_id(child: Mapping[str, Any]) -> str | None:
    """Return the tool call by whose result alone the parent is found."""
    if child.get("previous_response_id") or child.get("continues"):
        return None
    results = child.get("tool_results")
    return results[-1]["id"] if results else None


def _position_fields(child: Mapping[str, Any], parent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that put a document into the thread, or at least the session, of its parent."""
    root_id = parent.get("root_id", parent["_id"])
    session = {} if "session_id" in child else {"session_id": parent.get("session_id", root_id)}
    thread = {"parent_id": parent["_id"], "root_id": root_id} if child["answered_tool_call_id"] else {}
    return session | thread
