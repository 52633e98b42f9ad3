"""What ended calls add to rollups, of their figures (see `storage.recording.figures`), and how that is written.

There are more rollups by how calls ended, which tools they called and how they are tagged than of others. So these are of
hours and days alone, and each has few dimensions beside its own.

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
    OF_OUTCOMES,
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
    rollups_of,
    summed,
    totals_document,
)
from storage.mongo.codec import EXACT, read_decimal
from storage.mongo.database import Database, Session


class CallDetail(NamedTuple):
    """What calls of an hour have in common.

    Attributes:
        at: The hour in which they started.
        values: Of the breakdown `USER_COMBINATION`.
        outcome: How they ended: end reason, status of the provider, type of the error, and whether they are streams.
        tools: The different tools that each called.
        tags: Names and values.
    """

    at: datetime
    values: tuple[Any, ...]
    outcome: tuple[str, int | None, str | None, bool | None]
    tools: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


def rollups_of_details(parts: Iterable[tuple[CallDetail, Totals]]) -> RollupTotals:
    """Return every rollup of `DETAILS` to which calls contribute; a key may occur more than once."""
    alike = summed(parts)
    hours = summed((key, totals) for detail, totals in alike.items() for key in _keys(detail))
    return hours | days_of(hours)


def _positions(breakdown: Breakdown, own: tuple[str, ...]) -> tuple[int, ...]:
    names = (*DIMENSIONS[Breakdown.USER_COMBINATION], *own)
    return tuple(names.index(name) for name in DIMENSIONS[breakdown])


_OUTCOMES = {one: _positions(one, OUTCOME) for one in sorted(OF_OUTCOMES)}
_TOOLS = {one: _positions(one, ("tool",)) for one in sorted(OF_TOOLS)}
_TAGS = {one: _positions(one, TAG) for one in sorted(OF_TAGS)}


def _keys(detail: CallDetail) -> Iterator[RollupKey]:
    tools = ((tool,) for tool in detail.tools or (None,))
    for positions, owns in ((_OUTCOMES, (detail.outcome,)), (_TOOLS, tools), (_TAGS, detail.tags)):
        for own in owns:
            known = (*detail.values, *own)
            for breakdown, indexes in positions.items():
                yield RollupKey(breakdown, Bucket.HOUR, detail.at, tuple([known[index] for index in indexes]))


REMEMBERED = 10_000
"""Ids of users and groups that are remembered as UUIDs."""

_DIMENSIONS = DIMENSIONS[Breakdown.USER_COMBINATION][1:]


class _Alike(NamedTuple):
    """What calls have in common that add to the same rollups."""

    detail: CallDetail
    token_id: str | None
    groups: tuple[UUID, ...]


def rollups_of_calls(calls: Iterable[tuple[Mapping[str, Any], int]]) -> RollupTotals:
    """Return what each rollup changes by when calls are added to it, with the sign 1, or are taken away, with -1.

    Args:
        calls: Documents of calls that have ended, true or presumed, and their signs.
    """
    with localcontext(EXACT):
        alike = summed((_alike(document), _signed(totals_of_call(document), sign)) for document, sign in calls)
        rollups = rollups_of(
            ((_hour(one, Breakdown.USER_COMBINATION, one.detail.values), totals) for one, totals in alike.items()),
            (
                (_hour(one, Breakdown.TOKEN, (one.detail.values[0], one.token_id, one.groups)), totals)
                for one, totals in alike.items()
            ),
        )
        rollups |= rollups_of_details((one.detail, totals) for one, totals in alike.items())
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


def _hour(one: _Alike, breakdown: Breakdown, values: tuple[Any, ...]) -> RollupKey:
    return RollupKey(breakdown, Bucket.HOUR, one.detail.at, values)


def _alike(document: Mapping[str, Any]) -> _Alike:
    get = document.get
    values = (_uuid(document["initiator_id"]), *[get(name) for name in _DIMENSIONS])
    detail = CallDetail(
        Bucket.HOUR.floor(document["started_at"]),
        values,
        (document["end_reason"], get("upstream_status"), (get("error") or {}).get("type"), get("streaming")),
        tuple(sorted({usage["tool"] for usage in get("tool_usages") or ()})),
        tuple((get("tags") or {}).items()),
    )
    return _Alike(detail, get("api_key_id"), tuple(map(_uuid, get("group_ids") or ())))


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
