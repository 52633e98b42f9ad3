"""Calls that ended, oldest first, with what limits count of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING
from typing import Any, Final
from uuid import UUID

from pymongo import ASCENDING

from intercept.records import CredentialKind
from limits.charges import MAX_AMOUNT
from limits.limit import Amounts
from limits.past_calls import PastCall
from storage.mongo.codec import read_decimal
from storage.mongo.database import Database
from storage.queries.filters.selection import ENDED, Selection
from storage.queries.paging import Paging, Position

PAGE: Final = 1000
"""Most documents of a page."""

_OLDEST_FIRST = Paging("interception", "started_at", ASCENDING)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COUNTED = ("input_tokens", "output_tokens", "cache_write_input_tokens")
_CACHE_READS = "cache_read_input_tokens"
_NEEDED = {
    "started_at": True,
    "ended_at": True,
    "initiator_id": True,
    "credential_kind": True,
    "cost.usd": True,
    **{f"token_usages.{name}": True for name in (*_COUNTED, _CACHE_READS)},
}


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
        counted = (*_COUNTED, _CACHE_READS) if cache_reads else _COUNTED
        last: Position | None = None
        while selection is not None:
            page = await self._page(selection.within(start, end), last)
            if not page:
                return
            yield [_past_call(document, counted) for document in page]
            last = Position(page[-1]["started_at"], page[-1]["_id"])

    async def _page(self, selection: Selection, last: Position | None) -> list[dict[str, Any]]:
        after = [] if last is None else [_OLDEST_FIRST.behind(last)]
        ended = {} if selection.statuses is not None else {"status": {"$in": list(ENDED)}}
        async with self._database.query():
            cursor = self._collection.find(
                {"$and": [selection.filter, ended, *after]},
                _NEEDED,
                sort=_OLDEST_FIRST.order,
                hint=selection.index,
                limit=-PAGE,
                batch_size=PAGE,
            )
            return await cursor.to_list(PAGE)


def _past_call(document: Mapping[str, Any], counted: tuple[str, ...]) -> PastCall:
    started_ns = _ns(document["started_at"])
    usages = document.get("token_usages", ())
    tokens = sum(int(usage.get(name) or 0) for usage in usages for name in counted)
    usd = (document.get("cost") or {}).get("usd")
    # As a call is charged: rounded up.
    micro_dollars = 0 if usd is None else int((read_decimal(usd) * 1_000_000).to_integral_value(ROUND_CEILING))
    return PastCall(
        document["_id"],
        started_ns,
        max(started_ns, _ns(document["ended_at"])),
        document["initiator_id"],
        Amounts(min(tokens, MAX_AMOUNT), min(micro_dollars, MAX_AMOUNT)),
        document.get("credential_kind") == CredentialKind.BYOK,
    )


def _ns(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1) * 1_000_000
