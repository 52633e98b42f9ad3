"""Reading the audit trail, page by page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from storage.mongo.database import Database
from storage.mongo.indexes import AUDIT_BY_TIME
from storage.queries.paging import Paging

ANSWER_SECONDS = 2.0
"""How long the database may take for a page."""

_ENTRIES = Paging("entry", "at")


class Audit:
    """The audit trail of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries = database.audit

    async def page(self, *, limit: int, after_id: UUID | None = None) -> list[dict[str, Any]]:
        """List the documents of entries, newest first.

        Args:
            limit: How many at most.
            after_id: Begin behind this entry.

        Raises:
            UnknownCursorError: There is no entry `after_id`.
            DatabaseUnavailableError: The database is unavailable.
        """
        async with self._database.within(ANSWER_SECONDS):
            after = {}
            if after_id is not None:
                after = _ENTRIES.behind(await _ENTRIES.locate(self._entries, after_id, {}))
            cursor = self._entries.find(after).sort(AUDIT_BY_TIME).hint(AUDIT_BY_TIME).limit(limit)
            return [document async for document in cursor]
