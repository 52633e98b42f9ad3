"""The recorded totals of calls that a provider bills to the bridge, by day and model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from intercept.records import CredentialKind, Status
from storage.derived.recorded_day import RecordedDay
from storage.derived.rollup import TOKENS
from storage.derived.totals import HAS_TOKENS, tokens_of_call
from storage.mongo.codec import read_sum
from storage.mongo.database import Database
from storage.mongo.indexes import BY_TIME
from storage.queries.money.spend_rows import SUM_SECONDS, Spending

_LATE: Final = "late_"


async def read_recorded(
    database: Database, types: Sequence[str], names: Sequence[str], start: datetime, end: datetime
) -> list[RecordedDay]:
    """Add up the calls that started in [start, end), of providers of these types, and of these names if there are any.

    Raises:
        NotRecordedError: Records of some of the calls were removed.
        DatabaseUnavailableError: The database is unavailable, or it takes too long.
    """
    async with database.query(SUM_SECONDS, "sum up calls"):
        await Spending(database).check_recorded(start, end)
        pipeline = _pipeline(types, names, start, end)
        sums = await database.interceptions.aggregate(pipeline, allowDiskUse=True, hint=dict(BY_TIME)).to_list(None)
    return [_recorded(one) for one in sums]


def _pipeline(types: Sequence[str], names: Sequence[str], start: datetime, end: datetime) -> list[dict[str, Any]]:
    match: dict[str, Any] = {
        "started_at": {"$gte": start, "$lt": end},
        "status": {"$ne": Status.IN_FLIGHT.value},
        "credential_kind": CredentialKind.CENTRALIZED.value,
        "provider": {"$in": list(types)},
    }
    if names:
        match["provider_name"] = {"$in": list(names)}
    day = {"$dateTrunc": {"date": "$started_at", "unit": "day"}}
    is_late = {"$gt": [{"$dateTrunc": {"date": "$ended_at", "unit": "day"}}, "$day"]}
    unpriced = {"$cond": [{"$and": [HAS_TOKENS, {"$eq": ["$usd", None]}]}, 1, 0]}
    sums = {name: {"$sum": f"${name}"} for name in (*TOKENS, "usd", "unpriced")}
    late = {f"{_LATE}{name}": {"$sum": {"$cond": [is_late, f"${name}", 0]}} for name in TOKENS}
    return [
        {"$match": match},
        {
            "$project": {
                **tokens_of_call(),
                "day": day,
                "model": True,
                "ended_at": {"$ifNull": ["$ended_at", "$started_at"]},
                "usd": {"$ifNull": ["$cost.usd", None]},
            }
        },
        {"$set": {"unpriced": unpriced}},
        {"$group": {"_id": {"day": "$day", "model": "$model"}, "calls": {"$sum": 1}, **sums, **late}},
        {"$sort": {"_id": 1}},
    ]


def _recorded(sums: dict[str, Any]) -> RecordedDay:
    first, second, third, fourth = (int(sums[name]) for name in TOKENS)
    late = [int(sums[f"{_LATE}{name}"]) for name in TOKENS]
    return RecordedDay(
        sums["_id"]["day"].date(),
        sums["_id"]["model"],
        int(sums["calls"]),
        (first, second, third, fourth),
        (late[0], late[1], late[2], late[3]),
        read_sum(sums["usd"]),
        int(sums["unpriced"]),
    )
