"""The names of groups, cached in memory for metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from storage.mongo.clocks import Pause
from storage.mongo.database import Database, DatabaseUnavailableError

EVERY_SECONDS: Final = 60.0
"""How often names are read again."""

SEPARATOR: Final = ", "


class GroupNames:
    """The names of the groups of a database, removed ones too, as they were at most `EVERY_SECONDS` ago."""

    def __init__(self, database: Database, *, pause: Pause = asyncio.sleep) -> None:
        self._database = database
        self._pause = pause
        self._names: Mapping[UUID, str] = {}

    def together(self, ids: Iterable[UUID]) -> str:
        """The names of groups in order, as one text; the id where a name is not known yet."""
        return SEPARATOR.join(sorted([self._names.get(id_) or str(id_) for id_ in ids]))

    async def refresh(self) -> None:
        """Read all names; they stay as they are while the database is unavailable."""
        try:
            async with self._database.query():
                found = self._database.groups.find({}, {"name": True})
                self._names = {document["_id"]: document["name"] async for document in found}
        except DatabaseUnavailableError:
            return

    async def run(self) -> None:
        """Keep them up to date."""
        while True:
            await self.refresh()
            await self._pause(EVERY_SECONDS)
