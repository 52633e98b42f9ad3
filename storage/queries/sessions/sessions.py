"""Reading sessions: pages of a list, and the threads of one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorCursor
from pymongo import ASCENDING, DESCENDING

from storage.mongo.database import Database
from storage.mongo.documents.rows import PAGE_BYTES, Rows, as_sent
from storage.mongo.indexes import OF_SESSION, Keys
from storage.queries.filters.keys import Conditions
from storage.queries.filters.search_language import Search
from storage.queries.filters.words import InvalidSearchError, Validation
from storage.queries.paging import HIDDEN_FIELDS, Paging, visible
from storage.queries.sessions.session_list import OF_STATUS, SessionOrder, read_session_list

THREAD_INTERCEPTIONS = 100
"""How many interceptions of a thread are shown at most, the first ones."""

PAGE_INTERCEPTIONS = 1_000
"""A page of threads ends with the one that brings it to this many interceptions."""

_THREADS = Paging("thread", "started_at", ASCENDING)

# Where a session has the values that terms of a search name.
_SESSION_FIELDS = {
    "user": "initiator_id",
    "provider": "providers",
    "provider_name": "provider_names",
    "model": "models",
    "client": "client",
    "session_id": "session_ids",
}


class Thread(NamedTuple):
    """The documents of a thread, oldest first, in part if there are `more`; and when it was last active."""

    interceptions: Rows
    more: bool
    last_active_at: datetime


def session_filter(search: Search) -> dict[str, Any]:
    """Return the MongoDB filter of a search whose names have become ids; without `call_search`.

    Every value of the search in it is a string, a UUID or a time, so none can act as an operator.

    Raises:
        InvalidSearchError: It has a term that sessions do not have.
    """
    problems = []
    made = Conditions(search.during("started_at"))
    for term in search.terms:
        if term.key == "request_id":
            problems.append(Validation("request_id", 'Query param "request_id" cannot be used for sessions'))
        elif term.key != "status":
            if term.key in _SESSION_FIELDS:
                made.add_to(_SESSION_FIELDS[term.key], term)
        elif (status := search.only("status")) in OF_STATUS and not term.negated:
            made.fields |= OF_STATUS[status]
        else:
            detail = 'Query param "status" is completed or failed for sessions, which contain only ended calls'
            problems.append(Validation("status", detail))
    if problems:
        raise InvalidSearchError(problems)
    return made.filter


def call_search(search: Search) -> Search | None:
    """Return the conditions of a search for sessions on their calls: words, and keys that only calls have; None if none."""
    terms = tuple(term for term in search.terms if term.key not in {*_SESSION_FIELDS, "status"})
    if not terms and search.texts is None:
        return None
    users = tuple(term for term in search.terms if term.key == "user")
    return Search(started_after=search.started_after, terms=(*users, *terms), texts=search.texts)


class Sessions:
    """The sessions of a database, as `storage.derived.sessions.grouping` keeps them.

    Every method raises `DatabaseUnavailableError`, also after `QUERY_SECONDS`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sessions = database.sessions
        self._interceptions = database.interceptions

    async def page(
        self,
        conditions: Mapping[str, Any],
        *,
        visible_to: UUID | None,
        limit: int,
        after_id: UUID | None = None,
        offset: int = 0,
        order: SessionOrder = SessionOrder.STARTED,
    ) -> tuple[int, Rows]:
        """Read a page (see `storage.queries.paging`) of what a `session_filter` finds, and count all of it.

        A page that would have too many bytes is cut: there are fewer documents than `limit`, and more behind them.
        """
        async with self._database.query():
            return await read_session_list(
                self._sessions, conditions, visible(visible_to), order, after_id, limit=limit, offset=offset
            )

    async def find(self, id_: UUID, *, visible_to: UUID | None) -> dict[str, Any] | None:
        """Return the document of one session; None where there is none that `visible_to`, if not None, may see."""
        async with self._database.query():
            return await self._sessions.find_one({"_id": id_, **visible(visible_to)})

    async def threads(self, id_: UUID, *, limit: int, after_id: UUID | None = None) -> tuple[list[Thread], bool]:
        """Read threads of a session, oldest first, and say whether there are more behind them.

        There are fewer than `limit` when they have `PAGE_INTERCEPTIONS` or `PAGE_BYTES`. `after_id` is the first call
        of the thread behind which they begin.

        Raises:
            UnknownCursorError: No thread of the session begins with `after_id`.
        """
        first_of_session = {"session_id": id_, "root_id": None}
        async with self._database.query():
            conditions: list[dict[str, Any]] = [first_of_session]
            if after_id is not None:
                last = await _THREADS.locate(self._interceptions, after_id, first_of_session)
                conditions.append(_THREADS.behind(last))
            firsts = Rows(self._interceptions)
            await firsts.read(self._find({"$and": conditions}, OF_SESSION, limit + 1), limit)
            threads: list[Thread] = []
            listed = size = 0
            for raw, first in zip(firsts.raw, firsts, strict=True):
                thread = await self._thread(first, raw, PAGE_BYTES - size)
                threads.append(thread)
                listed += len(thread.interceptions)
                size += thread.interceptions.size
                if listed >= PAGE_INTERCEPTIONS or size >= PAGE_BYTES:
                    break
        return threads, firsts.is_cut or len(threads) < len(firsts)

    async def _thread(self, first: Mapping[str, Any], raw: bytes, max_bytes: int) -> Thread:
        others = {"session_id": first["session_id"], "root_id": first["_id"]}
        rows = Rows(self._interceptions, max_bytes)
        rows.add(raw)
        await rows.read(self._find(others, OF_SESSION, THREAD_INTERCEPTIONS), THREAD_INTERCEPTIONS)
        latest = Rows(self._interceptions)
        if rows.is_cut:
            await latest.read(self._find(others, OF_SESSION, 1, direction=DESCENDING), 1)
        ends = [document.get("ended_at") or document["started_at"] for document in chain(rows, latest)]
        return Thread(rows, rows.is_cut, max(ends))

    def _find(
        self, conditions: Mapping[str, Any], index: Keys, limit: int, *, direction: int = ASCENDING
    ) -> AsyncIOMotorCursor[RawBSONDocument]:
        order = [(name, direction * way) for name, way in _THREADS.order]
        return as_sent(self._interceptions).find(conditions, HIDDEN_FIELDS, sort=order, hint=index, limit=limit)
