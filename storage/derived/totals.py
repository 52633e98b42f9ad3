"""What ended calls add to rollups, of their figures (see `storage.recording.figures`), and how that is written.

There are more rollups by how calls ended, which tools they called and how they are tagged than of others. So each of these
has few dimensions beside its own.

The database cannot add histograms: they are read, added here and written back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import localcontext
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from pymongo import InsertOne, UpdateOne

from intercept.records import Status
from storage.derived.histograms import histogram, pack, unpack
from storage.derived.rollup import (
    DIMENSIONS,
    HISTOGRAMS,
    KINDS,
    NO_GROUP,
    OF_TAGS,
    OF_TOOLS,
    OUTCOME,
    TAG,
    TOKENS,
    Breakdown,
    Bucket,
    RollupKey,
    RollupTotals,
    Totals,
    days_of,
    increments,
    summed,
    totals_document,
)
from storage.mongo.codec import EXACT, read_decimal
from storage.mongo.database import Database, Session


class _Alike(NamedTuple):
    """What calls have in common that add to the same rollups.

    Attributes:
        at: The hour in which they started.
        values: Of the dimensions in `_COMMON`.
        tools: The different tools that each called.
        tags: Names and values.
    """

    at: datetime
    values: tuple[Any, ...]
    tools: tuple[str, ...]
    tags: tuple[tuple[str, str], ...]


_CALLED: Final = DIMENSIONS[Breakdown.USER_COMBINATION]
_COMMON: Final = (*_CALLED, *OUTCOME, "api_key_id", "group_ids")
_OWN: Final = {
    Breakdown.GROUP: ("group_id",),
    **dict.fromkeys(OF_TOOLS, ("tool",)),
    **dict.fromkeys(OF_TAGS, TAG),
}
"""The dimensions of which a call may have several values."""

_POSITIONS: Final = {
    one: tuple([(*_COMMON, *_OWN.get(one, ())).index(name) for name in DIMENSIONS[one]]) for one in Breakdown
}


def _keys(alike: _Alike) -> Iterator[RollupKey]:
    """Return the keys of all rollups of the hour that calls add to."""
    groups, tools = alike.values[-1] or (NO_GROUP,), alike.tools or (None,)
    owns: dict[Breakdown, Sequence[tuple[Any, ...]]] = {
        Breakdown.GROUP: [(group,) for group in groups],
        **dict.fromkeys(OF_TOOLS, tuple([(tool,) for tool in tools])),
        **dict.fromkeys(OF_TAGS, alike.tags),
    }
    for breakdown, positions in _POSITIONS.items():
        for own in owns.get(breakdown, ((),)):
            known = (*alike.values, *own)
            yield RollupKey(breakdown, Bucket.HOUR, alike.at, tuple([known[position] for position in positions]))


REMEMBERED = 10_000
"""Ids of users and groups that are remembered as UUIDs."""


def rollups_of_calls(calls: Iterable[tuple[Mapping[str, Any], int]]) -> RollupTotals:
    """Return what each rollup changes by when calls are added to it, with the sign 1, or are taken away, with -1.

    Args:
        calls: Documents of calls that have ended, true or presumed, and their signs.
    """
    with localcontext(EXACT):
        alike = summed((_alike(document), _signed(totals_of_call(document), sign)) for document, sign in calls)
        hours = summed((key, totals) for one, totals in alike.items() for key in _keys(one))
        rollups = hours | days_of(hours)
    return {key: totals for key, totals in rollups.items() if any(totals.values())}


def totals_of_call(document: Mapping[str, Any]) -> Totals:
    """Return what a call that has ended adds up to by itself."""
    completed = document["status"] == Status.COMPLETED
    totals: Totals = {
        "interceptions": 1,
        "completed" if completed else "failed": 1,
        f"ends.{document['end_reason']}": 1,
    }
    totals |= {name: int(number) for name in TOKENS if (number := document.get(name))}
    totals |= {name: 1 for name in ("priced", "unpriced", "no_usage") if document.get(name)}
    if document.get("priced"):
        totals["cost"] = read_decimal(document["cost"]["usd"])
    money = {name: read_decimal(usd) for name in (*KINDS, "saved") if (usd := document.get(name)) is not None}
    totals |= {name: usd for name, usd in money.items() if usd}
    if loss := document.get("cache_loss"):
        totals["lost_tokens"] = int(loss["lost_tokens"])
        totals["lost"] = read_decimal(loss["lost"]) if loss["lost"] is not None else 0
    return totals | {name: histogram([bucket]) for name, bucket in (document.get("buckets") or {}).items()}


def _signed(totals: Totals, sign: int) -> Totals:
    return totals if sign == 1 else {name: -value for name, value in totals.items()}


def _alike(document: Mapping[str, Any]) -> _Alike:
    get = document.get
    return _Alike(
        Bucket.HOUR.floor(document["started_at"]),
        (
            *(_uuid(document["initiator_id"]), *[get(name) for name in _CALLED[1:]]),
            *(document["end_reason"], get("upstream_status"), (get("error") or {}).get("type"), get("streaming")),
            *(get("api_key_id"), tuple(map(_uuid, get("group_ids") or ()))),
        ),
        tuple(sorted({usage["tool"] for usage in get("tool_usages") or ()})),
        tuple((get("tags") or {}).items()),
    )


@lru_cache(REMEMBERED)
def _uuid(id_: bytes) -> UUID:
    return UUID(bytes=bytes(id_))


AT_ONCE: Final = 250
"""Most documents that are read or written with one command: while they are decoded or encoded, nothing else runs."""

_Rollups = dict[bytes, tuple[RollupKey, Totals]]


async def add_to_rollups(database: Database, calls: Sequence[tuple[Mapping[str, Any], int]], session: Session) -> None:
    """Add calls to their rollups, or take them away, see `rollups_of_calls`; no other transaction may do it meanwhile."""
    # In a thread, as it takes some 50 ms.
    rollups = list((await asyncio.to_thread(rollups_of_calls, calls)).items())
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
