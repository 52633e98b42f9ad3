"""Grouping: adds every interception that has ended to the session it belongs to, exactly once.

An end marks its document as `ungrouped`. A turn reads what is marked, adds it to the sessions and notes which interceptions
these were, in a document of its own: all of that in one transaction, so either it has happened or it has not. Then it
removes the marks, and the note. Who finds a note removes the marks first, before anything else is added. So a turn may
stop anywhere, and marks may be removed again, or late: a true end is never marked again.

That document is the lock too: of several servers one adds, and the others leave it alone until their next turn. The marks
are no part of the transaction, as others write to the same documents.

What may still be found to be in a thread (see `storage.threads`) waits: it is not known yet whose session it belongs to. A
presumed end is added with what it then says, and its document keeps that as `grouped`. When the true end comes, it marks
the document again, and what was kept is taken away as the true end is added.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import pymongo
from pymongo import ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import OperationFailure, PyMongoError

from storage.cells import TOKENS
from storage.database import NO_TRANSACTIONS, Database, DatabaseUnavailableError, Session, database_errors
from storage.indexes import UNGROUPED
from storage.operations import PRESUMED
from storage.session_documents import LONGEST_PROMPT, session_of, share, with_calls

TURN_SECONDS = 2.0
"""From the end of one turn to the beginning of the next."""

BEHIND_SECONDS = 1.0
"""The same while there is more to be added than one turn takes: new calls come first, and some 500 a second are added."""

BATCH = 500
"""Most interceptions that are added in one transaction."""

BATCH_SECONDS = 10.0
"""How long the database may take for one transaction. It ends one by itself after 60 s."""

NOTEBOOK = {"_id": "grouping"}
"""Finds the document, among the sessions, that says what has been added and is still marked."""

_MARKED = {"ungrouped": {"$exists": True}, "unlinked": None}

# Prompts and usages may be large: only what is needed of them leaves the database.
_CALL = {
    **dict.fromkeys(
        (
            *("initiator_id", "client_session_id", "session_id", "root_id", "provider", "provider_name", "model"),
            *("client", "status", "started_at", "ended_at", "cost", "presumed", "grouped"),
        ),
        True,
    ),
    **{name: {"$sum": f"$token_usages.{name}"} for name in TOKENS},
    "prompt": {"$substrCP": [{"$ifNull": [{"$last": "$user_prompts.prompt"}, ""]}, 0, LONGEST_PROMPT]},
}

_log = logging.getLogger(__name__)


class NoTransactionsError(Exception):
    """The MongoDB cannot add exactly once. Its text is a phrase for the operator."""


class Grouping:
    """Adds the interceptions of a database to its sessions.

    Args:
        database: Where they are.
        pause: Waits for seconds.
    """

    def __init__(self, database: Database, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._database = database
        self._interceptions = database.interceptions
        self._sessions = database.sessions
        self._pause = pause
        self._most = BATCH

    async def run(self) -> None:
        """Take one turn after the other, until cancelled; end at once on a MongoDB that has no transactions."""
        away = False
        while True:
            behind = False
            try:
                _, is_all = await self._turn()
                behind = not is_all
                away = False
            except NoTransactionsError as error:
                _log.warning("there are no sessions: %s", error)
                return
            except DatabaseUnavailableError as error:
                if not away:
                    _log.warning("nothing is added to sessions for now: %s", error)
                away = True
            await self._pause(BEHIND_SECONDS if behind else TURN_SECONDS)

    async def group_pending(self) -> int:
        """Add what is marked; return how many interceptions this added. None, if another server is at it.

        Raises:
            NoTransactionsError: This MongoDB is no replica set.
            DatabaseUnavailableError: Not all was added.
        """
        added = 0
        while True:
            number, is_all = await self._turn()
            added += number
            if is_all:
                return added

    async def _turn(self) -> tuple[int, bool]:
        """Take one turn; return how many it added, and whether that is all for now."""
        with _bounded():
            most = self._most
            number = await self._group(most)
        return number, number < most

    async def _group(self, most: int) -> int:
        """Add some of what is marked, what waits for longest first; return how many."""
        if await self._interceptions.find_one(_MARKED, {"_id": True}, hint=UNGROUPED) is None:
            return 0
        # Fewer next time, should this not succeed.
        self._most = max(most // 2, 1)
        turn = await self._next_turn()
        try:
            note = await self._transact(turn, most)
        except OperationFailure as error:
            if not error.has_error_label("TransientTransactionError"):
                raise
            note = None  # another server is at it
        self._most = min(2 * most, BATCH)
        if note is None:
            return 0
        await self._unmark(turn, note)
        return sum(map(len, note.values()))

    async def _next_turn(self) -> int:
        """Return the number of the turn that is next, with nothing left to be done of the one before."""
        notebook = await self._sessions.find_one(NOTEBOOK)
        if notebook is None:
            # Not in the transaction, where it would fail if another server did the same.
            await self._sessions.update_one(NOTEBOOK, {"$setOnInsert": {"turn": 0}}, upsert=True)
            return 1
        turn: int = notebook["turn"]
        if "note" in notebook:
            await self._unmark(turn, notebook["note"])
        return turn + 1

    async def _transact(self, turn: int, most: int) -> dict[str, Any] | None:
        """Add to the sessions and say what was added; None if another server had this turn."""
        async with self._database.transaction() as transaction:
            before = {**NOTEBOOK, "turn": turn - 1}
            changed = await self._sessions.update_one(before, {"$set": {"turn": turn}}, session=transaction)
            if not changed.modified_count:
                return None
            cursor = self._interceptions.find(_MARKED, _CALL, session=transaction)
            calls = await cursor.sort(UNGROUPED).hint(UNGROUPED).limit(most).to_list(most)
            note = _note(calls)
            changes = [*await self._changes(calls, transaction), UpdateOne(NOTEBOOK, {"$set": {"note": note}})]
            await self._sessions.bulk_write(changes, ordered=False, session=transaction)
        return note

    async def _changes(self, calls: Sequence[Mapping[str, Any]], transaction: Session) -> list[Any]:
        """Return what becomes of the sessions; each is read and written once."""
        parts: defaultdict[UUID, list[Mapping[str, Any]]] = defaultdict(list)
        for call in calls:
            parts[session_of(call)].append(call)
        found = await self._sessions.find({"_id": {"$in": list(parts)}}, session=transaction).to_list(len(parts))
        # In a thread, as it takes some 20 ms.
        return await asyncio.to_thread(_replacements, {session["_id"]: session for session in found}, parts)

    async def _unmark(self, turn: int, note: Mapping[str, Any]) -> None:
        """Remove the marks of what a turn has added, and its note. Does no harm when that has been done."""
        await self._interceptions.bulk_write(_unmarking(note))
        await self._sessions.update_one({**NOTEBOOK, "turn": turn}, {"$unset": {"note": ""}})


def _replacements(
    known: Mapping[UUID, Mapping[str, Any]], parts: Mapping[UUID, Sequence[Mapping[str, Any]]]
) -> list[ReplaceOne[dict[str, Any]]]:
    return [ReplaceOne({"_id": id_}, with_calls(known.get(id_), calls), upsert=True) for id_, calls in parts.items()]


def _note(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return which calls these are: those whose end is presumed with what they added, others with a session new to them."""
    note: dict[str, Any] = {"true": [], "new": [], "presumed": []}
    for call in calls:
        if call.get("presumed"):
            note["presumed"].append({"_id": call["_id"], "session_id": session_of(call), "grouped": share(call)})
        elif "session_id" in call:
            note["true"].append(call["_id"])
        else:
            note["new"].append({"_id": call["_id"], "session_id": session_of(call)})
    return note


def _unmarking(note: Mapping[str, Any]) -> list[UpdateMany | UpdateOne]:
    unmark = {"$unset": {"ungrouped": "", "grouped": ""}}
    changes: list[UpdateMany | UpdateOne] = [
        UpdateMany({"_id": {"$in": note["true"]}}, unmark),
        *(UpdateOne({"_id": one["_id"]}, {"$set": {"session_id": one["session_id"]}, **unmark}) for one in note["new"]),
    ]
    for one in note["presumed"]:
        # The true end may have come in between. Then its mark stays.
        marked = {"_id": one["_id"], **_MARKED}
        kept = {"session_id": one["session_id"], "grouped": one["grouped"]}
        changes.append(UpdateOne({**marked, "grouped": None}, {"$set": kept}))
        changes.append(UpdateOne({**marked, **PRESUMED}, {"$unset": {"ungrouped": ""}}))
    return changes


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    try:
        with database_errors(), pymongo.timeout(BATCH_SECONDS):
            yield
    except PyMongoError as error:
        if isinstance(error, OperationFailure) and error.code in NO_TRANSACTIONS:
            raise NoTransactionsError(
                "MongoDB has transactions only as a replica set, which may have one member"
            ) from None
        raise DatabaseUnavailableError(f"MongoDB does not group: {type(error).__name__}") from error
