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


async def read_refusals(
    database: Database,
    conditions: Mapping[str, Any],
    *,
    visible_to: UUID | None,
    limit: int,
    after_id: UUID | None = None,
    offset: int = 0,
) -> tuple[int, list[dict[str, Any]]]:
    """Read a page (see `storage.queries.paging`) of the rows that match, newest first, and count all that do.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS`.
    """
    rows, own = database.refusals, visible(visible_to)
    matching: list[Mapping[str, Any]] = [conditions, own]
    index = REFUSALS_BY_INITIATOR if own or "initiator_id" in conditions else REFUSALS_BY_TIME
    if "request_ids" in conditions:
        index = REFUSALS_BY_REQUEST
    async with database.query():
        after = [] if after_id is None else [_ROWS.behind(await _ROWS.locate(rows, after_id, own))]
        count = await rows.count_documents({"$and": matching}, hint=list(index))
        found = rows.find({"$and": [*matching, *after]}, sort=_ROWS.order, hint=list(index), skip=offset, limit=limit)
        return count, await found.to_list(limit)
