"""The names that occur: of models, clients, providers and tags, for who chooses one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from storage.derived.rollup import Breakdown, Bucket
from storage.derived.totals import UNCOUNTED_ONES
from storage.mongo.database import Collection, Database, Session
from storage.mongo.indexes import NAMES, ROLLUPS_BY_INITIATOR, UNCOUNTED, Keys
from storage.queries.paging import visible

MAX_NAMES = 10_000
"""The maximum number of names, in order."""


class Facet(StrEnum):
    """What has a name: its value is a field of a rollup, and but for tags of an interception."""

    MODEL = "model"
    CLIENT = "client"
    PROVIDER = "provider_name"
    TAG = "tag"

    @property
    def breakdown(self) -> Breakdown:
        """The breakdown of rollups that have this in common and nothing else."""
        return Breakdown[self.name]


async def find_facet(database: Database, facet: Facet, prefix: str, *, visible_to: UUID | None) -> list[str]:
    """Return the names that begin like that of calls that have ended, each once, sorted, at most `MAX_NAMES`.

    The prefix is taken as it is written.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS`.
    """
    # In the order of their bytes, as the database has them.
    conditions = {facet.value: {"$gte": prefix, "$lt": prefix + _LAST}, **visible(visible_to)}
    async with database.query(), database.snapshot() as session:
        counted = await _counted(database, facet, conditions, session)
        calls = _named(facet, UNCOUNTED_ONES, conditions)
        uncounted = await _distinct(database.interceptions, calls, facet, UNCOUNTED, session)
    return sorted({*counted, *uncounted})[:MAX_NAMES]


async def _counted(database: Database, facet: Facet, conditions: dict[str, Any], session: Session) -> list[str]:
    if "initiator_id" in conditions:
        breakdown = Breakdown.USER_TAG if facet is Facet.TAG else Breakdown.USER_COMBINATION
        index = ROLLUPS_BY_INITIATOR
    else:
        breakdown, index = facet.breakdown, NAMES[facet.breakdown]
    rollups = {"level": breakdown, "bucket": Bucket.DAY, **conditions}
    return await _distinct(database.rollups, [{"$match": rollups}], facet, index, session)


def _named(facet: Facet, calls: Mapping[str, Any], conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the stages that read those of the calls whose names meet the conditions, for tags one document each."""
    if facet is not Facet.TAG:
        return [{"$match": {**calls, **conditions}}]
    own = {name: value for name, value in conditions.items() if name != facet}
    names = {"$map": {"input": {"$objectToArray": {"$ifNull": ["$tags", {}]}}, "in": "$$this.k"}}
    return [
        {"$match": {**calls, **own}},
        {"$project": {"initiator_id": True, "tag": names}},
        {"$unwind": "$tag"},
        {"$match": conditions},
    ]


_LAST = "\U0010ffff"


async def _distinct(
    collection: Collection,
    stages: list[dict[str, Any]],
    facet: Facet,
    index: Keys,
    session: Session,
) -> list[str]:
    pipeline = [*stages, {"$group": {"_id": f"${facet}"}}, {"$sort": {"_id": 1}}, {"$limit": MAX_NAMES}]
    cursor = collection.aggregate(pipeline, hint=dict(index), session=session)
    return [row["_id"] for row in await cursor.to_list(None)]
