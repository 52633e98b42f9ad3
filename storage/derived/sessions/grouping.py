"""Adds ended calls to their sessions.

Each call is linked to an earlier one that it goes on with, its parent, and compared with the one before it, to find what the
prompt cache lost (`storage.derived.sessions.prompt_cache`): its document keeps that as `cache_loss`. Calls that repeat one
that failed are found: their documents keep `attempt`, `attempts` and `retry_of`, those of the others `retried`.

A call is a retry of another one, which started before it, if both have the same fingerprint (one user, model and
request), that one failed or was cut, had ended when it began, and that was at most `MAX_PAUSE` before. Each failed call
has one retry at most: of several the first. So the tries of a call make a row. A client that counts its tries is believed: its
first try may never have come to be recorded.

A call that answers a tool call goes on with the one that issued the call, and is in its thread. One of a client that does not
name its sessions goes on with the response that it names, or with the call whose messages it repeats (see
`intercept.conversations`): it begins a thread of its own, in the same session.

A call is linked when it has ended: `parent_id` and `root_id`, the first of the thread; `session_id`, unless the client names
that. Whoever goes on had the answer of its parent, so that is recorded by then; if it is not, because it waits on the disk of
another server, the call begins a session of its own. The results of tool calls go into the call that issued those,
`tool_usages[].result`. What is there stays, so doing it again changes nothing.

A parent has the same initiator and, if any, session of the client, and started before its child, so nothing is ever its
own ancestor. A conversation also stays with one client. Where several calls fit, the latest one is meant.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from bson.binary import Binary
from pymongo import DESCENDING, InsertOne, ReplaceOne, UpdateMany, UpdateOne

from intercept.ids import in_any_case
from intercept.records import Status
from storage.derived.changes import Ended
from storage.derived.sessions.prompt_cache import compare, lines_id
from storage.derived.sessions.session_documents import MAX_PROMPT, named_session, session_of, share, with_calls
from storage.mongo.database import Collection, Database, Session, with_plain_ids
from storage.mongo.indexes import BY_LINK, BY_REQUEST, Keys
from storage.recording.documents import MAX_ID, Link

AT_ONCE: Final = 100
"""Most documents that are read or written with one command: while they are decoded or encoded, nothing else runs."""

MAX_FAILED: Final = 2_000
"""The maximum number of failed calls that are read at a time."""

LONGEST: Final = timedelta(hours=1)
"""How long a call may have run that failed, to be found by who repeats it."""

Parts: TypeAlias = defaultdict[Binary, list[dict[str, Any]]]
Compared: TypeAlias = defaultdict[bytes, list[dict[str, Any]]]
Parents: TypeAlias = Mapping[Any, Mapping[str, Any]]

# Something was written to a cache for an hour: as Anthropic says it, and as Bedrock's Converse does.
_FOR_AN_HOUR: Final = re.compile(
    r'"ephemeral_1h_input_tokens":[1-9]|"inputTokens":[1-9][0-9]*,"ttl":"1h"|"ttl":"1h","inputTokens":[1-9]'
)
_WRITTEN: Final = ("parent_id", "root_id", "session_id", "cache_loss", "attempt", "attempts", "retry_of")


async def parents_of(database: Database, ended: Iterable[Ended]) -> dict[Any, dict[str, Any]]:
    """Find the calls that others go on with. This needs no transaction. Whatever the driver raises passes."""
    return await find_parents(
        with_plain_ids(database.interceptions), [one.after for one in ended if one.before is None]
    )


async def add_to_sessions(
    database: Database, ended: Sequence[Ended], parents: Parents, session: Session
) -> dict[Any, dict[str, Any]]:
    """Add calls, each of them once, to their sessions; return the `cache_loss` of those that lost something.

    `parents` are as `parents_of` finds them.

    No other transaction may do it meanwhile. Whatever the driver raises passes.
    """
    interceptions, sessions = with_plain_ids(database.interceptions), with_plain_ids(database.sessions)
    lines = with_plain_ids(database.cache_lines)
    # In a thread, as all of it takes some 20 ms.
    calls = await asyncio.to_thread(_calls, ended, parents)
    first = [call for call in calls if not call["again"]]
    if compared := _compared(first):
        found = lines.find({"_id": {"$in": list(compared)}}, batch_size=AT_ONCE, session=session)
        new_lines = await asyncio.to_thread(_compare, await found.to_list(None), compared)
        await _write(lines, new_lines, session)
    retried = await asyncio.to_thread(find_retries, first, await _failed(interceptions, first, session))
    await _read_repeated(interceptions, first, session)
    parts: Parts = defaultdict(list)
    for call in calls:
        parts[session_of(call)].append(call)
    known = sessions.find({"_id": {"$in": list(parts)}}, batch_size=AT_ONCE, session=session)
    await _write(sessions, await asyncio.to_thread(_changes, await known.to_list(None), parts), session)
    new = [
        UpdateOne({"_id": call["_id"]}, {"$set": fields})
        for call, one in zip(calls, ended, strict=True)
        if (fields := {name: call[name] for name in _WRITTEN if name in call and name not in one.after})
    ]
    await _write(interceptions, [*new, *results_for(calls, parents)], session)
    if retried:
        # After those above, of which some may have a retry by now.
        has_retry = {"$set": {"retried": True}, "$unset": {"attempts": ""}}
        await _write(interceptions, [UpdateMany({"_id": {"$in": retried}}, has_retry)], session)
    return {call["_id"]: call["cache_loss"] for call in calls if "cache_loss" in call}


async def _write(collection: Collection, changes: Sequence[Any], session: Session) -> None:
    # To insert a new document takes MongoDB 26 us, to let it replace nothing 44.
    for begin in range(0, len(changes), AT_ONCE):
        await collection.bulk_write(changes[begin : begin + AT_ONCE], ordered=False, session=session)


async def _failed(
    interceptions: Collection, calls: Sequence[Mapping[str, Any]], session: Session
) -> list[dict[str, Any]]:
    """Read the latest calls that failed and have no retry, of which these may be retries."""
    repeating = [call for call in calls if "fingerprint" in call and is_open(call)]
    if not repeating:
        return []
    links = {Link.FAILURE.of(call["fingerprint"]) for call in repeating}
    since = min(call["started_at"] for call in repeating) - MAX_PAUSE
    wanted = {
        "links": {"$in": list(links)},
        "started_at": {"$gte": since - LONGEST},
        "status": Status.FAILED.value,
        "retried": None,
        "ended_at": {"$gte": since},
    }
    found = dict.fromkeys(("fingerprint", "started_at", "ended_at", "attempt", "retry_count", "cost.usd"), True)
    latest = [("started_at", DESCENDING), ("_id", DESCENDING)]
    cursor = interceptions.find(wanted, found, sort=latest, batch_size=AT_ONCE, session=session)
    return await cursor.hint(BY_LINK).limit(MAX_FAILED).to_list(None)


async def _read_repeated(interceptions: Collection, calls: Iterable[dict[str, Any]], session: Session) -> None:
    """Read what the calls before cost, of calls that were found to be retries when they were added before."""
    retries = {call["retry_of"]: call for call in calls if "retry_of" in call and "repeated" not in call}
    if retries:
        async for before in interceptions.find({"_id": {"$in": list(retries)}}, {"cost.usd": True}, session=session):
            retries[before["_id"]]["repeated"] = before


def _calls(ended: Iterable[Ended], parents: Parents) -> list[dict[str, Any]]:
    """Return what sessions need of calls.

    `replaced` is what a call has added before; one that is added `again` with another price was compared with others then.
    """
    calls = []
    for before, after in ended:
        call = _call(after)
        call["again"] = before is not None and not before.get("presumed")
        if before is not None:
            call["replaced"] = share(before)
        calls.append(call)
    link(calls, parents)
    return calls


def _call(document: Mapping[str, Any]) -> dict[str, Any]:
    usages = document.get("token_usages") or ()
    typed = [one["prompt"] for one in document.get("user_prompts", ()) if not one["metadata"].get("synthetic")]
    call = {**document, "prompt": typed[-1][:MAX_PROMPT] if typed else ""}
    if len({usage.get("model") or "" for usage in usages}) > 1:
        # What an advisor reads is another model's cache: with its tokens a call is compared with no other.
        call.pop("blocks", None)
    if "blocks" in call:
        written = [usage["metadata"].get("usage") or "" for usage in usages if usage.get("metadata")]
        call["long_lived"] = any(map(_FOR_AN_HOUR.search, written))
    return call


def _compared(calls: Sequence[dict[str, Any]]) -> Compared:
    """Return the calls that are compared with the ones before them, oldest first, by the document with these."""
    compared: Compared = defaultdict(list)
    for call in sorted(calls, key=lambda call: call["started_at"]):
        if (id_ := lines_id(session_of(call), call)) is not None:
            compared[id_].append(call)
    return compared


def _compare(
    found: Iterable[Mapping[str, Any]], compared: Compared
) -> list[InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]]]:
    """Give each call that lost something its `cache_loss`; return the changes of what calls are compared with."""
    known = {one["_id"]: one for one in found}
    changes: list[InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]]] = []
    for id_, calls in compared.items():
        before = known.get(id_)
        fields, losses = compare(before, calls)
        for call in calls:
            if call["_id"] in losses:
                call.setdefault("cache_loss", losses[call["_id"]])
        if before:
            changes.append(ReplaceOne({"_id": id_}, fields))
        elif fields["lines"]:
            changes.append(InsertOne({"_id": id_, **fields}))
    return changes


def _changes(
    found: Iterable[Mapping[str, Any]], parts: Parts
) -> list[InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]]]:
    known = {one["_id"]: one for one in found}
    changes: list[InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]]] = []
    for id_, calls in parts.items():
        if before := known.get(id_):
            changes.append(ReplaceOne({"_id": id_}, with_calls(before, calls)))
        # One that retention has removed does not come back because of what its calls were.
        elif new := [call for call in calls if "replaced" not in call]:
            changes.append(InsertOne(with_calls(None, new)))
    return changes


MAX_PAUSE: Final = timedelta(minutes=10)
"""From the end of a call that failed to the beginning of its retry."""


def is_open(call: Mapping[str, Any]) -> bool:
    """Whether it is not known yet of a call, whose end is a true one, that it is a retry."""
    return not call.get("presumed") and "attempt" not in call


def find_retries(calls: Sequence[dict[str, Any]], failed: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Give each call that is a retry its `attempt` and `attempts`; where the call before is known, `retry_of` and `repeated`.

    `repeated` is that call itself.

    Args:
        calls: Calls that have ended, in any order.
        failed: All that failed with the same fingerprints as these and have no retry, these calls included.

    Returns:
        The ids of the calls that have a retry now.
    """
    candidates: dict[Any, list[Mapping[str, Any]]] = {}
    for one in failed:
        candidates.setdefault(one["fingerprint"], []).append(one)
    attempts: dict[Any, int] = {}
    retried: list[Any] = []
    for call in sorted(filter(is_open, calls), key=lambda call: call["started_at"]):
        others = candidates.get(call.get("fingerprint"), [])
        before = _before(call, others)
        count = int(call.get("retry_count", 0))
        if before is not None:
            others.remove(before)
            retried.append(before["_id"])
            last = attempts.get(before["_id"], before.get("attempt", before.get("retry_count", 0)))
            count = max(count, int(last) + 1)
        if not count:
            continue
        attempts[call["_id"]] = count
        call |= {"attempt": count, "attempts": count + 1}
        if before is not None:
            call |= {"retry_of": before["_id"], "repeated": before}
    return retried


def _before(call: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    began: datetime = call["started_at"]
    ended = (one for one in others if one["started_at"] < began and began - MAX_PAUSE <= one["ended_at"] <= began)
    return max(ended, key=lambda one: one["ended_at"], default=None)


CONVERSATION_PAUSE: Final = timedelta(days=7)
"""How long after a call its conversation may continue, if only its messages show that."""

SIDE_BY_SIDE: Final = 8
"""How many parents are looked for at a time."""

_NEWEST_FIRST: Final = [("started_at", DESCENDING), ("_id", DESCENDING)]
_FOUND: Final = {"session_id": True, "root_id": True}


async def find_parents(interceptions: Collection, calls: Iterable[Mapping[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Find the parents of calls that have one, by the ids of these calls. Whatever the driver raises passes."""
    searches = [
        (call["_id"], wanted)
        for call in calls
        if "root_id" not in call and "parent_id" not in call and (wanted := _wanted(call)) is not None
    ]
    found: dict[Any, dict[str, Any]] = {}
    for begin in range(0, len(searches), SIDE_BY_SIDE):
        some = searches[begin : begin + SIDE_BY_SIDE]
        parents = await asyncio.gather(
            *[interceptions.find_one(what, _FOUND, sort=_NEWEST_FIRST, hint=index) for _, (what, index) in some]
        )
        found |= {id_: parent for (id_, _), parent in zip(some, parents, strict=True) if parent is not None}
    return found


def link(calls: Sequence[dict[str, Any]], parents: Mapping[Any, Mapping[str, Any]]) -> None:
    """Give each call its `session_id`, and `parent_id` and `root_id` where it is in the thread of a parent.

    Args:
        calls: Calls that have ended, in any order.
        parents: As `find_parents` finds them, some of which may be among the calls.
    """
    known: dict[Any, Mapping[str, Any]] = {}
    for call in sorted(calls, key=lambda call: call["started_at"]):
        if (parent := parents.get(call["_id"])) is not None:
            parent = known.get(parent["_id"], parent)
            root_id = parent.get("root_id", parent["_id"])
            call.setdefault("session_id", parent.get("session_id", root_id))
            if call["answered_tool_call_id"]:
                call |= {"parent_id": parent["_id"], "root_id": root_id}
        if "session_id" not in call:
            call["session_id"] = named_session(call) or call["_id"]
        known[call["_id"]] = call


def results_for(calls: Iterable[Mapping[str, Any]], parents: Mapping[Any, Mapping[str, Any]]) -> list[UpdateOne]:
    """Return the changes that give tool calls of parents the results that their children have, unless they have theirs."""
    changes = []
    for call in calls:
        # MongoDB refuses two for one tool call.
        results = {one["id"]: one for one in call.get("tool_results", ()) if one["id"]}.values()
        if not results or (parent := parents.get(call["_id"])) is None:
            continue
        given = {
            f"tool_usages.$[r{number}].result": {"bytes": one["bytes"], "is_error": one["is_error"]}
            for number, one in enumerate(results)
        }
        which: list[Mapping[str, Any]] = [
            {f"r{number}.provider_tool_call_id": one["id"], f"r{number}.result": None}
            for number, one in enumerate(results)
        ]
        issued = {"_id": parent["_id"], "tool_usages": {"$exists": True}}
        changes.append(UpdateOne(issued, {"$set": given}, array_filters=which))
    return changes


def _wanted(child: Mapping[str, Any]) -> tuple[dict[str, Any], Keys] | None:
    """Return what the parent of a call has, and the index that finds it; None where it goes on with no other."""
    same = {"initiator_id": child["initiator_id"], "client_session_id": child["client_session_id"]}
    earlier = {"$lt": child["started_at"]}
    if tool_call_id := _id(child["answered_tool_call_id"]) or _result_id(child):
        return {**same, "links": Link.TOOL_CALL.of(tool_call_id, child["initiator_id"]), "started_at": earlier}, BY_LINK
    same["client"] = child["client"]
    if response_id := child.get("previous_response_id"):
        return {**same, "request_ids": in_any_case(response_id), "started_at": earlier}, BY_REQUEST
    # A policy may have removed it with the texts.
    if continues := child.get("continues"):
        recent = {"$gte": child["started_at"] - CONVERSATION_PAUSE, **earlier}
        return {**same, "links": Link.CONVERSATION.of(continues, child["initiator_id"]), "started_at": recent}, BY_LINK
    return None


def _id(id_: str | None) -> str | None:
    return id_ if id_ and len(id_) <= MAX_ID else None


def _result_id(child: Mapping[str, Any]) -> str | None:
    """Return the tool call by whose result alone the parent is found."""
    if child.get("previous_response_id") or child.get("continues"):
        return None
    results = child.get("tool_results")
    return results[-1]["id"] if results else None
