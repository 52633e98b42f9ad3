"""What ended calls add to rollups, of their figures (see `storage.recording.figures`). Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import localcontext
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from intercept.records import Status
from storage.derived.details import Detail, rollups_of_details
from storage.derived.histograms import histogram
from storage.derived.rollup import (
    DIMENSIONS,
    KINDS,
    MINUTES_KEPT,
    TOKENS,
    Breakdown,
    Bucket,
    RollupKey,
    RollupTotals,
    Totals,
    rollups_of,
    summed,
)
from storage.mongo.codec import EXACT, read_decimal

REMEMBERED = 10_000
"""Ids of users and groups that are remembered as UUIDs."""

_DIMENSIONS = DIMENSIONS[Breakdown.USER_COMBINATION][1:]


class _Alike(NamedTuple):
    """What calls have in common that add to the same rollups."""

    detail: Detail
    token_id: str | None
    groups: tuple[UUID, ...]


def rollups_of_calls(calls: Iterable[tuple[Mapping[str, Any], int]], now: datetime) -> RollupTotals:
    """Return what each rollup changes by when calls are added to it, with the sign 1, or are taken away, with -1.

    Args:
        calls: Documents of calls that have ended, true or presumed, and their signs.
        now: Rollups that would be removed at once are left out.
    """
    with localcontext(EXACT):
        alike = summed((_alike(document), _signed(totals_of_call(document), sign)) for document, sign in calls)
        rollups = rollups_of(
            ((_minute(one, Breakdown.USER_COMBINATION, one.detail.values), totals) for one, totals in alike.items()),
            (
                (_minute(one, Breakdown.TOKEN, (one.detail.values[0], one.token_id, one.groups)), totals)
                for one, totals in alike.items()
            ),
            now - MINUTES_KEPT,
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


def _minute(one: _Alike, breakdown: Breakdown, values: tuple[Any, ...]) -> RollupKey:
    return RollupKey(breakdown, Bucket.MINUTE, one.detail.at, values)


def _alike(document: Mapping[str, Any]) -> _Alike:
    get = document.get
    values = (_uuid(document["initiator_id"]), *[get(name) for name in _DIMENSIONS])
    detail = Detail(
        Bucket.MINUTE.floor(document["started_at"]),
        values,
        (document["end_reason"], get("upstream_status"), (get("error") or {}).get("type"), get("streaming")),
        tuple(sorted({usage["tool"] for usage in get("tool_usages") or ()})),
        tuple((get("tags") or {}).items()),
    )
    return _Alike(detail, get("api_key_id"), tuple(map(_uuid, get("group_ids") or ())))


@lru_cache(REMEMBERED)
def _uuid(id_: bytes) -> UUID:
    return UUID(bytes=bytes(id_))
