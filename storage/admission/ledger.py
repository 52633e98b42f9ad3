"""A ledger: the document that says who holds slots of one thing, and when its keys were admitted; and its one update.

There is a ledger for the whole server (slots only). Where users are limited, by slots or by a rate, there is one for each
user (the slots, the user's own rate, and the rates of the user's tokens); else, and for clients without a valid token, one
for each rate key. So what is decided together stands in one document, and one update of that document, which MongoDB makes
atomic, decides it: all or nothing, however many processes ask.

```
{
  _id: "server" | "user:<id>" | "key:<token or address>",
  shares: [{process, slots, until, ruling}],   one per process, however many slots it holds, and what it was told last
  rates: [{key, log: [date, ..], until}],      at most `limit` dates per key, oldest first, none older than the window;
                                               the key of the user's own rate is the ledger's `_id`
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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
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
class Counted:
    """A rate for which a request counts: the `limit` of a `key`."""

    key: str
    limit: RateLimit


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
        rates: The rates for which the requests count, of different keys; all of them, or none.
    """

    process: UUID
    number: int
    wanted: int
    held: int
    slots: int | None
    lease_ms: int
    rates: tuple[Counted, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """What is left of a rate: how many requests may start now; nanoseconds until one may, and until all may."""

    limit: int
    remaining: int
    retry_after_ns: int
    reset_ns: int

    @property
    def used(self) -> int:
        """How many requests have started in the window."""
        return self.limit - self.remaining


class Used(NamedTuple):
    """How much of a rate is used.

    Attributes:
        used: How many admissions were in the window before.
        next_at: The admission that has to leave the window before there is a place in it again; None if there is one.
        last_at: The newest admission, if there is any.
    """

    used: int
    next_at: datetime | None
    last_at: datetime | None

    def rate(self, limit: RateLimit, now: datetime, granted: int = 0) -> Rate:
        """Say what is left when so many more are granted.

        The wait is exact: a request that comes so much later, by the database's clock, finds a place.
        """
        remaining = max(0, limit.limit - self.used - granted)
        return Rate(
            limit=limit.limit,
            remaining=remaining,
            retry_after_ns=0 if remaining else _leaves_in(self.next_at, limit, now),
            reset_ns=_leaves_in(self.last_at, limit, now),
        )


def _leaves_in(admission: datetime | None, limit: RateLimit, now: datetime) -> int:
    if admission is None:
        return 0
    return (admission + timedelta(milliseconds=limit.window_ms) - now) // timedelta(microseconds=1) * 1000


@dataclass(frozen=True, slots=True)
class Ruling:
    """What an update decided. The first `granted` of those who asked may start.

    Attributes:
        number: Of the ask.
        granted: How many.
        free: How many slots there were for them.
        now: The time.
        rates: What is used of each rate of the ask.
    """

    number: int
    granted: int
    free: int
    now: datetime
    rates: tuple[Used, ...] = ()

    @classmethod
    def of(cls, document: Document) -> Ruling:
        """Read it from where it stands in a share."""
        return cls(
            number=document["number"],
            granted=document["granted"],
            free=document["free"],
            now=document["now"],
            rates=tuple([Used(one["used"], one.get("next_at"), one.get("last_at")) for one in document["rates"]]),
        )

    def left(self, limits: Iterable[RateLimit], nth: int) -> tuple[Rate, ...]:
        """Say what is left of each rate after the `nth` of those who asked, counted from 0."""
        granted = min(nth + 1, self.granted)
        return tuple([used.rate(limit, self.now, granted) for used, limit in zip(self.rates, limits, strict=False)])


def update(ask: Ask) -> list[Document]:
    """Write the update: an aggregation pipeline for the ledger, or for none yet, which makes one."""
    logs = {f"log{number}": counted for number, counted in enumerate(ask.rates)}
    before = {"shares": _shares_of_others(ask)} | {log: _log(counted) for log, counted in logs.items()}
    stages: list[Document] = [before, {"ruling": _ruling(ask, logs)}]
    if logs:
        before["rates"] = _rates_of_others(ask)
        used = [_used(f"${log}", counted.limit) for log, counted in logs.items()]
        stages += [
            {log: _with_granted(f"${log}") for log in logs},
            {"rates": _with_own_logs(logs), "ruling.rates": used},
        ]
    stages += [{"shares": _with_own_share(ask)}, {"expires_at": _EXPIRY}]
    return [*({"$set": stage} for stage in stages), {"$unset": [*logs, "ruling"]}]


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
    own = {"$in": ["$$this.key", [{"$literal": counted.key} for counted in ask.rates]]}
    lively = {"$and": [{"$not": own}, {"$gt": ["$$this.until", "$$NOW"]}]}
    return {"$filter": {"input": {"$ifNull": ["$rates", []]}, "as": "this", "cond": lively}}


def _log(counted: Counted) -> Document:
    """Admissions of the key that are in the window."""
    of_key = {"$filter": {"input": "$rates", "as": "this", "cond": {"$eq": ["$$this.key", {"$literal": counted.key}]}}}
    log = {"$ifNull": [{"$let": {"vars": {"own": {"$first": of_key}}, "in": "$$own.log"}}, []]}
    believed = {"$map": {"input": log, "as": "this", "in": {"$min": ["$$this", {"$add": ["$$NOW", SKEW_MS]}]}}}
    return _in_window(believed, counted.limit)


def _in_window(log: Any, rate: RateLimit) -> Document:
    in_window = {"$gt": ["$$this", {"$subtract": ["$$NOW", rate.window_ms]}]}
    return {"$filter": {"input": log, "as": "this", "cond": in_window}}


def _ruling(ask: Ask, logs: Mapping[str, Counted]) -> Document:
    left = [{"$subtract": [counted.limit.limit, {"$size": f"${log}"}]} for log, counted in logs.items()]
    free: Any = ask.wanted
    if ask.slots is not None:
        free = {"$subtract": [ask.slots - ask.held, {"$sum": "$shares.slots"}]}
    granted = {"$max": [0, {"$min": [ask.wanted, free, *left]}]}
    return {"number": ask.number, "now": "$$NOW", "free": free, "granted": granted, "rates": []}


def _with_own_share(ask: Ask) -> Document:
    slots: Any = 0 if ask.slots is None else {"$add": [ask.held, "$ruling.granted"]}
    until = {"$add": ["$$NOW", {"$cond": [{"$gt": [slots, 0]}, ask.lease_ms, READ_MS]}]}
    share = {"process": ask.process, "slots": slots, "until": until, "ruling": "$ruling"}
    return {"$concatArrays": ["$shares", [share]]}


def _with_granted(log: str) -> Document:
    moment = {"$max": ["$$NOW", {"$last": log}]}
    granted = {"$map": {"input": {"$range": [0, "$ruling.granted"]}, "as": "this", "in": moment}}
    return {"$concatArrays": [log, granted]}


def _with_own_logs(logs: Mapping[str, Counted]) -> Document:
    own = []
    for log, counted in logs.items():
        over_at = {"$add": [{"$last": f"${log}"}, counted.limit.window_ms]}
        rate = {"key": {"$literal": counted.key}, "log": f"${log}", "until": over_at}
        own.append({"$cond": [{"$eq": [f"${log}", []]}, [], [rate]]})
    return {"$concatArrays": ["$rates", *own]}


def _used(log: str, rate: RateLimit) -> Document:
    """What was used before those were granted that the log has now."""
    return {"used": {"$subtract": [{"$size": log}, "$ruling.granted"]}} | _edges(log, rate)


def _edges(log: str, rate: RateLimit) -> Document:
    over = {"$subtract": [{"$size": log}, rate.limit]}
    next_at = {"$cond": [{"$gte": [over, 0]}, {"$arrayElemAt": [log, over]}, None]}
    return {"next_at": next_at, "last_at": {"$last": log}}


_EXPIRY: Document = {"$max": [{"$max": "$shares.until"}, {"$max": "$rates.until"}]}


def usage(rate: RateLimit | None, user_rate: RateLimit | None = None) -> Document:
    """Write the projection of a ledger to `now`, the `slots` taken, and of each of its `rates` what `Used` has.

    Args:
        rate: The limit of tokens and addresses; None where it is off.
        user_rate: The limit of users.
    """
    lively = {"$filter": {"input": "$shares", "as": "this", "cond": {"$gt": ["$$this.until", "$$NOW"]}}}
    told: Document = {"now": "$$NOW", "slots": {"$sum": {"$map": {"input": lively, "in": "$$this.slots"}}}}
    limits = (
        (rate, {"$ne": ["$$rate.key", "$_id"]}, "rates"),
        (user_rate, {"$eq": ["$$rate.key", "$_id"]}, "user_rates"),
    )
    for limit, is_meant, name in limits:
        if limit is not None:
            edges = {"key": "$$rate.key", "used": {"$size": "$$log"}} | _edges("$$log", limit)
            of_rate = {"$let": {"vars": {"log": _in_window("$$rate.log", limit)}, "in": edges}}
            meant = {"$filter": {"input": "$rates", "as": "rate", "cond": is_meant}}
            told[name] = {"$map": {"input": meant, "as": "rate", "in": of_rate}}
    return told
