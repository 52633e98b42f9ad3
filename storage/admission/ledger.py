"""A ledger: the document in which all servers of a cluster count one limit, and the update that changes it. Pure.

```
{
  _id: "rate:60000:user:<id>" | "concurrency:server" | ..,
  clock: "<host>:<port>",                  the member of the replica set whose clock gave the times
  log: [{at, n}, ..],                      starts, tokens or money, in milliseconds since 1970
  members: {<server>: {number, held, granted, at, busy}},
  limit: [..],                             the limit as it was last requested, to show it
  window: ms, busy: bool,                  whether half of the limit is used: only then is the whole log read
  expires_at: date                         when nothing in it counts any more; a TTL index removes it
}
```

A member says what one server holds (slots, or reserved amounts), the number of its last change, what that was granted, and
whether half of the limit was used then.
A change takes effect once, however often it is sent, and only within `GRANT_MS` of the time for which it was made. So one
that was given up and arrives late does nothing, and an answer that was lost is found in the document.

Entries may count longer than a window, never shorter: those of one millisecond, and those of one part of a window in a long
log, are merged at the latest of their times, and when another member of the replica set became primary, all times move by
the largest difference of clocks, up to the present.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import bson
import msgspec
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from limits.calendar import bounds_of
from limits.limit import NEVER_NS, SLOT_RETRY_NS, UNLIMITED, BudgetPeriod, Limit, LimitKind, LimitState

MS = 1_000_000
"""Nanoseconds in a millisecond."""

GRANT_MS = 500
"""What was granted is used so many milliseconds later at most, or given back."""

MAX_SKEW_MS = 60_000
"""The clocks of two members of a replica set may differ by so many milliseconds."""

MAX_ENTRIES = 100
"""So many entries of a log are kept one by one. With more, those of one of as many parts of a window are merged."""

HELD_MS = 7 * 86_400_000
"""A ledger in which something is held is kept for so many milliseconds after its last change."""

Document = dict[str, Any]


class Span(NamedTuple):
    """What counts at a time, in milliseconds: entries after `begin`, until `end` in a calendar period, or for `window`."""

    now: int
    begin: int
    window: int = 0
    end: int = 0

    def leaves_in(self, at: int) -> int:
        """The milliseconds after which an entry does not count any more."""
        return (at + self.window if self.window else self.end) - self.now


def window_of(limit: Limit) -> int:
    """The window of a limit in milliseconds, rounded up."""
    return -(-limit.window_ns // MS)


def name_of(limit: Limit) -> str:
    """The name of a limit's ledger. Limits with the same kind, key and window or period have one ledger."""
    if limit.kind is LimitKind.BUDGET:
        return f"budget:{limit.period}:{limit.zone}:{limit.key}"
    if limit.kind is LimitKind.CONCURRENCY:
        return f"concurrency:{limit.key}"
    return f"{limit.kind}:{window_of(limit)}:{limit.key}"


def span_of(limit: Limit, now: int) -> Span:
    """What counts for a limit at a time of the database, in milliseconds."""
    if limit.kind is LimitKind.BUDGET:
        begin, end = bounds_of(limit.period, limit.zone, now * MS)
        return Span(now, begin // MS - 1, end=end // MS)
    window = window_of(limit) or 1
    return Span(now, now - window, window)


class Member(NamedTuple):
    """What a ledger says of one server; `granted` is what the change with this number was granted, at that time.

    `busy` says whether half of the limit was used when it was made.
    """

    number: int = 0
    held: int = 0
    granted: int = 0
    at: int = 0
    busy: bool = False

    @classmethod
    def of(cls, document: Document) -> Member:
        """What a document says. A later version may say more."""
        return cls(**{name: document[name] for name in cls._fields if name in document})


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger as it was read; `log` has times and amounts, in order."""

    log: Sequence[tuple[int, int]] = ()
    members: Mapping[str, Member] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Document) -> Ledger:
        """The ledger of a document."""
        log = sorted((one["at"], one["n"]) for one in document.get("log", ()))
        return cls(log, {name: Member.of(one) for name, one in document.get("members", {}).items()})

    def counted(self, span: Span) -> Ledger:
        """The ledger with the entries alone that count."""
        return replace(self, log=[(at, n) for at, n in self.log if at > span.begin])

    def after(self, change: LedgerChange, now: int) -> Ledger:
        """The ledger after a change at this time that was granted all it wants."""
        is_rate = change.limit.kind is LimitKind.RATE
        more = change.charge + (change.wanted if is_rate else 0)
        own = Member(change.number, change.held + (0 if is_rate else change.wanted), change.wanted, now)
        log = [*self.log, (now, more)] if more else self.log
        return Ledger(log, {**self.members, change.server: own})


class Use(NamedTuple):
    """How much of a limit is used: counted and held, and left to servers that may be deciding alone."""

    span: Span
    log: Sequence[tuple[int, int]] = ()
    used: int = 0
    held: int = 0
    left: int = 0


def state_of(limit: Limit, use: Use, need: int = 0) -> LimitState:
    """The state of a limit for a request that needs so much of it."""
    need = need or 1
    if limit.kind is LimitKind.CONCURRENCY:
        free = max(0, limit.maximum - use.held - use.left)
        wait = 0 if need <= free else (SLOT_RETRY_NS if limit.maximum > 0 else NEVER_NS)
        return LimitState(limit, use.held, free, wait, 0)
    reset, is_total = 0, limit.kind is LimitKind.BUDGET and limit.period is BudgetPeriod.TOTAL
    if (use.span.end or use.log) and not is_total:
        reset = use.span.leaves_in(use.log[-1][0] if use.log else use.span.now) * MS
    free = limit.maximum - use.used - use.held - use.left
    wait = 0
    if need > free:
        leaves = 0 if is_total else _wait(use, need - free) * MS
        is_never = need > limit.maximum - (use.used if is_total else 0)
        wait = NEVER_NS if is_never else leaves or SLOT_RETRY_NS
    return LimitState(limit, use.used, max(0, free), wait, reset, use.held)


def _wait(use: Use, lacking: int) -> int:
    """The milliseconds until so much has left the log; 0 if it has not so much."""
    for at, amount in use.log:
        lacking -= amount
        if lacking <= 0:
            return max(1, use.span.leaves_in(at))
    return 0


class LedgerChange(NamedTuple):
    """What one server changes in a ledger.

    Attributes:
        server: The server.
        number: The number of the change among all of this server.
        limit: The limit, with the largest maximum of those who ask.
        least: The smallest one.
        wanted: How much it wants: starts, slots, or an amount to reserve.
        held: What it holds without that.
        charge: What was used and the ledger does not know of.
        at_least: What was used in the period of a budget at least, by the records.
        returned: Times and numbers of granted starts that nobody used.
        absent: How much is left to servers that may be deciding alone.
        dead: Servers that do not hold any more what they held.
    """

    server: str
    number: int
    limit: Limit
    least: int
    wanted: int = 0
    held: int = 0
    charge: int = 0
    at_least: int = 0
    returned: tuple[tuple[int, int], ...] = ()
    absent: Mapping[str, int] = {}
    dead: Collection[str] = ()


def statement_of(change: LedgerChange, now: int, clock: str) -> Document:
    """The statement of an `update` that makes a change, if the database's time is about `now` by that clock."""
    limit, span = change.limit, span_of(change.limit, now)
    constants: Document = {
        "about": Int64(now),
        "clock": clock,
        "number": change.number,
        "wanted": change.wanted,
        "holding": change.held,
        "charge": change.charge,
        "atLeast": change.at_least,
        "maximum": limit.maximum,
        "half": Int64(change.least // 2),
        "keep": Int64(_keep(change, span)),
        "shown": [*limit_fields(limit)],
    }
    if limit.kind is LimitKind.BUDGET:
        constants["begin"] = Int64(span.begin)
    if change.returned:
        constants["returned"] = [{"at": Int64(at), "n": number} for at, number in change.returned]
    if change.absent:
        constants["absent"] = [{"k": name, "share": share} for name, share in change.absent.items()]
    if change.dead:
        constants["dead"] = list(change.dead)
    shape = _Shape(
        *(change.server, limit.kind, span.window, limit.maximum != UNLIMITED),
        *(bool(change.returned), bool(change.absent), bool(change.dead)),
    )
    return {"q": {"_id": name_of(limit)}, "u": [_update(shape)], "c": constants, "upsert": True}


def unexpected_of(changes: Sequence[LedgerChange], names: Sequence[str]) -> Document:
    """The statement of an `update` that counts those of these ledgers that are to be read.

    Those are the ones of which half is used, or was when a change was made, and those in which a change was not made. What a
    member says stays until the next change of the same server, so it does not matter what others have changed since.

    Args:
        changes: The changes of one server, made before in the same `update`. Their numbers are larger than earlier ones.
        names: Of all the ledgers.
    """
    own = f"members.{changes[0].server}"
    first = min(change.number for change in changes)
    changed = {"$in": [name_of(change.limit) for change in changes]}
    found: Sequence[Document] = (
        {"busy": True},
        {"_id": changed, f"{own}.busy": True},
        {"_id": changed, f"{own}.number": {"$not": {"$gte": first}}},
    )
    return {"q": {"_id": {"$in": list(names)}, "$or": found}, "u": [{"$set": {"busy": True}}], "multi": True}


def limit_fields(limit: Limit) -> Sequence[Any]:
    """A limit as it is stored."""
    fields: Sequence[Any] = msgspec.to_builtins(limit)
    return fields


def _keep(change: LedgerChange, span: Span) -> int:
    """For how many milliseconds the document is kept."""
    counts = 0 if change.limit.kind is LimitKind.CONCURRENCY else span.window or span.end - span.now
    holds = change.held or (change.wanted and change.limit.kind is not LimitKind.RATE)
    return max(counts, HELD_MS if holds else 0) + MAX_SKEW_MS


class _Shape(NamedTuple):
    """What updates have in common that differ in their constants alone."""

    server: str
    kind: LimitKind
    window: int
    is_shown: bool
    has_returned: bool
    has_absent: bool
    has_dead: bool


@lru_cache(maxsize=1_000)
def _update(shape: _Shape) -> RawBSONDocument:
    """The stage that changes a ledger, encoded: what differs from change to change are its constants."""
    server, kind, window, is_shown, has_returned, has_absent, has_dead = shape
    own = f"$members.{server}"
    is_new = {"$gt": ["$$number", {"$ifNull": [f"{own}.number", 0]}]}
    in_time = {"$lte": [{"$abs": {"$subtract": ["$$now", "$$about"]}}, GRANT_MS]}
    unchanged = {"$mergeObjects": [{"expires_at": "$$NOW"}, "$$ROOT"]}
    is_rate = kind is LimitKind.RATE
    more: Any = {"$add": ["$$add", "$$granted"]} if is_rate else "$$add"
    member = {
        "number": "$$number",
        "held": "$$holding" if is_rate else {"$add": ["$$holding", "$$granted"]},
        "granted": "$$granted",
        "at": "$$now",
        "busy": "$$busy",
    }
    fields: Document = {
        "clock": "$$clock",
        "members": {"$mergeObjects": [_living(has_dead=has_dead), {server: member}]},
        "expires_at": {"$add": ["$$NOW", "$$keep"]},
        "busy": "$$busy",
    }
    if kind is not LimitKind.CONCURRENCY:
        fields["log"] = _logged(kind, window, more)
        fields["window"] = window
    if is_shown:
        fields["limit"] = "$$shown"
    changed: Document = {"$mergeObjects": ["$$ROOT", fields]}
    free = {"$subtract": ["$$maximum", {"$add": ["$$used", "$$add", "$$holding", "$$others"]}]}
    granted = {"$cond": ["$$wanted", {"$max": [0, {"$min": ["$$wanted", free]}]}, 0]}
    add: Any = "$$charge"
    if kind is LimitKind.BUDGET:
        add = {"$cond": ["$$atLeast", {"$max": ["$$charge", {"$subtract": ["$$atLeast", "$$used"]}]}, "$$charge"]}
    busy = {"$gte": [{"$add": ["$$used", "$$add", "$$holding", "$$granted", "$$others"]}, "$$half"]}
    changed = _let({"add": add}, _let({"granted": granted}, _let({"busy": busy}, changed)))
    kept = [] if kind is LimitKind.CONCURRENCY else _kept(window, has_returned=has_returned)
    others = 0 if is_rate and not has_absent else _others(shape)
    changed = _let({"kept": kept}, _let({"used": {"$sum": "$$kept.n"}, "others": others}, changed))
    both = {"$cond": [{"$and": [is_new, in_time]}, changed, unchanged]}
    update = {"$replaceWith": _let({"now": {"$toLong": "$$NOW"}, "log": {"$ifNull": ["$log", []]}}, both)}
    return RawBSONDocument(bson.encode(update))


def _kept(window: int, *, has_returned: bool) -> Any:
    """The entries that count, without what was given back."""
    moved_at = {"$min": ["$$now", {"$add": ["$$one.at", MAX_SKEW_MS]}]}
    moved = {"$map": {"input": "$$log", "as": "one", "in": {"at": moved_at, "n": "$$one.n"}}}
    is_moved = {
        "$or": [
            {"$ne": [{"$ifNull": ["$clock", "$$clock"]}, "$$clock"]},
            {"$gt": [{"$ifNull": [{"$last": "$$log.at"}, 0]}, {"$add": ["$$now", GRANT_MS]}]},
        ]
    }
    log: Any = {"$cond": [is_moved, moved, "$$log"]}
    begin: Any = {"$subtract": ["$$now", window]} if window else "$$begin"
    counts: Any = {"$gt": ["$$one.at", begin]}
    if has_returned:
        same = {"$filter": {"input": "$$returned", "as": "other", "cond": {"$eq": ["$$other.at", "$$one.at"]}}}
        rest = {"$subtract": ["$$one.n", _let({"same": same}, {"$sum": "$$same.n"})]}
        log = {"$map": {"input": log, "as": "one", "in": {"at": "$$one.at", "n": rest}}}
        counts = {"$and": [counts, {"$gt": ["$$one.n", 0]}]}
    return {"$filter": {"input": log, "as": "one", "cond": counts}}


def _others(shape: _Shape) -> Any:
    """What other servers hold, or is left to them."""
    if shape.kind is LimitKind.RATE:
        return {"$sum": "$$absent.share"}
    absent, dead = ("$$absent.k" if shape.has_absent else []), ("$$dead" if shape.has_dead else [])
    aside: Any = {"$concatArrays": [[shape.server], absent, dead]}
    held = {"$cond": [{"$in": ["$$one.k", aside]}, 0, "$$one.v.held"]}
    members = {"$objectToArray": {"$ifNull": ["$members", {}]}}
    present: Any = {"$sum": {"$map": {"input": "$$all", "as": "one", "in": held}}}
    if shape.has_absent:
        same = {"$filter": {"input": "$$all", "as": "one", "cond": {"$eq": ["$$one.k", "$$other.k"]}}}
        left = _let({"same": same}, {"$max": ["$$other.share", {"$sum": "$$same.v.held"}]})
        present = {"$add": [present, {"$sum": {"$map": {"input": "$$absent", "as": "other", "in": left}}}]}
    return _let({"all": members}, present)


def _living(*, has_dead: bool) -> Any:
    """The members without those that are dead."""
    members: Any = {"$ifNull": ["$members", {}]}
    if not has_dead:
        return members
    lives = {"$not": {"$in": ["$$one.k", "$$dead"]}}
    return {"$arrayToObject": {"$filter": {"input": {"$objectToArray": members}, "as": "one", "cond": lives}}}


def _logged(kind: LimitKind, window: int, more: Any) -> Any:
    """The log with one more entry, if that is of something.

    No two entries have one time, as what was granted at a time is given back by that time.
    """
    if kind is LimitKind.BUDGET:
        total = {"$add": ["$$used", more]}
        return {"$cond": [{"$gt": [total, 0]}, [{"at": "$$now", "n": total}], []]}
    grain = max(1, window // MAX_ENTRIES)
    same = {
        "$eq": [
            {"$floor": {"$divide": ["$$now", grain]}},
            {"$floor": {"$divide": [{"$last": "$$kept.at"}, grain]}},
        ]
    }
    size = {"$size": "$$kept"}
    is_full = {"$gte": [size, MAX_ENTRIES]}
    is_merged = {"$or": [{"$eq": [{"$last": "$$kept.at"}, "$$now"]}, {"$and": [is_full, same]}]}
    last = {"at": "$$now", "n": {"$add": [{"$last": "$$kept.n"}, more]}}
    but_last = {"$cond": [{"$gt": [size, 1]}, {"$slice": ["$$kept", 0, {"$max": [1, {"$subtract": [size, 1]}]}]}, []]}
    merged = {"$concatArrays": [but_last, [last]]}
    appended = {"$concatArrays": ["$$kept", [{"at": "$$now", "n": more}]]}
    longer = {"$cond": [is_merged, merged, appended]}
    return {"$cond": [{"$gt": [more, 0]}, longer, "$$kept"]}


def _let(names: Document, then: Any) -> Document:
    return {"$let": {"vars": names, "in": then}}
