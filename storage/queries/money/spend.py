"""What calls cost in a time range, from their records or from the rollups.

Every function raises `DatabaseUnavailableError`. Those of records may take long, and raise `DatabaseRefusalError` too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from intercept.records import CredentialKind
from storage.derived.rollup import Breakdown, Bucket
from storage.mongo.codec import read_sum
from storage.mongo.database import Database
from storage.mongo.indexes import BY_TIME

SPEND_SECONDS = 120.0
"""How long the queries may take; no request waits for them."""


async def spend_by_user(database: Database, user_ids: Sequence[UUID], since: datetime) -> dict[UUID, Decimal]:
    """Sum up by user what calls cost that started since the beginning of a day in UTC, in US dollars, from the rollups.

    A call counts a few seconds after its end, and with a user's own key too. Users without calls that have a price are
    left out.
    """
    days = {"level": Breakdown.USER.value, "bucket": Bucket.DAY.value}
    pipeline = [
        {"$match": {**days, "initiator_id": {"$in": list(user_ids)}, "at": {"$gte": since}}},
        {"$group": {"_id": "$initiator_id", "usd": {"$sum": "$cost"}}},
    ]
    async with database.query():
        sums = await database.rollups.aggregate(pipeline).to_list(None)
    return {one["_id"]: usd for one in sums if (usd := read_sum(one["usd"]))}


async def read_spend_by_token(database: Database, since: datetime) -> dict[tuple[UUID, str], Decimal]:
    """US dollars of calls since then with a key of the bridge, by user and the public part of the token.

    Those that cost nothing are left out.
    """
    by = {"user": "$initiator_id", "token": "$api_key_id"}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"started_at": {"$gte": since}, "credential_kind": CredentialKind.CENTRALIZED.value}},
        {"$group": {"_id": by, "usd": {"$sum": "$cost.usd"}}},
    ]
    async with database.within(SPEND_SECONDS, "sum up costs"):
        sums = await database.interceptions.aggregate(pipeline, hint=dict(BY_TIME)).to_list(None)
    return {(one["_id"]["user"], one["_id"]["token"]): usd for one in sums if (usd := read_sum(one["usd"]))}
