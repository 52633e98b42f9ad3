"""Pages of the list of sessions: which index they are read by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from intercept.records import Status
from storage.mongo import indexes
from storage.mongo.database import Collection, command
from storage.mongo.documents.rows import Rows, as_sent
from storage.mongo.indexes import BY_ID, Keys
from storage.queries.filters.selection import is_one_of
from storage.queries.paging import Paging
from storage.queries.side_by_side import side_by_side

LOOKED_AT: Final = 3_000
"""How many sessions with the most of all are looked at for those of a search, before all that it finds are sorted."""

DEARER: Final = 12
"""How many times longer it takes to look at a session than to sort an entry of an index."""


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
    SessionOrder.LOST: (Paging("session", "lost", may_lack=True), indexes.SESSIONS_BY_LOSS),
    SessionOrder.FAILED: (Paging("session", "failures"), indexes.SESSIONS_BY_FAILURES),
    SessionOrder.CALLS: (Paging("session", _NUMBER), indexes.SESSIONS_BY_CALLS),
}
"""The order of the list, and its index where it has one of its own."""


class _Page(NamedTuple):
    """Which sessions are read: those that match `every`, behind those that `after` leaves out, in the order of `paging`."""

    every: Sequence[Mapping[str, Any]]
    after: Sequence[Mapping[str, Any]]
    paging: Paging
    limit: int
    offset: int


async def read_session_list(
    sessions: Collection,
    conditions: Mapping[str, Any],
    own: Mapping[str, Any],
    order: SessionOrder,
    after_id: UUID | None,
    *,
    limit: int,
    offset: int,
) -> tuple[int, Rows]:
    """Count what matches, and read a page (see `storage.queries.paging`); `own` is true of what may be seen.

    Whatever the driver raises passes.
    """
    paging, ordered = _ORDERS[order]
    every = [dict(conditions), dict(own), _EVER, dict(OF_SEVERAL)]
    after = [] if after_id is None else [paging.behind(await paging.locate(sessions, after_id, own))]
    page = _Page(every, after, paging, limit, offset)
    index = _index(every)
    if ordered is not None and index != indexes.SESSIONS_BY_TIME:
        count = await _count(sessions, every, index)
        # About how many sessions come first of all until so many of the search are among them.
        looked_at = (offset + limit) * await sessions.estimated_document_count() // max(count, 1)
        found = await _among_first(sessions, page, ordered) if looked_at <= min(LOOKED_AT, count // DEARER) else None
        return count, await _rows(sessions, page, index) if found is None else found
    count, rows = await side_by_side(_count(sessions, every, index), _rows(sessions, page, ordered or index))
    return count, rows


async def _rows(sessions: Collection, page: _Page, index: Keys) -> Rows:
    conditions = {"$and": [*page.every, *page.after]}
    order, limit = page.paging.order, page.limit
    cursor = as_sent(sessions).find(conditions, sort=order, hint=index, skip=page.offset, limit=limit)
    return await Rows(sessions).read(cursor, limit)


async def _among_first(sessions: Collection, page: _Page, ordered: Keys) -> Rows | None:
    """Look for a page among those that come first of all sessions; None where these are not enough."""
    pipeline: list[dict[str, Any]] = [
        {"$match": {"$and": [_EVER, dict(OF_SEVERAL), *page.after]}},
        {"$sort": dict(page.paging.order)},
        {"$limit": LOOKED_AT},
        {"$match": {"$and": list(page.every)}},
        *([{"$skip": page.offset}] if page.offset else []),
        {"$limit": page.limit},
    ]
    rows = await Rows(sessions).read(as_sent(sessions).aggregate(pipeline, hint=dict(ordered)), page.limit)
    return rows if rows.is_cut or len(rows) == page.limit else None


async def _count(sessions: Collection, conditions: Sequence[Mapping[str, Any]], index: Keys) -> int:
    # Not `count_documents`, an aggregation, which takes a quarter longer to count the entries of an index.
    found = await command(sessions, "count", query={"$and": list(conditions)}, hint=dict(index))
    return int(found["n"])


def _index(conditions: Sequence[Mapping[str, Any]]) -> Keys:
    """Choose the index; the database would choose by samples, and now and then the one that makes it sort."""
    if any("_id" in condition for condition in conditions):
        return BY_ID
    fields = {field for condition in conditions for field, value in condition.items() if is_one_of(value)}
    single = [{field: value} for condition in conditions for field, value in condition.items()]
    if OF_STATUS[Status.FAILED] in single and fields.isdisjoint(_INDEX_OF):
        return indexes.SESSIONS_WITH_FAILURES
    return next((index for field, index in _INDEX_OF.items() if field in fields), indexes.SESSIONS_BY_TIME)
