"""The job that adds every ended interception to its session, exactly once (see `storage.aggregation.job`).

A call that may still be linked to a thread (see `storage.aggregation.threads`) waits, because its session is not known yet. A
presumed end is added with what it then says, and its document keeps that as `grouped`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from bson.binary import Binary
from pymongo import InsertOne, ReplaceOne, UpdateMany, UpdateOne

from storage.aggregation.job import AT_ONCE, ExactlyOnceJob, Pending
from storage.aggregation.rollup import NO_USAGE, TOKENS
from storage.aggregation.session_documents import MAX_PROMPT, session_of, share, with_calls
from storage.mongo.database import Database, Session, with_plain_ids
from storage.mongo.indexes import UNGROUPED

PAUSE_SECONDS = 2.0
"""The pause between two runs."""

BEHIND_SECONDS = 1.0
"""The pause while more waits than one run adds and calls are in progress. Calls come first: some 500 a second are added then,
and ten times as many when no call is in progress."""

BATCH = 500
"""Most interceptions that are added in one transaction."""

JOB_STATE = {"_id": "grouping"}
"""Finds the document, among the sessions, that says what has been added and is still marked."""

Parts: TypeAlias = defaultdict[Binary, list[Mapping[str, Any]]]

_MARKED = {"ungrouped": {"$exists": True}, "unlinked": None}

# The prompts that a user wrote.
_TYPED = {
    "$map": {
        "input": {"$filter": {"input": "$user_prompts", "cond": {"$ne": ["$$this.metadata.synthetic", True]}}},
        "in": "$$this.prompt",
    }
}
# Prompts and usages may be large: only what is needed of them leaves the database.
CALL = {
    **dict.fromkeys(
        (
            *("initiator_id", "client_session_id", "session_id", "root_id", "provider", "provider_name", "model"),
            *("client", "status", "started_at", "ended_at", "cost", "presumed", "grouped"),
        ),
        True,
    ),
    **{name: {"$sum": f"$token_usages.{name}"} for name in TOKENS},
    "no_usage": NO_USAGE,
    "prompt": {"$substrCP": [{"$ifNull": [{"$last": _TYPED}, ""]}, 0, MAX_PROMPT]},
}


class SessionJob(ExactlyOnceJob):
    """Adds the interceptions of a database to its sessions.

    Args:
        database: Where they are.
        pause: Waits for seconds.
        busy: Says whether the server has calls under way.
    """

    log = logging.getLogger(__name__)
    verb, missing, waiting = "group", "there are no sessions", "nothing is added to sessions"
    job_state = JOB_STATE
    mark, kept = "ungrouped", "grouped"
    marked, index = _MARKED, UNGROUPED
    batch = BATCH
    seconds, behind_seconds = PAUSE_SECONDS, BEHIND_SECONDS

    def __init__(
        self,
        database: Database,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        busy: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(database, database.sessions, pause=pause, busy=busy)
        self._sessions = with_plain_ids(database.sessions)

    async def _add(self, limit: int, session: Session) -> Pending:
        cursor = self._interceptions.find(_MARKED, CALL, batch_size=AT_ONCE, session=session)
        calls = await cursor.sort(UNGROUPED).hint(UNGROUPED).limit(limit).to_list(limit)
        # In a thread, as all of it takes some 20 ms.
        parts, pending = await asyncio.to_thread(_parted, calls)
        known = self._sessions.find({"_id": {"$in": list(parts)}}, batch_size=AT_ONCE, session=session)
        changes = await asyncio.to_thread(_changes, await known.to_list(len(parts)), parts)
        await self._write(self._sessions, changes, session, ordered=False)
        return pending

    def _unmarking(self, pending: Pending) -> list[UpdateMany | UpdateOne]:
        unmark = {"$unset": {"ungrouped": "", "grouped": ""}}
        new = (
            UpdateOne({"_id": one["_id"]}, {"$set": {"session_id": one["session_id"]}, **unmark})
            for one in pending["new"]
        )
        return [*new, *super()._unmarking(pending)]


def _parted(calls: Sequence[Mapping[str, Any]]) -> tuple[Parts, Pending]:
    """Return calls by their sessions, and the note of them."""
    parts: Parts = defaultdict(list)
    for call in calls:
        parts[session_of(call)].append(call)
    return parts, _pending(calls)


def _changes(
    found: Iterable[Mapping[str, Any]], parts: Parts
) -> list[InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]]]:
    known = {one["_id"]: one for one in found}
    documents = {id_: with_calls(known.get(id_), calls) for id_, calls in parts.items()}
    # To insert a new one takes MongoDB 26 us, to let it replace nothing 44.
    return [
        ReplaceOne({"_id": id_}, document) if id_ in known else InsertOne(document)
        for id_, document in documents.items()
    ]


def _pending(calls: Sequence[Mapping[str, Any]]) -> Pending:
    """Return which calls these are: those whose end is presumed with what they added, others with a session new to them."""
    pending: Pending = {"true": [], "new": [], "presumed": []}
    for call in calls:
        if call.get("presumed"):
            pending["presumed"].append({"_id": call["_id"], "session_id": session_of(call), "grouped": share(call)})
        elif "session_id" in call:
            pending["true"].append(call["_id"])
        else:
            pending["new"].append({"_id": call["_id"], "session_id": session_of(call)})
    return pending
