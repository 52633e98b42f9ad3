"""How interceptions that wait to be counted are read: grouped by the database, so that many alike are one row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bson.binary import Binary
from bson.decimal128 import Decimal128

from intercept.records import EndReason
from storage.costs.prices import MAX_TOKENS
from storage.derived.details import Detail
from storage.derived.histograms import GROWTH, LAST_BUCKET, histogram
from storage.derived.rollup import (
    DIMENSIONS,
    HISTOGRAMS,
    KINDS,
    MONEY,
    NO_USAGE,
    TOKENS,
    Breakdown,
    Bucket,
    RollupKey,
    Totals,
    totals_of,
)
from storage.mongo.codec import read_decimal

_DIMENSIONS = DIMENSIONS[Breakdown.USER_COMBINATION]
_OF_TOKEN = ("api_key_id", "group_ids")
_DETAIL: Mapping[str, Any] = {
    "end_reason": "$end_reason",
    "upstream_status": {"$ifNull": ["$upstream_status", None]},
    "error_type": {"$ifNull": ["$error.type", None]},
    "streaming": "$streaming",
    "tools": {"$setUnion": [{"$ifNull": ["$tool_usages.tool", []]}, []]},
    "tags": {"$objectToArray": {"$ifNull": ["$tags", {}]}},
}
_COUNTS = ("priced", "unpriced", "no_usage")
_EVER = datetime(1, 1, 1, tzinfo=UTC)

HAS_TOKENS: Mapping[str, Any] = {"$gt": [{"$add": [f"${name}" for name in TOKENS]}, 0]}
"""Has the database say whether an interception used any, of the values of `tokens_of_call`."""

UNCOUNTED_ONES: Mapping[str, Any] = {"uncounted": {"$gte": _EVER}}
"""Finds what waits to be counted, in a way that the index answers."""


class Row(NamedTuple):
    """Interceptions of a minute that are alike, or a single one that is or was counted with a presumed end.

    Attributes:
        ids: Which ones, as BSON holds them.
        key: The smallest rollup that they belong to.
        token_key: The smallest one by token and groups.
        detail: How they ended, what they called and how they are tagged.
        totals: What they add up to.
        counted: What the single one has contributed so far, None if nothing.
        presumed: Its end may still be replaced, so what it contributes has to be kept.
    """

    ids: list[Binary]
    key: RollupKey
    token_key: RollupKey
    detail: Detail
    totals: Totals
    counted: Mapping[str, Any] | None
    presumed: bool

    @property
    def provider(self) -> dict[str, Any]:
        """The fields that name the provider. A true end may name another one than the presumed end before it."""
        values = dict(zip(_DIMENSIONS, self.key.values, strict=True))
        return {name: values[name] for name in ("provider", "provider_name")}

    @property
    def as_counted(self) -> Row:
        """The same as it has been counted so far, if it has."""
        if (counted := self.counted) is None:
            return self
        values = tuple([counted.get(name, value) for name, value in zip(_DIMENSIONS, self.key.values, strict=True)])
        detail = self.detail.counted_as(counted)._replace(values=values)
        return self._replace(key=self.key._replace(values=values), detail=detail, totals=totals_of(counted))


def pipeline(waiting: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    """The pipeline for the oldest interceptions of a filter that wait, at most this many, as documents for `row_of`."""
    alone = {"$or": ["$presumed", {"$ne": [{"$ifNull": ["$counted", None]}, None]}]}
    return [
        {"$match": waiting},
        {"$sort": {"uncounted": 1, "_id": 1}},
        {"$limit": limit},
        *rows({"$cond": [alone, "$_id", None]}),
    ]


def rows(alone: Any) -> list[dict[str, Any]]:
    """Make documents for `row_of` of interceptions: those with the same value of the expression `alone` may share one."""
    dimensions = {name: f"${name}" for name in (*_DIMENSIONS, *_OF_TOKEN)}
    minute = {"$dateTrunc": {"date": "$started_at", "unit": Bucket.MINUTE.value}}
    kept = dict.fromkeys((*_DIMENSIONS, *_OF_TOKEN, "counted", "presumed"), True)
    details = {name: f"${name}" for name in _DETAIL}
    return [
        *value_stages({**kept, **_DETAIL, "at": minute, "alone": alone}),
        {
            "$group": {
                "_id": {"at": "$at", **dimensions, **details, "alone": "$alone"},
                **{name: {"$sum": f"${name}"} for name in (*TOKENS, *MONEY, *_COUNTS)},
                **{name: {"$push": f"${name}"} for name in HISTOGRAMS},
                "ids": {"$push": "$_id"},
                "counted": {"$first": "$counted"},
                "presumed": {"$first": "$presumed"},
            }
        },
    ]


def value_stages(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages that compute the values of interceptions, by the names of totals, beside further fields.

    These are `TOKENS`, `MONEY`, `HISTOGRAMS` (the bucket) and counts.
    """
    cost = {"$ifNull": ["$cost.usd", None]}
    rate = {kind: f"$rates.{kind}" for kind in ("input", "read", "written")}
    priced = {
        "input_cost": {"$multiply": ["$input_tokens", rate["input"]]},
        "read_cost": {"$multiply": ["$cache_read_input_tokens", rate["read"]]},
        "written_cost": {"$multiply": ["$cache_write_input_tokens", rate["written"]]},
        "saved": {"$multiply": ["$cache_read_input_tokens", {"$subtract": [rate["input"], rate["read"]]}]},
    }
    output = {"$subtract": ["$cost", {"$add": ["$input_cost", "$read_cost", "$written_cost"]}]}
    speed = {"$divide": [{"$multiply": ["$output_tokens", 1000]}, "$streamed"]}
    is_whole = {"$and": ["$streaming", {"$eq": ["$end_reason", EndReason.COMPLETED.value]}]}
    return [
        {
            "$project": {
                **fields,
                **tokens_of_call(),
                "cost": cost,
                "rates": "$cost.rates",
                "priced": _number({"$ne": [cost, None]}),
                "no_usage": _number(NO_USAGE),
                "durations": _bucket_index({"$subtract": ["$ended_at", "$started_at"]}),
                "first_bytes": _bucket_index({"$subtract": ["$first_byte_at", "$started_at"]}),
                "bridges": _bucket_index({"$subtract": ["$upstream_asked_at", "$started_at"]}),
                "streamed": {"$cond": [is_whole, {"$subtract": ["$ended_at", "$first_byte_at"]}, None]},
            }
        },
        {
            "$set": {
                "unpriced": _number({"$and": [HAS_TOKENS, {"$eq": ["$priced", 0]}]}),
                "speeds": {
                    "$cond": [
                        {"$and": [{"$gt": ["$streamed", 0]}, {"$gt": ["$output_tokens", 0]}]},
                        _bucket_index({"$floor": speed}),
                        None,
                    ]
                },
                **priced,
            }
        },
        {"$set": {"output_cost": output}},
    ]


def row_of(document: Mapping[str, Any]) -> Row:
    """Read what `pipeline` makes."""
    alike, ids = document["_id"], document["ids"]
    values = {name: alike.get(name) for name in _DIMENSIONS} | {"initiator_id": alike["initiator_id"].as_uuid()}
    key = RollupKey(Breakdown.USER_COMBINATION, Bucket.MINUTE, alike["at"], tuple(values.values()))
    groups = tuple(group_id.as_uuid() for group_id in alike.get("group_ids") or ())
    by_token = (values["initiator_id"], alike.get("api_key_id"), groups)
    token_key = RollupKey(Breakdown.TOKEN, Bucket.MINUTE, alike["at"], by_token)
    reason = alike["end_reason"]
    detail = Detail(
        alike["at"],
        key.values,
        (reason, alike["upstream_status"], alike["error_type"], alike.get("streaming")),
        tuple(alike["tools"]),
        tuple((tag["k"], tag["v"]) for tag in alike["tags"]),
    )
    completed = len(ids) if reason == EndReason.COMPLETED else 0
    totals: Totals = {"interceptions": len(ids), "completed": completed, "failed": len(ids) - completed}
    totals[f"ends.{reason}"] = len(ids)
    totals |= {name: document[name] for name in (*TOKENS, *_COUNTS)}
    if document["priced"]:
        totals["cost"] = read_decimal(document["cost"])
    # A sum of nothing is a whole number.
    if any(isinstance(document[name], Decimal128) for name in KINDS):
        totals |= {name: read_decimal(document[name]) for name in MONEY}
    totals |= {name: histogram(key for key in document[name] if key is not None) for name in HISTOGRAMS}
    return Row(ids, key, token_key, detail, totals, document.get("counted"), bool(document.get("presumed")))


def tokens_of_call() -> dict[str, Any]:
    """Have the database add up the tokens of an interception, of each kind."""
    return {name: {"$max": [0, {"$min": [MAX_TOKENS, {"$sum": f"$token_usages.{name}"}]}]} for name in TOKENS}


def _number(condition: Any) -> dict[str, Any]:
    return {"$cond": [condition, 1, 0]}


def _bucket_index(took: Any) -> dict[str, Any]:
    """Return the bucket of a whole number of milliseconds (`histograms`) as an expression; None where there is none."""
    power = {"$ceil": {"$divide": [{"$ln": "$$took"}, math.log(GROWTH)]}}
    key = {"$cond": [{"$lte": ["$$took", 1]}, 0, {"$toInt": {"$min": [power, LAST_BUCKET]}}]}
    known = {"$cond": [{"$eq": ["$$took", None]}, None, key]}
    return {"$let": {"vars": {"took": took}, "in": known}}
