"""Threads and conversations: a call goes on with an earlier one, its parent.

One that answers a tool call goes on with the one that issued the call, and is in its thread. One of a client that does not
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
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from pymongo import DESCENDING, UpdateOne

from intercept.ids import in_any_case
from storage.derived.sessions.session_documents import named_session
from storage.mongo.database import Collection
from storage.mongo.indexes import BY_LINK, BY_REQUEST, Keys
from storage.recording.documents import MAX_ID, Link

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
