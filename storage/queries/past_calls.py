"""Calls that ended, oldest first, with what limits count of them. MongoDB works the figures out of each document."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import bson
from bson.decimal128 import Decimal128
from pymongo import ASCENDING

from intercept.catalog import has_unread_models
from intercept.records import CredentialKind
from limits.charges import MAX_AMOUNT
from limits.what_if.past_calls import PastCall, RequestedModel
from storage.mongo.codec import read_ms
from storage.mongo.database import Database
from storage.mongo.indexes import BY_ID
from storage.queries.filters.selection import ENDED, Selection
from storage.queries.paging import Paging, Position

T = TypeVar("T")

PAGE: Final = 10_000
"""About how many calls are read at once."""

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

_Calls = Sequence[PastCall]
_Named = Sequence[tuple[PastCall, RequestedModel]]
_Rows = list[tuple[Any, ...]]
_OLDEST_FIRST: Final = Paging("interception", "started_at", ASCENDING)


class PastCalls:
    """The calls of a range that ended.

    Args:
        search_filter: See `storage.queries.filters.search_language.Search.filter`.
        visible_to: The user whose calls alone may be seen; None sees all.
        cache_reads: Whether tokens read from a cache count.
    """

    def __init__(
        self, database: Database, search_filter: Mapping[str, Any], *, visible_to: UUID | None, cache_reads: bool
    ) -> None:
        self._database = database
        self._collection = database.interceptions
        self._selection = Selection.of(search_filter, visible_to)
        self._figures = _figures((*_COUNTED, _CACHE_READS) if cache_reads else _COUNTED)

    async def pages(
        self, start: datetime, end: datetime, ids: AbstractSet[bytes] | None = None
    ) -> AsyncGenerator[_Calls, None]:
        """Read those that started in [start, end). While the caller has a page, the next one is read.

        With `ids`, of 16 bytes each, only these calls are meant.

        Raises:
            DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS` for a page.
        """
        found = self._within(start, end, ids)
        if found is None:
            return
        pages = self._read(found, self._figures)
        async with aclosing(ahead(pages)) as read:
            async for page in read:
                yield [PastCall(*row) for row in page if ids is None or row[1] in ids]

    async def named_pages(
        self, start: datetime, end: datetime, ids: AbstractSet[bytes] | None = None
    ) -> AsyncGenerator[_Named, None]:
        """Read the calls page by page, each with what it requested, which takes several times as long."""
        found = self._within(start, end, ids)
        if found is None:
            return
        pages = self._read(found, {**self._figures, **_REQUESTED})
        async with aclosing(ahead(pages)) as read:
            async for page in read:
                yield [_named(row) for row in page if ids is None or row[1] in ids]

    def _within(self, start: datetime, end: datetime, ids: AbstractSet[bytes] | None) -> Selection | None:
        """What is read; a few calls are found by their ids."""
        if self._selection is None or (ids is not None and not ids):
            return None
        found = self._selection.within(start, end)
        if ids is None or len(ids) > PAGE:
            return found
        return replace(found, values={**found.values, "_id": {"$in": [UUID(bytes=one) for one in ids]}})

    async def _read(self, found: Selection, figures: Mapping[str, Any]) -> AsyncGenerator[_Rows, None]:
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
            async with self._database.query():
                cursor = self._collection.aggregate_raw_batches(pipeline, hint=dict(index), batchSize=PAGE)
                rows = _decoded(b"".join([batch async for batch in cursor]))
            if rows:
                yield rows
            if len(rows) < PAGE:
                return
            started, id_ = rows[-1][:2]
            behind = [_OLDEST_FIRST.behind(Position(read_ms(started), UUID(bytes=id_)))]


async def ahead(pages: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Give the same, and read one ahead meanwhile."""
    async with aclosing(pages):
        reading = asyncio.ensure_future(anext(pages, None))  # noqa: TID251 - it is awaited here
        try:
            while (page := await reading) is not None:
                reading = asyncio.ensure_future(anext(pages, None))  # noqa: TID251 - it is awaited here
                yield page
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def _decoded(data: bytes) -> _Rows:
    rows = map(list, map(dict.values, bson.decode_all(data)))
    return [(started, bytes(id_), bytes(user), *others) for started, id_, user, *others in rows]


def _named(row: tuple[Any, ...]) -> tuple[PastCall, RequestedModel]:
    """A call and what it requested."""
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
