"""Whether providers do their work: by each request that the latest calls sent to them, whoever answered in the end."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from intercept.records import EndReason
from storage.mongo.database import Database
from storage.mongo.indexes import BY_TIME
from storage.queries.filters.selection import ENDED
from storage.queries.found import Attempts, LatestAttempts

MAX_CALLS: Final = 5_000
"""Calls that are looked at, the latest ones."""

_RATE_LIMITED: Final = 429
_SERVER_ERROR: Final = 500
_BROKEN: Final = (
    *(EndReason.UPSTREAM_UNREACHABLE, EndReason.UPSTREAM_TIMEOUT, EndReason.UPSTREAM_TRUNCATED),
    *(EndReason.UPSTREAM_STREAM_ERROR,),
)


async def read_attempts(database: Database, start: datetime, end: datetime) -> LatestAttempts:
    """Read the latest calls that started in [start, end) and have ended, at most `MAX_CALLS`.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or takes too long.
    """
    ended = {"started_at": {"$gte": start, "$lt": end}, "status": {"$in": list(ENDED)}}
    latest: list[dict[str, Any]] = [{"$match": ended}, {"$sort": dict(BY_TIME[:2])}, {"$limit": MAX_CALLS}]
    count = {"$group": {"_id": None, "calls": {"$sum": 1}, "first_at": {"$min": "$started_at"}}}
    pipeline = [*latest, {"$facet": {"attempts": _ATTEMPTS, "looked_at": [count]}}]
    async with database.query():
        (found,) = await database.interceptions.aggregate(pipeline, hint=dict(BY_TIME)).to_list(1)
    by_model = {(row.pop("_id")["provider"], row.pop("model")): Attempts(**row) for row in found["attempts"]}
    looked_at = found["looked_at"]
    is_cut = bool(looked_at) and looked_at[0]["calls"] == MAX_CALLS
    return LatestAttempts(by_model, looked_at[0]["first_at"] if is_cut else start)


_TRIES: Final = {"$ifNull": ["$tries", []]}
_EARLIER: Final = {"$slice": [_TRIES, {"$max": [{"$subtract": [{"$size": _TRIES}, 1]}, 1]}]}
_ATTEMPT: Final = {"provider": "$$one.provider_name", "status": "$$one.status", "reason": "$$one.error.type"}
_EACH: Final = {
    "$concatArrays": [
        {
            "$cond": [
                {"$gt": [{"$size": _TRIES}, 1]},
                {"$map": {"input": _EARLIER, "as": "one", "in": _ATTEMPT}},
                [],
            ]
        },
        [{"provider": "$provider_name", "status": "$upstream_status", "reason": "$end_reason"}],
    ]
}
_FAILS: Final = {"$or": [{"$in": ["$each.reason", list(_BROKEN)]}, {"$gte": ["$each.status", _SERVER_ERROR]}]}
_ANSWERS: Final = {"$and": [{"$not": _FAILS}, {"$gt": ["$each.status", None]}]}
_ATTEMPTS: Final[list[dict[str, Any]]] = [
    {"$project": {"model": True, "started_at": True, "each": _EACH}},
    {"$unwind": "$each"},
    {
        "$group": {
            "_id": {"provider": "$each.provider", "model": "$model"},
            "model": {"$first": "$model"},
            "requests": {"$sum": 1},
            "rate_limited": {"$sum": {"$cond": [{"$eq": ["$each.status", _RATE_LIMITED]}, 1, 0]}},
            "failed": {"$sum": {"$cond": [_FAILS, 1, 0]}},
            "answered_at": {"$max": {"$cond": [_ANSWERS, "$started_at", None]}},
            "failed_at": {"$max": {"$cond": [_FAILS, "$started_at", None]}},
        }
    },
]
"""Has MongoDB take calls apart into their requests: each try, of which the last one ended as the call did."""
