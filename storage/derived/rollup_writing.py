"""Writes rollups. The database cannot add histograms: they are read, added here and written back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pymongo import InsertOne, UpdateOne

from storage.derived.histograms import pack, unpack
from storage.derived.rollup import (
    HISTOGRAMS,
    RollupKey,
    Totals,
    increments,
    totals_document,
)
from storage.derived.totals import rollups_of_calls
from storage.mongo.database import Database, Session

AT_ONCE: Final = 250
"""Most documents that are read or written with one command: while they are decoded or encoded, nothing else runs."""

_Rollups = dict[bytes, tuple[RollupKey, Totals]]


async def add_to_rollups(
    database: Database, calls: Sequence[tuple[Mapping[str, Any], int]], now: datetime, session: Session
) -> None:
    """Add calls to their rollups, or take them away, see `rollups_of_calls`; no other transaction may do it meanwhile."""
    # In a thread, as it takes some 50 ms.
    rollups = list((await asyncio.to_thread(rollups_of_calls, calls, now)).items())
    for begin in range(0, len(rollups), AT_ONCE):
        some = {key.id: (key, totals) for key, totals in rollups[begin : begin + AT_ONCE]}
        found = database.rollups.find({"_id": {"$in": list(some)}}, dict.fromkeys(HISTOGRAMS, True), session=session)
        kept = {document["_id"]: document for document in await found.to_list(None)}
        changes = await asyncio.to_thread(_changes, some, kept)
        await database.rollups.bulk_write(changes, ordered=False, session=session)


def _changes(rollups: _Rollups, kept: Mapping[bytes, Mapping[str, Any]]) -> list[InsertOne[dict[str, Any]] | UpdateOne]:
    # To insert a new one takes MongoDB half of what an upsert takes.
    return [
        _change(id_, totals, kept[id_])
        if id_ in kept
        else InsertOne({"_id": id_, **key.fields, **totals_document(totals)})
        for id_, (key, totals) in rollups.items()
    ]


def _change(id_: bytes, totals: Totals, kept: Mapping[str, Any]) -> UpdateOne:
    """Add to a rollup of whose document the histograms are known."""
    sums = {
        name: added + unpack(kept[name]) if name in kept else added
        for name in HISTOGRAMS
        if (added := totals.get(name))
    }
    changes = {"$inc": increments(totals), "$set": {name: pack(total) for name, total in sums.items()}}
    return UpdateOne({"_id": id_}, {name: change for name, change in changes.items() if change})
