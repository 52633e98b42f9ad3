"""A ledger: the document that says who holds slots of one thing, and when its keys were admitted; and its one update.

There is a ledger for the whole server (slots only). Where the slots of users are limited there is one for each user (the
slots, and the rates of the user's tokens); else, and for clients without a valid token, one for each rate key. So what is
decided together stands in one document, and one update of that document, which MongoDB makes atomic, decides it: all or
nothing, however many processes ask.

```
{
  _id: "server" | "user:<id>" | "key:<token or address>",
  shares: [{process, slots, until, ruling}],   one per process, however many slots it holds, and what it was told last
  rates: [{key, log: [date, ..], until}],      at most `limit` dates per key, oldest first, none older than the window
  expires_at: date                             when nothing of this matters any more; a TTL index removes it
}
```

Time is `$$NOW`, the clock of the primary, in whole milliseconds. Updates may be applied in another order than they began
in; the log stays sorted, as no time is written that is before the last one. A clock that was set back is believed: what
it calls the future counts as `SKEW_MS` from now at most, which is later than it was, and so never admits too many.

A process writes how many slots it holds, not by how much that changes. So an update of which nobody knows whether it was
made does no lasting harm: the next one says it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

SKEW_MS = 1000
"""How far ahead of the clock a time in a ledger may be. Updates that overtake one another differ by less."""

READ_MS = 2000
"""How long the share of a process without slots is kept, for it to read what it was told, in milliseconds."""

SERVER = "server"
"""The ledger of the whole server."""

Document = dict[str, Any]


def ledger_of_user(user: str) -> str:
    """Name the ledger of a user."""
    return f"user:{user}"


def ledger_of_key(key: str) -> str:
    """Name the ledger of a rate key that belongs to no user, or to one whose slots are not limited."""
    return f"key:{key}"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `limit` admissions of a key in any window of `window_ms` milliseconds."""

    limit: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Ask:
    """What a process wants of a ledger, and what it has.

    Attributes:
        process: Who asks.
        number: Of the ask, among those of this process; its ruling has the same.
        wanted: How many requests it would like to start.
        held: How many slots it holds already.
        slots: How many there are for all processes together; None where slots are not limited.
        lease_ms: How long the slots stay its own without another word, in milliseconds.
        key: Whose rate is counted.
        rate: The limit of that rate; None where it is not counted.
    """

    process: UUID
    number: int
    wanted: int
    held: int
    slots: int | None
    lease_ms: int
    key: str = ""
    rate: RateLimit | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """What is left of a rate: how many requests may start now; nanoseconds until one may, and until all may."""

    limit: int
    remaining: int
    retry_after_ns: int
    reset_ns: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """What an update decided. The first `granted` of those who asked may start.

    Attributes:
        number: Of the ask.
        granted: How many.
        free: How many slots there were for them.
        used: How many admissions were in the window before.
        now: The time.
        next_at: The admission that has to leave the window before there is a place in it again; None if there is one.
        last_at: The newest admission, if there is any.
    """

    number: int
    granted: int
    free: int
    used: int
    now: datetime
    next_at: datetime | None
    last_at: datetime | None

    @classmethod
    def of(cls, document: Document) -> Ruling:
        """Read it from where it stands in a share."""
        return cls(
            number=document["number"],
            granted=document["granted"],
            free=document["free"],
            used=document["used"],
            now=document["now"],
            next_at=document.get("next_at"),
            last_at=document.get("last_at"),
        )

    def rate(self, limit: RateLimit, nth: int) -> Rate:
        """Say what is left after the `nth` of those who asked, counted from 0.

        The wait is exact: a request that comes so much later, by the database's clock, finds a place.
        """
        remaining = max(0, limit.limit - self.used - min(nth + 1, self.granted))
        return Rate(
            limit=limit.limit,
            remaining=remaining,
            retry_after_ns=0 if remaining else self._leaves_in(self.next_at, limit),
            reset_ns=self._leaves_in(self.last_at, limit),
        )

    def _leaves_in(self, admission: datetime | None, limit: RateLimit) -> int:
        if admission is None:
            return 0
        return (admission + timedelta(milliseconds=limit.window_ms) - self.now) // timedelta(microseconds=1) * 1000


def update(ask: Ask) -> list[Document]:
    """Write the update: an aggregation pipeline for the ledger, or for none yet, which makes one."""
    if ask.rate is None:
        return [
            {"$set": {"shares": _shares_of_others(ask)}},
            {"$set": {"ruling": _ruling(ask)}},
            {"$set": {"shares": _with_own_share(ask)}},
            {"$set": {"expires_at": _EXPIRY}},
            {"$unset": "ruling"},
        ]
    return [
        {"$set": {"shares": _shares_of_others(ask), "rates": _rates_of_others(ask), "log": _log(ask.key, ask.rate)}},
        {"$set": {"ruling": _ruling(ask)}},
        {"$set": {"log": _LOG_WITH_GRANTED}},
        {"$set": {"rates": _with_own_log(ask), "ruling": {"$mergeObjects": ["$ruling", _edges("$log", ask.rate)]}}},
        {"$set": {"shares": _with_own_share(ask)}},
        {"$set": {"expires_at": _EXPIRY}},
        {"$unset": ["log", "ruling"]},
    ]


def _shares_of_others(ask: Ask) -> Document:
    """Whose lease is over is left out; none lasts longer than a new one, whatever the clock said when it was written."""
    lively = {"$and": [{"$ne": ["$$this.process", ask.process]}, {"$gt": ["$$this.until", "$$NOW"]}]}
    until = {"$min": ["$$this.until", {"$add": ["$$NOW", ask.lease_ms + SKEW_MS]}]}
    return {
        "$map": {
            "input": {"$filter": {"input": {"$ifNull": ["$shares", []]}, "as": "this", "cond": lively}},
            "as": "this",
            "in": {"$mergeObjects": ["$$this", {"until": until}]},
        }
    }


def _rates_of_others(ask: Ask) -> Document:
    lively = {"$and": [{"$ne": ["$$this.key", {"$literal": ask.key}]}, {"$gt": ["$$this.until", "$$NOW"]}]}
    return {"$filter": {"input": {"$ifNull": ["$rates", []]}, "as": "this", "cond": lively}}


def _log(key: str, rate: RateLimit) -> Document:
    """Admissions of the key that are in the window."""
    of_key = {"$filter": {"input": "$rates", "as": "this", "cond": {"$eq": ["$$this.key", {"$literal": key}]}}}
    log = {"$ifNull": [{"$let": {"vars": {"own": {"$first": of_key}}, "in": "$$own.log"}}, []]}
    believed = {"$map": {"input": log, "as": "this", "in": {"$min": ["$$this", {"$add": ["$$NOW", SKEW_MS]}]}}}
    return _in_window(believed, rate)


def _in_window(log: Any, rate: RateLimit) -> Document:
    in_window = {"$gt": ["$$this", {"$subtract": ["$$NOW", rate.window_ms]}]}
    return {"$filter": {"input": log, "as": "this", "cond": in_window}}


def _ruling(ask: Ask) -> Document:
    used: Any = 0 if ask.rate is None else {"$size": "$log"}
    left: Any = ask.wanted if ask.rate is None else {"$subtract": [ask.rate.limit, used]}
    free: Any = ask.wanted
    if ask.slots is not None:
        free = {"$subtract": [ask.slots - ask.held, {"$sum": "$shares.slots"}]}
    granted = {"$max": [0, {"$min": [ask.wanted, free, left]}]}
    return {"number": ask.number, "now": "$$NOW", "free": free, "used": used, "granted": granted}


def _with_own_share(ask: Ask) -> Document:
    slots: Any = 0 if ask.slots is None else {"$add": [ask.held, "$ruling.granted"]}
    until = {"$add": ["$$NOW", {"$cond": [{"$gt": [slots, 0]}, ask.lease_ms, READ_MS]}]}
    share = {"process": ask.process, "slots": slots, "until": until, "ruling": "$ruling"}
    return {"$concatArrays": ["$shares", [share]]}


_LOG_WITH_GRANTED: Document = {
    "$concatArrays": [
        "$log",
        {
            "$map": {
                "input": {"$range": [0, "$ruling.granted"]},
                "as": "this",
                "in": {"$max": ["$$NOW", {"$last": "$log"}]},
            }
        },
    ]
}


def _with_own_log(ask: Ask) -> Document:
    rate = {"key": {"$literal": ask.key}, "log": "$log", "until": _over_at(ask.rate)}
    return {"$concatArrays": ["$rates", {"$cond": [{"$eq": ["$log", []]}, [], [rate]]}]}


def _over_at(rate: RateLimit | None) -> Document:
    return {"$add": [{"$last": "$log"}, rate.window_ms if rate else 0]}


def _edges(log: str, rate: RateLimit) -> Document:
    over = {"$subtract": [{"$size": log}, rate.limit]}
    next_at = {"$cond": [{"$gte": [over, 0]}, {"$arrayElemAt": [log, over]}, None]}
    return {"next_at": next_at, "last_at": {"$last": log}}


_EXPIRY: Document = {"$max": [{"$max": "$shares.until"}, {"$max": "$rates.until"}]}


def usage(rate: RateLimit | None) -> Document:
    """Write the projection of a ledger to `now`, the `slots` taken, and of each of its `rates` what `Ruling` has."""
    lively = {"$filter": {"input": "$shares", "as": "this", "cond": {"$gt": ["$$this.until", "$$NOW"]}}}
    told: Document = {"now": "$$NOW", "slots": {"$sum": {"$map": {"input": lively, "in": "$$this.slots"}}}}
    if rate is not None:
        edges = {"key": "$$rate.key", "used": {"$size": "$$log"}} | _edges("$$log", rate)
        of_rate = {"$let": {"vars": {"log": _in_window("$$rate.log", rate)}, "in": edges}}
        told["rates"] = {"$map": {"input": "$rates", "as": "rate", "in": of_rate}}
    return told
