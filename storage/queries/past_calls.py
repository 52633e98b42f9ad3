"""Calls that ended, oldest first, with what limits count of them.

All calls of a range are read from an index that has nothing else in it. Of those that match a search, those whose models
are requested, and those without `charged` (an end that is presumed), MongoDB works the figures out
of each document.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import bson
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo import ASCENDING

from intercept.catalog import has_unread_models
from intercept.records import CredentialKind
from limits.charges import MAX_AMOUNT
from limits.what_if.past_calls import PastCall, RequestedModel
from storage.mongo.codec import EPOCH, read_ms
from storage.mongo.database import Database
from storage.mongo.documents.row_layout import BINARY, FLAG, ID, LONG, REPLY, SAMPLE_ID, RowLayout
from storage.mongo.indexes import BY_ID, CHARGED, UNCHARGED, Keys
from storage.queries.filters.selection import ENDED, Selection
from storage.queries.paging import Paging, Position
from storage.recording.charged import FORMAT

T = TypeVar("T")

PAGE: Final = 10_000
"""About how many calls are read at once."""

_COUNTED: Final = ("input_tokens", "output_tokens", "cache_write_input_tokens")
_CACHE_READS: Final = "cache_read_input_tokens"
_MICRO: Final = Decimal128("1000000")
_HAS_ENDED: Final = {"status": {"$in": list(ENDED)}}
_IS_CHARGED: Final = {"charged": {"$gte": b""}}
_IS_UNCHARGED: Final = {"charged": None, "ended_at": {"$exists": True}}
_PROJECTED: Final = {"started_at": True, "_id": True, "initiator_id": True, "charged": True}
_PACKED: Final = {"started_at": LONG, "_id": ID, "initiator_id": ID, "charged": BINARY + FORMAT}
_PACKED_SAMPLE: Final = {"started_at": EPOCH, "_id": SAMPLE_ID, "initiator_id": SAMPLE_ID, "charged": b"\0" * 33}
_FIGURES: Final = {
    "started": LONG,
    "id": ID,
    "user": ID,
    "ended": LONG,
    "tokens": LONG,
    "micro_dollars": LONG,
    "pays": FLAG,
}
_FIGURES_SAMPLE: Final = {
    **dict.fromkeys(_FIGURES, Int64()),
    **dict.fromkeys(("id", "user"), SAMPLE_ID),
    "pays": False,
}

_REQUESTED: Final = {
    "provider": {"$ifNull": ["$requested_provider_name", "$provider_name"]},
    "model": {"$ifNull": ["$model", ""]},
    "route": {"$ifNull": ["$route", ""]},
    "billed": {"$ne": ["$billed", False]},
}

_Calls = Sequence[PastCall]
_Named = Sequence[tuple[PastCall, RequestedModel]]
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
        self._cache_reads = cache_reads
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
        if found.values or found.statuses not in (None, ENDED):
            pages = self._of_documents(found, _HAS_ENDED, _index_of(found), self._figures, _DOCUMENTS.rows)
        else:
            uncharged = self._of_documents(found, _IS_UNCHARGED, UNCHARGED, self._figures, _DOCUMENTS.rows)
            pages = merged(self._of_index(found), uncharged)
        async with aclosing(ahead(pages)) as read:
            async for page in read:
                yield page if ids is None else [call for call in page if call[1] in ids]

    async def named_pages(
        self, start: datetime, end: datetime, ids: AbstractSet[bytes] | None = None
    ) -> AsyncGenerator[_Named, None]:
        """The same, each call with what it requested, which takes several times as long."""
        found = self._within(start, end, ids)
        if found is None:
            return
        pages = self._of_documents(found, _HAS_ENDED, _index_of(found), {**self._figures, **_REQUESTED}, _decoded)
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

    async def _of_index(self, found: Selection) -> AsyncGenerator[_Calls, None]:
        """Those that have `charged`: all that started in the same millisecond in one page."""
        layout = _layout_of_index(cache_reads=self._cache_reads)
        at, limit = found.start, PAGE
        while True:
            find = {
                "find": self._collection.name,
                "filter": {"started_at": {"$gte": at, "$lt": found.end}, **_IS_CHARGED},
                "projection": _PROJECTED,
                "sort": dict(CHARGED[:2]),
                "hint": dict(CHARGED),
                "limit": limit,
                "batchSize": limit,
            }
            async with self._database.query():
                reply = await self._collection.database.command(find, codec_options=REPLY)
            calls = cast("list[PastCall]", layout.rows_of(reply))
            if len(calls) < limit:
                if calls:
                    yield calls
                return
            # Of the last millisecond there may be more.
            last = calls[-1][0]
            whole = bisect_left(calls, (last,))
            if whole:
                yield calls[:whole]
                at, limit = read_ms(last), PAGE
            else:
                limit *= 2

    async def _of_documents(
        self,
        found: Selection,
        condition: Mapping[str, Any],
        index: Keys,
        figures: Mapping[str, Any],
        rows_of: Callable[[bytes], list[tuple[Any, ...]]],
    ) -> AsyncGenerator[Sequence[Any], None]:
        """Those that match, as MongoDB works their figures out; `rows_of` reads these."""
        behind: list[dict[str, Any]] = []
        while True:
            pipeline: list[dict[str, Any]] = [
                {"$match": {"$and": [found.filter, condition, *behind]}},
                {"$sort": dict(_OLDEST_FIRST.order)},
                {"$limit": PAGE},
                {"$project": figures},
            ]
            async with self._database.query():
                cursor = self._collection.aggregate_raw_batches(pipeline, hint=dict(index), batchSize=PAGE)
                rows = rows_of(b"".join([batch async for batch in cursor]))
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


async def merged(
    one: AsyncGenerator[_Calls, None], other: AsyncGenerator[_Calls, None]
) -> AsyncGenerator[_Calls, None]:
    """Give what two have, each oldest first, oldest first."""
    async with aclosing(one), aclosing(other):
        left, right = await anext(one, None), await anext(other, None)
        while left and right:
            until = min(left[-1], right[-1])
            ends = bisect_right(left, until), bisect_right(right, until)
            yield sorted([*left[: ends[0]], *right[: ends[1]]])
            left = left[ends[0] :] or await anext(one, None)
            right = right[ends[1] :] or await anext(other, None)
        rest = other if right else one
        page = left or right
        while page:
            yield page
            page = await anext(rest, None)


def _index_of(found: Selection) -> Keys:
    return BY_ID if "_id" in found.values else found.index


def _decoded(data: bytes) -> list[tuple[Any, ...]]:
    rows = map(list, map(dict.values, bson.decode_all(data)))
    return [(started, bytes(id_), bytes(user), *others) for started, id_, user, *others in rows]


def _named(row: tuple[Any, ...]) -> tuple[PastCall, RequestedModel]:
    """A call and what it requested."""
    provider, model, route, is_billed = row[-4:]
    return PastCall(*row[:-4]), RequestedModel(provider, model, has_unread_models(route), is_billed)


def _layout_of_index(*, cache_reads: bool) -> RowLayout:
    # Of the two numbers of tokens the one that counts.
    taken = "q8xqq?" if cache_reads else "qq8xq?"
    return RowLayout(_PACKED_SAMPLE, _PACKED, {"charged": BINARY + taken})


_DOCUMENTS: Final = RowLayout(_FIGURES_SAMPLE, _FIGURES)


def _figures(counted: tuple[str, ...]) -> dict[str, Any]:
    """Have MongoDB work out the figures of a call, in the order of `PastCall`."""
    tokens = {"$add": [{"$sum": f"$token_usages.{name}"} for name in counted]}
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
