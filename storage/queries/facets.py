"""The names that occur: of models, clients and providers, for who chooses one."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from uuid import UUID

from storage.aggregation.rollup import Breakdown, Bucket
from storage.aggregation.tally import UNCOUNTED_ONES
from storage.mongo.database import Collection, Database, Session
from storage.mongo.indexes import BY_INITIATOR, BY_TIME, NAMES, ROLLUPS_BY_INITIATOR, UNCOUNTED, Keys
from storage.queries.selection import ENDED
from storage.queries.time_ranges import EARLIEST

MAX_NAMES = 10_000
"""Most names that are told, in order."""

MAX_UNCOUNTED = 10_000
"""How many calls are looked at that are not counted yet."""


class Facet(StrEnum):
    """What has a name: its value is a field of an interception and of a rollup."""

    MODEL = "model"
    CLIENT = "client"
    PROVIDER = "provider_name"

    @property
    def breakdown(self) -> Breakdown:
        """The breakdown of rollups that have this in common and nothing else."""
        return Breakdown[self.name]


class Facets:
    """The names in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rollups = database.rollups
        self._interceptions = database.interceptions

    async def find(self, named: Facet, prefix: str, *, visible_to: UUID | None) -> list[str]:
        """Return the names that begin like that of calls that have ended, each once, sorted, at most `MAX_NAMES`.

        Args:
            named: Whose names.
            prefix: Taken as it is written; empty for all.
            visible_to: The user whose calls alone may be seen; None sees all.

        Raises:
            DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS`.
        """
        asked: dict[str, Any] = {named.value: _beginning_with(prefix)}
        if visible_to is not None:
            asked["initiator_id"] = visible_to
        async with self._database.query(), self._database.snapshot() as session:
            if session is None:
                return await self._recorded(named, asked)
            counted = await self._counted(named, asked, session)
            uncounted = await self._uncounted(named, asked, session)
        return sorted({*counted, *uncounted})[:MAX_NAMES]

    async def _counted(self, named: Facet, asked: dict[str, Any], session: Session) -> list[str]:
        if "initiator_id" in asked:
            breakdown, index = Breakdown.USER_COMBINATION, ROLLUPS_BY_INITIATOR
        else:
            breakdown, index = named.breakdown, NAMES[named.breakdown]
        rollups = {"level": breakdown, "bucket": Bucket.DAY, **asked}
        return await _distinct(self._rollups, [{"$match": rollups}], named, index, session)

    async def _uncounted(self, named: Facet, asked: dict[str, Any], session: Session) -> list[str]:
        waiting: list[dict[str, Any]] = [{"$match": UNCOUNTED_ONES}, {"$limit": MAX_UNCOUNTED}, {"$match": asked}]
        return await _distinct(self._interceptions, waiting, named, UNCOUNTED, session)

    async def _recorded(self, named: Facet, asked: dict[str, Any]) -> list[str]:
        """Look at every interception, where there are no rollups."""
        ended = {**asked, "status": {"$in": list(ENDED)}, "started_at": {"$gte": EARLIEST}}
        index = BY_INITIATOR if "initiator_id" in asked else BY_TIME
        return await _distinct(self._interceptions, [{"$match": ended}], named, index)


def _beginning_with(prefix: str) -> dict[str, Any]:
    """Return the range of the texts that begin like that, in the order of their bytes, as the database has them."""
    return {"$gte": prefix, "$lt": prefix + _LAST}


_LAST = "\U0010ffff"


async def _distinct(
    collection: Collection,
    stages: list[dict[str, Any]],
    named: Facet,
    index: Keys,
    session: Session | None = None,
) -> list[str]:
    pipeline = [*stages, {"$group": {"_id": f"${named}"}}, {"$sort": {"_id": 1}}, {"$limit": MAX_NAMES}]
    cursor = collection.aggregate(pipeline, hint=dict(index), session=session)
    return [row["_id"] for row in await cursor.to_list(None)]
