"""Ledgers as documents of MongoDB, and the statements that write them; see `storage.admission.ledger_store`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from pymongo import ReplaceOne, UpdateOne

from limits.limit import UNLIMITED
from storage.admission.kinds.parameters import span_of
from storage.admission.ledger import MAX_ENTRIES, MAX_SKEW_MS, Ledger, Member
from storage.admission.round import Change
from storage.mongo.codec import read_ms

HELD_MS = 86_400_000
"""A ledger in which something is held is kept for so many milliseconds. It is written again more often."""

Document = dict[str, Any]


def ledger_of(document: Mapping[str, Any]) -> Ledger:
    """The ledger of a document. The database adds entries at the end of the log."""
    log = document["log"]
    members = {name: Member(*said) for name, said in document["members"].items()}
    return Ledger(document["clock"], sorted(zip(log[::2], log[1::2], strict=True)), members)


def document_of(change: Change) -> Document:
    """The document of a ledger as it is to be written."""
    ledger, limit = change.ledger, change.limit
    now = max([member.at for member in ledger.members.values()], default=0)
    last = ledger.entries[-1][0] if ledger.entries else now
    span = span_of(limit, now)
    until = max(last + span.window, span.end, now)
    if any(member.held for member in ledger.members.values()):
        until = max(until, now + HELD_MS)
    document = {
        "_id": change.name,
        "version": change.after,
        "clock": ledger.clock,
        "log": [number for entry in ledger.entries for number in entry],
        "members": {name: [one.held, one.report, one.write, one.at] for name, one in ledger.members.items()},
        "expires_at": read_ms(until + MAX_SKEW_MS),  # the clock of another primary may decide this
    }
    if limit.maximum != UNLIMITED:
        document["limit"] = msgspec.to_builtins(limit)
    return document


def statement_of(change: Change, process: str) -> ReplaceOne[Document] | UpdateOne:
    """The statement that makes a change. If another server changed the ledger, it fails with a duplicate key."""
    document = document_of(change)
    if change.room is not None:
        return UpdateOne({"_id": change.name}, _adding(change, change.room, document, process), upsert=True)
    which = {"_id": change.name, "version": change.before or ""}
    return ReplaceOne(which | ({"base": change.base} if change.base else {}), document, upsert=True)


def _adding(change: Change, room: int, document: Document, process: str) -> list[Document]:
    """An update that adds to a ledger if there is room for it, and otherwise leaves it as it is."""
    own, begin = change.ledger.members[process], span_of(change.limit, change.ledger.members[process].at).begin
    place, count = {"$arrayElemAt": ["$log", "$$this"]}, {"$arrayElemAt": ["$log", {"$add": ["$$this", 1]}]}
    counted = {"$cond": [{"$gte": [place, begin]}, count, 0]}
    used = {"$sum": {"$map": {"input": {"$range": [0, {"$size": "$log"}, 2]}, "as": "this", "in": counted}}}
    held = {"$cond": [{"$eq": ["$$this.k", process]}, 0, {"$arrayElemAt": ["$$this.v", 0]}]}
    others = {"$sum": {"$map": {"input": {"$objectToArray": "$members"}, "as": "this", "in": held}}}
    before = {"$ifNull": [f"$members.{process}", [0, 0, 0, 0]]}
    fits = {
        "$and": [
            {"$eq": ["$clock", {"$literal": change.ledger.clock}]},
            {"$lte": [read_ms(own.at), "$$NOW"]},  # otherwise the clock was set back, and too little counts
            {"$lte": [{"$size": "$log"}, 2 * MAX_ENTRIES]},
            {"$lt": [{"$arrayElemAt": [before, 2]}, own.write]},
            {"$lte": [{"$add": [used, others]}, room]},
        ]
    }
    member = [own.held, {"$max": [{"$arrayElemAt": [before, 1]}, own.report]}, own.write, own.at]
    added = {
        "version": {"$literal": document["version"]},
        "base": "$version",
        "log": {"$concatArrays": ["$log", document["log"]]},
        "members": {"$mergeObjects": ["$members", {process: member}]},
        "expires_at": {"$max": ["$expires_at", document["expires_at"]]},
        "limit": {"$literal": document["limit"]} if "limit" in document else "$limit",
    }
    branches = [
        {"case": {"$eq": [{"$type": "$version"}, "missing"]}, "then": {"$literal": document}},
        {"case": fits, "then": {"$mergeObjects": ["$$ROOT", added]}},
    ]
    return [{"$replaceWith": {"$switch": {"branches": branches, "default": "$$ROOT"}}}]
