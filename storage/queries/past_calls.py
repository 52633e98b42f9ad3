"""Calls that ended, oldest first, with what limits count of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bson.decimal128 import Decimal128
from pymongo import ASCENDING

from intercept.records import CredentialKind
from limits.charges import MAX_AMOUNT
from limits.limit import Amounts
from limits.past_calls import PastCall
from storage.mongo.database import Database
from storage.queries.filters.selection import ENDED, Selection
from storage.queries.paging import Paging, Position

PAGE: Final = 1000
"""Most documents of a page."""

_OLDEST_FIRST = Paging("interception", "started_at", ASCENDING)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COUNTED = ("input_tokens", "output_tokens", "cache_write_input_tokens")
_CACHE_READS = "cache_read_input_tokens"
_MILLISECOND_NS = 1_000_000
_MICRO = Decimal128("1000000")


class PastCalls:
    """The calls of a database that ended."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection = database.interceptions

    async def pages(
        self,
        search_filter: Mapping[str, Any],
        *,
        start: datetime,
        end: datetime,
        visible_to: UUID | None,
        cache_reads: bool,
    ) -> AsyncGenerator[list[PastCall], None]:
        """Read those that match and started in [start, end), a page whenever the caller is ready for one.

        Args:
            search_filter: See `storage.queries.filters.interceptions.Search.filter`.
            start: The begin of the range.
            end: Its end.
            visible_to: The user whose calls alone may be seen; None sees all.
            cache_reads: Whether tokens read from a cache count.

        Raises:
            DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS` for a page.
        """
        selection = Selection.of(search_filter, visible_to)
        figures = _figures((*_COUNTED, _CACHE_READS) if cache_reads else _COUNTED)
        last: Position | None = None
        while selection is not None:
            page = await self._page(selection.within(start, end), last, figures)
            if not page:
                return
            calls = [_past_call(document) for document in page]
            yield calls
            last = Position(_EPOCH + timedelta(milliseconds=page[-1]["started"]), calls[-1].id)

    async def _page(
        self, selection: Selection, last: Position | None, figures: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        after = [] if last is None else [_OLDEST_FIRST.behind(last)]
        ended = {} if selection.statuses is not None else {"status": {"$in": list(ENDED)}}
        async with self._database.query():
            pipeline: list[dict[str, Any]] = [
                {"$match": {"$and": [selection.filter, ended, *after]}},
                {"$sort": dict(_OLDEST_FIRST.order)},
                {"$limit": PAGE},
                {"$project": figures},
            ]
            cursor = self._collection.aggregate(pipeline, hint=dict(selection.index), batchSize=PAGE)
            return await cursor.to_list(PAGE)


def _figures(counted: tuple[str, ...]) -> dict[str, Any]:
    """Have MongoDB work out the figures of a call: to read all of it here takes twice as long, see docs/performance.md."""
    tokens = {"$add": [{"$sum": f"$token_usages.{name}"} for name in counted]}
    # As a call is charged: rounded up.
    micro_dollars = {"$ceil": {"$multiply": [{"$ifNull": ["$cost.usd", 0]}, _MICRO]}}
    return {
        "started": {"$toLong": "$started_at"},
        "ended": {"$toLong": "$ended_at"},
        "user": "$initiator_id",
        "tokens": {"$toLong": {"$min": [tokens, MAX_AMOUNT]}},
        "micro_dollars": {"$toLong": {"$min": [micro_dollars, MAX_AMOUNT]}},
        "pays": {"$eq": ["$credential_kind", CredentialKind.BYOK.value]},
    }


def _past_call(document: Mapping[str, Any]) -> PastCall:
    started, ended = document["started"], document["ended"]
    return PastCall(
        document["_id"],
        started * _MILLISECOND_NS,
        max(started, ended) * _MILLISECOND_NS,
        document["user"],
        Amounts(document["tokens"], document["micro_dollars"]),
        document["pays"],
    )
