"""Reading sessions: pages of a list, and the threads of one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorCursor
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import AutoReconnect

from intercept.records import Status
from storage.mongo.database import Database
from storage.mongo.indexes import (
    OF_SESSION,
    OF_THREAD,
    SESSIONS_BY_ACTIVITY,
    SESSIONS_BY_CALLS,
    SESSIONS_BY_CLIENT,
    SESSIONS_BY_COST,
    SESSIONS_BY_FAILURES,
    SESSIONS_BY_INITIATOR,
    SESSIONS_BY_LOSS,
    SESSIONS_BY_MODEL,
    SESSIONS_BY_NAME,
    SESSIONS_BY_PROVIDER,
    SESSIONS_BY_PROVIDER_NAME,
    SESSIONS_BY_TIME,
    SESSIONS_OF_SEVERAL,
    SESSIONS_WITH_FAILURES,
    Keys,
)
from storage.mongo.rows import PAGE_BYTES, Rows, as_sent
from storage.queries.filters.interceptions import InvalidSearchError, Search, Validation
from storage.queries.filters.keys import Conditions
from storage.queries.filters.selection import is_one_of
from storage.queries.paging import NOT_SHOWN, Paging, visible

THREAD_INTERCEPTIONS = 100
"""How many interceptions of a thread are shown at most, the first ones."""

PAGE_INTERCEPTIONS = 1_000
"""A page of threads ends with the one that brings it to this many interceptions."""


class Order(StrEnum):
    """What a list of sessions is sorted by, the most of it first."""

    STARTED = "started"
    LAST_ACTIVE = "last_active"
    COST = "cost"
    LOST = "lost"
    FAILED = "failed"
    CALLS = "calls"


_PAGING = {
    Order.STARTED: Paging("session", "started_at"),
    Order.LAST_ACTIVE: Paging("session", "last_active_at"),
    Order.COST: Paging("session", "cost"),
    Order.LOST: Paging("session", "lost", may_lack=True),
    Order.FAILED: Paging("session", "failures"),
    Order.CALLS: Paging("session", "interceptions"),
}
_THREADS = Paging("thread", "started_at", ASCENDING)

# True of every session, and false of what `storage.aggregation.sessions.session_job` keeps for itself. An index is bounded by it and all else that
# is asked for, not by its first key alone.
_EVER = {"started_at": {"$gte": datetime.min.replace(tzinfo=UTC), "$lte": datetime.max.replace(tzinfo=UTC)}}

# The index of the first field that is asked for: the one that leaves the fewest documents to look at comes first.
_INDEX_OF = {
    "session_ids": SESSIONS_BY_NAME,
    "initiator_id": SESSIONS_BY_INITIATOR,
    "models": SESSIONS_BY_MODEL,
    "provider_names": SESSIONS_BY_PROVIDER_NAME,
    "client": SESSIONS_BY_CLIENT,
    "providers": SESSIONS_BY_PROVIDER,
}
# Of orders that have an index of their own, for lists of all sessions. The others sort those that their index finds.
_ORDERED = {
    Order.LAST_ACTIVE: SESSIONS_BY_ACTIVITY,
    Order.COST: SESSIONS_BY_COST,
    Order.LOST: SESSIONS_BY_LOSS,
    Order.FAILED: SESSIONS_BY_FAILURES,
    Order.CALLS: SESSIONS_BY_CALLS,
}
# Where a session has the values that terms of a search ask for.
_SESSION_FIELDS = {
    "initiator": "initiator_id",
    "provider": "providers",
    "provider_name": "provider_names",
    "model": "models",
    "client": "client",
    "session_id": "session_ids",
}
# A session has failed when a call of it has.
_OF_STATUS: dict[Status, dict[str, Any]] = {Status.FAILED: {"failures": {"$gt": 0}}, Status.COMPLETED: {"failures": 0}}


OF_SEVERAL: Mapping[str, Any] = {"interceptions": {"$gt": 1}}
"""Finds sessions with more than one call."""


class Thread(NamedTuple):
    """The documents of a thread, oldest first, in part if there are `more`; and when it was last active."""

    interceptions: Rows
    more: bool
    last_active_at: datetime


def session_filter(search: Search, *, initiator_id: UUID | None) -> dict[str, Any]:
    """Return the MongoDB filter of a search, for the initiator that `search.initiator` was found to be.

    Every value of the search in it is a string, a UUID or a time, so none can act as an operator.

    Raises:
        InvalidSearchError: It asks for something that sessions do not have.
    """
    problems = []
    if search.status is not None and search.status not in _OF_STATUS:
        detail = f'Query param "status" cannot be "{search.status}" for sessions: they contain only ended calls'
        problems.append(Validation("status", detail))
    if search.request_id is not None:
        problems.append(Validation("request_id", 'Query param "request_id" cannot be used for sessions'))
    for term in search.terms:
        if term.key not in _SESSION_FIELDS:
            detail = (
                f'Query param "{term.key}" cannot be used so for sessions: allowed are {", ".join(_SESSION_FIELDS)}'
            )
            problems.append(Validation(term.key, detail))
    if problems:
        raise InvalidSearchError(problems)
    wanted = {
        "initiator_id": initiator_id,
        "providers": search.provider,
        "provider_names": search.provider_name,
        "models": search.model,
        "client": search.client,
        "session_ids": search.session_id,
    }
    conditions: dict[str, Any] = {field: value for field, value in wanted.items() if value is not None}
    conditions |= _OF_STATUS.get(search.status, {}) if search.status else {}
    times = {"$gte": search.started_after, "$lte": search.started_before}
    if bounds := {operator: time for operator, time in times.items() if time is not None}:
        conditions["started_at"] = bounds
    made = Conditions(conditions)
    for term in search.terms:
        made.add_to(_SESSION_FIELDS[term.key], term)
    return made.filter


class Sessions:
    """The sessions of a database, as `storage.aggregation.sessions.session_job` keeps them."""

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
        order: Order = Order.STARTED,
    ) -> tuple[int, Rows]:
        """Read a page of the sessions that match, and count all that do.

        A page that would have too many bytes is cut: there are fewer documents than `limit`, and more behind them.

        Args:
            conditions: See `session_filter`.
            visible_to: The user whose sessions alone may be seen or counted; None sees all.
            limit: Most documents to return, at least 1.
            after_id: Start behind this session.
            offset: Leave out this many, at most 2^31 - 1.
            order: What they are sorted by. One that was last changed by an earlier version has lost nothing.

        Raises:
            UnknownCursorError: `after_id` is unknown, or not visible.
            DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS`.
        """
        paging = _PAGING[order]
        async with self._database.query():
            every = [dict(conditions), visible(visible_to), _EVER]
            after = []
            if after_id is not None:
                after = [paging.behind(await paging.locate(self._sessions, after_id, visible(visible_to)))]
            index = _index(every)
            counting = asyncio.create_task(self._count(every, index))  # noqa: TID251 - waited for below
            is_of_all = index in (SESSIONS_BY_TIME, SESSIONS_OF_SEVERAL)
            sorting = _ORDERED.get(order, index) if is_of_all else index
            listing = asyncio.create_task(  # noqa: TID251 - waited for below
                self._list([*every, *after], sorting, paging, limit=limit, offset=offset)
            )
            # Both are waited for: one that fails later, unseen, would complain in the log.
            await asyncio.gather(counting, listing, return_exceptions=True)
            return counting.result(), listing.result()

    async def find(self, id_: UUID, *, visible_to: UUID | None) -> dict[str, Any] | None:
        """Return the document of one session; None where there is none that `visible_to`, if not None, may see.

        Raises:
            DatabaseUnavailableError: The database is unavailable.
        """
        async with self._database.query():
            return await self._sessions.find_one({"_id": id_, **visible(visible_to)})

    async def threads(self, id_: UUID, *, limit: int, after_id: UUID | None = None) -> tuple[list[Thread], bool]:
        """Read threads of a session, oldest first, and say whether there are more behind them.

        Args:
            id_: The session; whoever asks may see it.
            limit: Most threads, at least 1. There are fewer when they have `PAGE_INTERCEPTIONS` or `PAGE_BYTES`.
            after_id: Start behind the thread that begins with this interception.

        Raises:
            UnknownCursorError: No thread of the session begins with `after_id`.
            DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS`.
        """
        first_of_session = {"session_id": id_, "root_id": None, "unlinked": None}
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
                thread = await self._thread(first["_id"], raw, PAGE_BYTES - size)
                threads.append(thread)
                listed += len(thread.interceptions)
                size += thread.interceptions.size
                if listed >= PAGE_INTERCEPTIONS or size >= PAGE_BYTES:
                    break
        return threads, firsts.is_cut or len(threads) < len(firsts)

    async def _thread(self, id_: UUID, first: bytes, max_bytes: int) -> Thread:
        others = {"root_id": id_}
        rows = Rows(self._interceptions, max_bytes)
        rows.add(first)
        await rows.read(self._find(others, OF_THREAD, THREAD_INTERCEPTIONS), THREAD_INTERCEPTIONS)
        latest = Rows(self._interceptions)
        if rows.is_cut:
            await latest.read(self._find(others, OF_THREAD, 1, direction=DESCENDING), 1)
        ends = [document.get("ended_at") or document["started_at"] for document in chain(rows, latest)]
        return Thread(rows, rows.is_cut, max(ends))

    def _find(
        self, conditions: Mapping[str, Any], index: Keys, limit: int, *, direction: int = ASCENDING
    ) -> AsyncIOMotorCursor[RawBSONDocument]:
        order = [(name, direction * way) for name, way in _THREADS.order]
        return as_sent(self._interceptions).find(conditions, NOT_SHOWN, sort=order, hint=index, limit=limit)

    async def _count(self, conditions: Sequence[Mapping[str, Any]], index: Keys) -> int:
        # Not `count_documents`, an aggregation, which takes a quarter longer to count the entries of an index.
        send = partial(
            self._sessions.database.command,
            "count",
            self._sessions.name,
            query={"$and": list(conditions)},
            hint=dict(index),
            codec_options=self._sessions.codec_options,
        )
        try:
            found = await send()
        except AutoReconnect:  # the driver asks again by itself, but for a command
            found = await send()
        counted: int = found["n"]
        return counted

    async def _list(
        self, conditions: Sequence[Mapping[str, Any]], index: Keys, paging: Paging, *, limit: int, offset: int
    ) -> Rows:
        cursor = as_sent(self._sessions).find(
            {"$and": list(conditions)},
            sort=paging.order,
            hint=index,
            skip=offset,
            limit=limit,
        )
        return await Rows(self._sessions).read(cursor, limit)


def _index(conditions: Sequence[Mapping[str, Any]]) -> Keys:
    """Choose the index; the database would choose by samples, and now and then the one that makes it sort."""
    fields = {field for condition in conditions for field, value in condition.items() if is_one_of(value)}
    single = _single_conditions(conditions)
    otherwise = (
        SESSIONS_WITH_FAILURES
        if _OF_STATUS[Status.FAILED] in single
        else SESSIONS_OF_SEVERAL
        if OF_SEVERAL in single
        else SESSIONS_BY_TIME
    )
    return next((index for field, index in _INDEX_OF.items() if field in fields), otherwise)


def _single_conditions(conditions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{field: value} for condition in conditions for field, value in condition.items()]
