"""The names of groups, cached in memory for metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from storage.mongo.clocks import Now
from storage.mongo.database import Database
from storage.mongo.followed import Followed

EVERY_SECONDS: Final = 60.0
"""How often names are read again."""

SEPARATOR: Final = ", "


def follow_group_names(database: Database, *, now: Now) -> Followed[Mapping[UUID, str]]:
    """Follow the names of the groups of a database, removed ones too."""

    async def read() -> Mapping[UUID, str]:
        async with database.query():
            return {one["_id"]: one["name"] async for one in database.groups.find({}, {"name": True})}

    return Followed(read, now=now, seconds=EVERY_SECONDS)


def names_together(names: Mapping[UUID, str] | None, ids: Iterable[UUID]) -> str:
    """The names of groups in order, as one text; the id where a name is not known yet."""
    return SEPARATOR.join(sorted([(names or {}).get(id_) or str(id_) for id_ in ids]))
