"""Calls that ended, oldest first, with what limits count of them. MongoDB works the figures out of each document."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

import bson
from bson.decimal128 import Decimal128
from pymongo import ASCENDING

from intercept.catalog import has_unread_models
from intercept.records import CredentialKind
from limits.limit import MAX_AMOUNT
from limits.past_calls import PastCall, RequestedModel
from storage.mongo.codec import read_ms
from storage.mongo.database import Database
from storage.mongo.indexes import BY_ID
from storage.queries.filters.selection import ENDED, Selection
from storage.queries.paging import Paging, Position
from storage.queries.questions.sources import ID_BYTES

PAGE: Final = 10_000
"""About how many calls are read at once."""

MAX_FOUND_BY_ID: Final = 50_000
"""Most calls that are found by their ids; of more, all others are read beside them."""

_COUNTED: Final = ("input_tokens", "output_tokens", "cache_write_input_tokens")
_CACHE_READS: Final = "cache_read_input_tokens"
_MICRO: Final = Decimal128("1000000")
_HAS_ENDED: Final = {"status": {"$in": list(ENDED)}}

_REQUESTED: Final = {
    "provider": {"$ifNull": ["$requested_provider_name", "$provider_name"]},
    "model": {"$ifNull": ["$model", ""]},
    "route": {"$ifNull": ["$route", ""]},
    "billed": {"$ne": ["$billed", False]},
}

_OLDEST_FIRST: Final = Paging("interception", "started_at", ASCENDING)

Decided: TypeAlias = tuple[PastCall, RequestedModel | None]
"""A call, and what it requested if that is read."""


async def past_calls(
    database: Database,
    search_filter: Mapping[str, Any],
    start: datetime,
    end: datetime,
    *,
    visible_to: UUID | None,
    cache_reads: bool,
    names_models: bool = False,
    ids: bytes | None = None,
) -> AsyncGenerator[Sequence[Decided], None]:
    """Read the calls that started in [start, end) and ended.

    Args:
        database: Where they are.
        search_filter: See `storage.queries.filters.search_language.Search.filter`.
        start: From then on.
        end: Until before then.
        visible_to: The user whose calls alone may be seen; None sees all.
        cache_reads: Whether tokens read from a cache count.
        names_models: Whether each has what it requested, which takes several times as long.
        ids: One behind the other: only these calls are meant.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS` for a page.
    """
    found = Selection.of(search_filter, visible_to)
    if found is None or ids == b"":
        return
    found = found.within(start, end)
    wanted = None if ids is None else {ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)}
    if wanted is not None and len(wanted) <= MAX_FOUND_BY_ID:
        found = replace(found, values={**found.values, "_id": {"$in": [UUID(bytes=one) for one in wanted]}})
    figures = _figures((*_COUNTED, _CACHE_READS) if cache_reads else _COUNTED)
    make = _named if names_models else _unnamed
    async with aclosing(_read(database, found, figures | (_REQUESTED if names_models else {}))) as pages:
        async for page in pages:
            yield [make(row) for row in page if wanted is None or row[1] in wanted]


async def _read(
    database: Database, found: Selection, figures: Mapping[str, Any]
) -> AsyncGenerator[list[tuple[Any, ...]], None]:
    """Read the calls that have ended, page by page, with their figures in the order of `PastCall`."""
    index = BY_ID if "_id" in found.values else found.index
    behind: list[dict[str, Any]] = []
    while True:
        pipeline: list[dict[str, Any]] = [
            {"$match": {"$and": [found.filter, _HAS_ENDED, *behind]}},
            {"$sort": dict(_OLDEST_FIRST.order)},
            {"$limit": PAGE},
            {"$project": figures},
        ]
        async with database.query():
            cursor = database.interceptions.aggregate_raw_batches(pipeline, hint=dict(index), batchSize=PAGE)
            rows = _decoded(b"".join([batch async for batch in cursor]))
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        started, id_ = rows[-1][:2]
        behind = [_OLDEST_FIRST.behind(Position(read_ms(started), UUID(bytes=id_)))]


def _decoded(data: bytes) -> list[tuple[Any, ...]]:
    rows = map(list, map(dict.values, bson.decode_all(data)))
    return [(started, bytes(id_), bytes(user), *others) for started, id_, user, *others in rows]


def _unnamed(row: tuple[Any, ...]) -> Decided:
    return PastCall(*row), None


def _named(row: tuple[Any, ...]) -> Decided:
    provider, model, route, is_billed = row[-4:]
    return PastCall(*row[:-4]), RequestedModel(provider, model, has_unread_models(route), is_billed)


def _figures(counted: tuple[str, ...]) -> dict[str, Any]:
    """Have MongoDB work out the figures of a call, in the order of `PastCall`."""
    tokens = {"$add": [f"${name}" for name in counted]}
    # As a call is charged: rounded up.
    micro_dollars = {"$ceil": {"$multiply": [{"$ifNull": ["$cost.usd", 0]}, _MICRO]}}
    return {
        "_id": False,
        "started": {"$toLong": "$started_at"},
        "id": "$_id",
        "user": "$initiator_id",
        "ended": {"$toLong": "$ended_at"},
        "tokens": {"$toLong": {"$min": [tokens, MAX_AMOUNT]}},
        "micro_dollars": {"$toLong": {"$min": [micro_dollars, MAX_AMOUNT]}},
        "pays": {"$eq": ["$credential_kind", CredentialKind.BYOK.value]},
    }
