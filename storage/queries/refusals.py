"""Reading what the bridge refused: pages of rows, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from storage.mongo.database import Database
from storage.mongo.indexes import (
    REFUSALS_BY_INITIATOR,
    REFUSALS_BY_REQUEST,
    REFUSALS_BY_TIME,
)
from storage.queries.paging import Paging, visible

_ROWS = Paging("refusal", "at")


class Refusals:
    """The refusals of a database. Every method raises `DatabaseUnavailableError`, also after `QUERY_SECONDS`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows = database.refusals
        self._totals = database.refusal_totals

    async def page(
        self,
        conditions: Mapping[str, Any],
        *,
        visible_to: UUID | None,
        limit: int,
        after_id: UUID | None = None,
        offset: int = 0,
    ) -> tuple[int, list[dict[str, Any]]]:
        """Read a page (see `storage.queries.paging`) of the rows that match, newest first, and count all that do."""
        own = visible(visible_to)
        matching: list[Mapping[str, Any]] = [conditions, own]
        index = REFUSALS_BY_INITIATOR if own or "initiator_id" in conditions else REFUSALS_BY_TIME
        if "request_ids" in conditions:
            index = REFUSALS_BY_REQUEST
        async with self._database.query():
            after = []
            if after_id is not None:
                after = [_ROWS.behind(await _ROWS.locate(self._rows, after_id, own))]
            count = await self._rows.count_documents({"$and": matching}, hint=list(index))
            found = (
                self._rows.find({"$and": [*matching, *after]})
                .sort(_ROWS.order)
                .hint(list(index))
                .skip(offset)
                .limit(limit)
            )
            return count, await found.to_list(limit)
