"""Removes invented calls from the totals: their own are deleted, and shared ones are reduced.

The totals of invented users say exactly what these added to those of all users, of models, providers and clients. What
they added to those by end, tool and tag their calls say, in the transaction that deletes these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pymongo import DeleteOne, ReplaceOne

from storage.aggregation.details import rollups_of_details
from storage.aggregation.rollup import (
    BUCKETS,
    DIMENSIONS,
    HISTOGRAMS,
    MONEY,
    NO_GROUP,
    PLAIN,
    Breakdown,
    Bucket,
    RollupKey,
    RollupTotals,
    add,
    document_of,
    totals_of,
)
from storage.aggregation.rollup_job import JOB_STATE
from storage.aggregation.totals import row_of, rows
from storage.examples.documents import RANGE
from storage.mongo.database import Collection, Database, Session, with_plain_ids
from storage.mongo.indexes import ROLLUPS

REMOVE_SECONDS: Final = 30.0
"""How long the database may take for one batch."""

BATCH: Final = 1_000
"""Most totals of invented users that are taken out in one transaction."""

_SHARED: Final = (Breakdown.COMBINATION, Breakdown.MODEL, Breakdown.PROVIDER, Breakdown.CLIENT, Breakdown.ALL)
_TOTALS: Final = frozenset((*PLAIN, "ends", *HISTOGRAMS, *MONEY))
# Those of `USER_COMBINATION` come last: with them goes the rollup of all users, by which caches notice changes.
_OWN: Final = (
    (Breakdown.GROUP, "group_id"),
    (Breakdown.USER, "initiator_id"),
    (Breakdown.TOKEN, "initiator_id"),
    (Breakdown.USER_COMBINATION, "initiator_id"),
)


async def take_out(database: Database) -> bool:
    """Take out one batch; say whether something is left. Exactly once, whatever is interrupted.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or it takes too long.
    """
    async with database.within(REMOVE_SECONDS, "take out totals"):
        return await database.together(lambda session: _batch(database, session))


async def _batch(database: Database, session: Session | None) -> bool:
    rollups = database.rollups
    await hold(rollups, JOB_STATE, session)
    found: list[dict[str, Any]] = []
    for (level, field), bucket in [(own, bucket) for own in _OWN for bucket in BUCKETS[own[0]]]:
        if (left := BATCH - len(found)) > 0:
            invented = {"level": level.value, "bucket": bucket.value, field: dict(RANGE)}
            found += await rollups.find(invented, session=session).limit(left).to_list(left)
    await _subtract(database, shared_by(found), session)
    await _say_changed(database, {(one["bucket"], one["at"]) for one in found}, session)
    if found:
        await rollups.delete_many({"_id": {"$in": [one["_id"] for one in found]}}, session=session)
    return bool(found)


async def delete_counted(database: Database, ids: Sequence[Any], session: Session | None) -> None:
    """Delete calls, and take them out of the totals by how they ended, what they called and their tags.

    These have not all a user, so only the calls have what they added. One that waits to be counted stays: it may have
    been priced again meanwhile, and then it has what it costs now.
    """
    await hold(database.rollups, JOB_STATE, session)
    interceptions = with_plain_ids(database.interceptions)
    counted_ones = {"_id": {"$in": list(ids)}, "uncounted": {"$exists": False}}
    pipeline = [{"$match": counted_ones}, *rows(alone=None)]
    counted = [row_of(one) for one in await interceptions.aggregate(pipeline, session=session).to_list(None)]
    details_of = rollups_of_details([(row.detail, row.totals) for row in counted])
    await _subtract(database, details_of, session)
    await _say_changed(database, {(key.bucket.value, key.at) for key in details_of}, session)
    await interceptions.delete_many(counted_ones, session=session)


async def _subtract(database: Database, totals: RollupTotals, session: Session | None) -> None:
    """Take totals away from those that are there."""
    by_id = {key.id: part for key, part in totals.items()}
    kept = await database.rollups.find({"_id": {"$in": list(by_id)}}, session=session).to_list(None)
    if changes := [_without(document, by_id[document["_id"]]) for document in kept]:
        await database.rollups.bulk_write(changes, ordered=False, session=session)


async def _say_changed(database: Database, places: set[tuple[str, datetime]], session: Session | None) -> None:
    """Change the totals of everyone of these buckets and their days, also where only others are changed.

    Whoever has totals of a bucket in memory sees by it that these have changed, see `storage.queries.grouped.memory.versions`.
    """
    days = {(Bucket.DAY.value, Bucket.DAY.floor(at)) for _, at in places}
    for bucket in Bucket:
        times = [at for name, at in {*places, *days} if name == bucket]
        if times:
            everyone = {"level": Breakdown.ALL.value, "bucket": bucket.value, "at": {"$in": times}}
            await database.rollups.update_many(everyone, {"$inc": {"removals": 1}}, hint=dict(ROLLUPS), session=session)


async def hold(job_states: Collection, job_state: Mapping[str, Any], session: Session | None) -> bool:
    """Let no run of a job commit beside this one: its state is written to, and then as it was. Return whether it has one."""
    held = await job_states.update_one(job_state, {"$set": {"held": True}}, session=session)
    await job_states.update_one(job_state, {"$unset": {"held": ""}}, session=session)
    return bool(held.matched_count)


def shared_by(documents: Iterable[Mapping[str, Any]]) -> RollupTotals:
    """Return what totals of users added to the totals that they share with others."""
    shared: RollupTotals = {}
    for document in documents:
        for key in _shared_keys(document):
            add(shared.setdefault(key, {}), totals_of(document))
    return shared


def _shared_keys(document: Mapping[str, Any]) -> Iterable[RollupKey]:
    bucket, at = Bucket(document["bucket"]), document["at"]
    match Breakdown(document["level"]):
        case Breakdown.USER_COMBINATION:
            for breakdown in _SHARED:
                if bucket in BUCKETS[breakdown]:
                    values = tuple(document.get(name) for name in DIMENSIONS[breakdown])
                    yield RollupKey(breakdown, bucket, at, values)
        case Breakdown.TOKEN if not document.get("group_ids"):
            yield RollupKey(Breakdown.GROUP, bucket, at, (NO_GROUP,))


def _without(document: Mapping[str, Any], totals: Mapping[str, Any]) -> DeleteOne | ReplaceOne[dict[str, Any]]:
    left = totals_of(document)
    add(left, totals, -1)
    if not left.get("interceptions"):
        return DeleteOne({"_id": document["_id"]})
    fields = {name: value for name, value in document.items() if name not in _TOTALS}
    return ReplaceOne({"_id": document["_id"]}, {**fields, **document_of(left)})
