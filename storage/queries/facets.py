"""The names that occur: of models, clients, providers and tags, for who chooses one."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from storage.derived.rollup import Bucket, smallest_with
from storage.mongo.database import Database
from storage.mongo.indexes import ROLLUPS, ROLLUPS_BY_INITIATOR, TAGGED
from storage.queries.paging import visible

MAX_NAMES: Final = 10_000
"""The maximum number of names, in order."""

_LAST: Final = "\U0010ffff"


class Facet(StrEnum):
    """What has a name: its value is a field of rollups."""

    MODEL = "model"
    CLIENT = "client"
    PROVIDER = "provider_name"
    TAG = "tag"


async def find_facet(database: Database, facet: Facet, prefix: str, *, visible_to: UUID | None) -> list[str]:
    """Return the names of counted calls that begin so, each once, sorted, at most `MAX_NAMES`.

    The prefix is taken as it is written.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or took longer than `QUERY_SECONDS`.
    """
    own = visible(visible_to)
    # In the order of their bytes, as the database has them.
    named = {facet.value: {"$gte": prefix, "$lt": prefix + _LAST}}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"level": smallest_with({facet.value, *own}), "bucket": Bucket.DAY, **named, **own}},
        {"$group": {"_id": f"${facet}"}},
        {"$sort": {"_id": 1}},
        {"$limit": MAX_NAMES},
    ]
    index = ROLLUPS_BY_INITIATOR if own else TAGGED if facet is Facet.TAG else ROLLUPS
    async with database.query():
        rows = await database.rollups.aggregate(pipeline, hint=dict(index)).to_list(None)
    return [row["_id"] for row in rows]
