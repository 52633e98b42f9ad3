"""Reading sessions: pages of their list, the threads of one, and all its calls in short.

Every function and method raises `DatabaseUnavailableError`, also after `QUERY_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from typing import Any, Final, NamedTuple
from uuid import UUID

from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorCursor
from pymongo import ASCENDING, DESCENDING

from intercept.records import Status
from storage.mongo import indexes
from storage.mongo.database import Database, command
from storage.mongo.documents.rows import PAGE_BYTES, Rows, as_sent
from storage.mongo.indexes import BY_ID, CLIENT_EVENTS, OF_SESSION, REFUSALS_BY_INITIATOR, SESSIONS_BY_INITIATOR, Keys
from storage.queries.filters.keys import Conditions
from storage.queries.filters.search_language import Search
from storage.queries.filters.selection import is_one_of
from storage.queries.filters.words import InvalidSearchError, SearchProblem
from storage.queries.paging import HIDDEN_FIELDS, Paging, Position, side_by_side, visible


class SessionOrder(StrEnum):
    """What a list of sessions is sorted by, the most of it first."""

    STARTED = "started"
    LAST_ACTIVE = "last_active"
    COST = "cost"
    LOST = "lost"
    FAILED = "failed"
    CALLS = "calls"


OF_STATUS: Mapping[Status, dict[str, Any]] = {
    Status.FAILED: {"failures": {"$gt": 0}},
    Status.COMPLETED: {"failures": 0},
}
"""A session has failed when a call of it has."""

_NUMBER: Final = "interceptions"

OF_SEVERAL: Mapping[str, Any] = {_NUMBER: {"$gt": 1}}
"""Finds sessions with more than one call, which alone are listed and are in the indexes."""

# True of every session. An index is bounded by it and all other conditions, not by its first key alone.
_EVER = {"started_at": {"$gte": datetime.min.replace(tzinfo=UTC), "$lte": datetime.max.replace(tzinfo=UTC)}}

# The index of the first field that is requested: the one that leaves the fewest documents to look at comes first.
_INDEX_OF = {
    "session_ids": indexes.SESSIONS_BY_NAME,
    "initiator_id": indexes.SESSIONS_BY_INITIATOR,
    "models": indexes.SESSIONS_BY_MODEL,
    "provider_names": indexes.SESSIONS_BY_PROVIDER_NAME,
    "client": indexes.SESSIONS_BY_CLIENT,
    "providers": indexes.SESSIONS_BY_PROVIDER,
}
_ORDERS: Mapping[SessionOrder, tuple[Paging, Keys | None]] = {
    SessionOrder.STARTED: (Paging("session", "started_at"), None),
    SessionOrder.LAST_ACTIVE: (Paging("session", "last_active_at"), indexes.SESSIONS_BY_ACTIVITY),
    SessionOrder.COST: (Paging("session", "cost"), indexes.SESSIONS_BY_COST),
    SessionOrder.LOST: (Paging("session", "lost"), indexes.SESSIONS_BY_LOSS),
    SessionOrder.FAILED: (Paging("session", "failures"), indexes.SESSIONS_BY_FAILURES),
    SessionOrder.CALLS: (Paging("session", _NUMBER), indexes.SESSIONS_BY_CALLS),
}
"""The order of the list, and its index where it has one of its own."""


def _index(conditions: Sequence[Mapping[str, Any]]) -> Keys:
    """Choose the index, which has all that lists are sorted by where many sessions may have the same of its first field.

    The database would choose by samples.
    """
    if any("_id" in condition for condition in conditions):
        return BY_ID
    fields = {field for condition in conditions for field, value in condition.items() if is_one_of(value)}
    single = [{field: value} for condition in conditions for field, value in condition.items()]
    if OF_STATUS[Status.FAILED] in single and fields.isdisjoint(_INDEX_OF):
        return indexes.SESSIONS_WITH_FAILURES
    return next((index for field, index in _INDEX_OF.items() if field in fields), indexes.SESSIONS_BY_TIME)


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


class SessionThread(NamedTuple):
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
            problems.append(SearchProblem("request_id", 'Query param "request_id" cannot be used for sessions'))
        elif term.key != "status":
            if term.key in _SESSION_FIELDS:
                made.add_to(_SESSION_FIELDS[term.key], term)
        elif (status := search.only("status")) in OF_STATUS and not term.negated:
            made.fields |= OF_STATUS[status]
        else:
            detail = 'Query param "status" is completed or failed for sessions, which contain only ended calls'
            problems.append(SearchProblem("status", detail))
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
        (paging, ordered), own = _ORDERS[order], visible(visible_to)
        every = [dict(conditions), own, _EVER, dict(OF_SEVERAL)]
        index = _index(every)
        async with self._database.query():
            after = [] if after_id is None else [paging.behind(await paging.locate(self._sessions, after_id, own))]
            found = as_sent(self._sessions).find(
                {"$and": [*every, *after]},
                sort=paging.order,
                hint=ordered if ordered and index == indexes.SESSIONS_BY_TIME else index,
                skip=offset,
                limit=limit,
            )
            # Not `count_documents`, an aggregation, which takes a quarter longer to count the entries of an index.
            count, rows = await side_by_side(
                command(self._sessions, "count", query={"$and": every}, hint=dict(index)),
                Rows(self._sessions).read(found, limit),
            )
            return int(count["n"]), rows

    async def find(self, id_: UUID, *, visible_to: UUID | None) -> dict[str, Any] | None:
        """Return the document of one session; None where there is none that `visible_to`, if not None, may see."""
        async with self._database.query():
            return await self._sessions.find_one({"_id": id_, **visible(visible_to)})

    async def threads(self, id_: UUID, *, limit: int, after_id: UUID | None = None) -> tuple[list[SessionThread], bool]:
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
            threads: list[SessionThread] = []
            listed = size = 0
            for raw, first in zip(firsts.raw, firsts, strict=True):
                thread = await self._thread(first, raw, PAGE_BYTES - size)
                threads.append(thread)
                listed += len(thread.interceptions)
                size += thread.interceptions.size
                if listed >= PAGE_INTERCEPTIONS or size >= PAGE_BYTES:
                    break
        return threads, firsts.is_cut or len(threads) < len(firsts)

    async def _thread(self, first: Mapping[str, Any], raw: bytes, max_bytes: int) -> SessionThread:
        others = {"session_id": first["session_id"], "root_id": first["_id"]}
        rows = Rows(self._interceptions, max_bytes)
        rows.add(raw)
        await rows.read(self._find(others, OF_SESSION, THREAD_INTERCEPTIONS), THREAD_INTERCEPTIONS)
        latest = Rows(self._interceptions)
        if rows.is_cut:
            await latest.read(self._find(others, OF_SESSION, 1, direction=DESCENDING), 1)
        ends = [document.get("ended_at") or document["started_at"] for document in chain(rows, latest)]
        return SessionThread(rows, rows.is_cut, max(ends))

    def _find(
        self, conditions: Mapping[str, Any], index: Keys, limit: int, *, direction: int = ASCENDING
    ) -> AsyncIOMotorCursor[RawBSONDocument]:
        order = [(name, direction * way) for name, way in _THREADS.order]
        return as_sent(self._interceptions).find(conditions, HIDDEN_FIELDS, sort=order, hint=index, limit=limit)


MAX_CALLS = 1_000
"""Calls of a session that are read, the first ones."""

MAX_REFUSALS = 100
"""Rows of refusals that are read beside them, the first ones."""

_SHORT = dict.fromkeys(
    (
        *("api_key_id", "started_at", "first_byte_at", "ended_at", "status", "end_reason", "model", "provider_name"),
        *("agent.id", "agent.parent_id", "agent.hints.agent_type", "attempt", "attempts", "retry_of", "cost.usd"),
        *("tool_usages.tool", "tool_usages.checksum", "tool_usages.result", "tool_usages.provider_tool_call_id"),
        "upstream_request_id",
    ),
    True,
)


MAX_EVENTS = 5_000
"""Events of its client that are read beside them, the first ones."""


class SessionCalls(NamedTuple):
    """The calls of a session in short, oldest first; and whether there are `more` behind them."""

    calls: list[dict[str, Any]]
    more: bool


class SessionEvents(NamedTuple):
    """What the client says of a session, oldest first; and whether there may be `more` behind that."""

    events: list[dict[str, Any]]
    more: bool


class Neighbours(NamedTuple):
    """The sessions of the same user that with several calls that started before and after one; None where there is none."""

    earlier_id: UUID | None
    later_id: UUID | None


async def session_calls(database: Database, id_: UUID) -> SessionCalls:
    """Read the calls of a session; the caller may see it."""
    async with database.query():
        firsts = await _find(database, {"session_id": id_, "root_id": None})
        roots = [call["_id"] for call in firsts]
        others = await _find(database, {"session_id": id_, "root_id": {"$in": roots}}) if roots else []
    calls = sorted([*firsts, *others], key=lambda call: (call["started_at"], call["_id"]))
    return SessionCalls(calls[:MAX_CALLS], len(calls) > MAX_CALLS)


async def refusals_beside(
    database: Database, initiator_id: UUID, api_key_ids: list[str], start: datetime, end: datetime
) -> list[dict[str, Any]]:
    """Read what was refused of a user's requests with some tokens, from a time until another, oldest first."""
    wanted = {
        "initiator_id": initiator_id,
        "at": {"$gte": start, "$lte": end},
        "api_key_id": {"$in": api_key_ids},
        "shadow": {"$ne": True},
    }
    async with database.query():
        cursor = database.refusals.find(wanted, sort=[("at", ASCENDING)], limit=MAX_REFUSALS)
        return await cursor.hint(list(REFUSALS_BY_INITIATOR)).to_list(MAX_REFUSALS)


async def client_events_of(database: Database, session: Mapping[str, Any]) -> SessionEvents:
    """Read what the client says of its calls and tools in a session."""
    wanted = {"initiator_id": session["initiator_id"], "session_id": session["client_session_id"]}
    async with database.query():
        cursor = database.client_events.find(wanted, sort=[("at", ASCENDING)], limit=MAX_EVENTS)
        events = await cursor.hint(list(CLIENT_EVENTS)).to_list(MAX_EVENTS)
    return SessionEvents(events, len(events) == MAX_EVENTS)


async def neighbours_of(database: Database, session: dict[str, Any]) -> Neighbours:
    """Find the sessions of the same user that started before and after one."""
    async with database.query():
        earlier = await _next(database, session, Paging("session", "started_at", DESCENDING))
        return Neighbours(earlier, await _next(database, session, Paging("session", "started_at", ASCENDING)))


async def _find(database: Database, conditions: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = database.interceptions.find(conditions, _SHORT, sort=[("started_at", ASCENDING), ("_id", ASCENDING)])
    return await cursor.hint(list(OF_SESSION)).limit(MAX_CALLS + 1).to_list(MAX_CALLS + 1)


async def _next(database: Database, session: dict[str, Any], paging: Paging) -> UUID | None:
    found = await database.sessions.find_one(
        {
            "initiator_id": session["initiator_id"],
            **paging.behind(Position(session["started_at"], session["_id"])),
            **OF_SEVERAL,
        },
        {"_id": True},
        sort=paging.order,
        hint=list(SESSIONS_BY_INITIATOR),
    )
    return None if found is None else found["_id"]
