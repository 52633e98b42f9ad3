"""Removes the texts of calls when a policy says they have been kept for long enough. What is counted of the calls stays.

A call under such a policy has `texts_until` in its document from its start on, and `response_until` where the text of its
response goes earlier; `removal_at` is the next of both, and in an index. A run empties the texts whose time has come, and takes
the mark away or on: so any number of servers may run at the same time, stop and go on.

Texts are prompts, inputs of tools, thoughts, responses and messages of errors. Their checksums and digests go too: with them
somebody could test a guess at the text. What a session shows of the prompts, and what the search index has, follows a moment
later (`storage.derived`). A call in flight waits for its end. A true end that comes after a presumed one brings the mark with
the texts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from pymongo import UpdateOne

from intercept.records import Status
from storage.mongo.clocks import Now, Pause
from storage.mongo.database import Database
from storage.mongo.indexes import REMOVAL
from storage.recording.documents import Link
from storage.recording.operations import changed

PASS_SECONDS: Final = 60.0
"""From the end of one pass to the beginning of the next."""

BATCH: Final = 100
"""Calls whose texts are removed with one command."""

BATCH_PAUSE_SECONDS: Final = 0.1
"""The pause between two of them, in which the database has time for others."""

BATCH_SECONDS: Final = 10.0
"""How long the database may take for one."""

_OPERATION: Final = "remove texts"
_ENDED: Final = [Status.COMPLETED.value, Status.FAILED.value]
_DIGESTS: Final = ("blocks", "fingerprint", "continues")
_READ: Final = dict.fromkeys(("client_session_id", "removal_at", "texts_until"), True)


async def remove_due(
    database: Database, *, now: Now, removed: Callable[[int], None] = lambda _: None, pause: Pause = asyncio.sleep
) -> int:
    """Remove all texts whose time has come; return of how many calls.

    Raises:
        DatabaseUnavailableError: Not all were removed.
    """
    number = 0
    while found := await _remove_batch(database, now(), removed):
        number += found
        await pause(BATCH_PAUSE_SECONDS)
    return number


async def _remove_batch(database: Database, until: datetime, removed: Callable[[int], None]) -> int:
    due = {"removal_at": {"$lte": until}, "status": {"$in": _ENDED}}
    async with database.within(BATCH_SECONDS, _OPERATION):
        cursor = database.interceptions.find(due, _READ, sort=list(REMOVAL), hint=list(REMOVAL))
        calls = await cursor.limit(BATCH).to_list(BATCH)
        if not calls:
            return 0
        changes = [_without_texts(call, until) for call in calls]
        done = await database.interceptions.bulk_write(changes, ordered=False)
    removed(done.modified_count)
    return len(calls)


def _without_texts(call: Mapping[str, Any], until: datetime) -> UpdateOne:
    """Empty the texts of a call whose time has come, all or its response alone, unless another server was first."""
    fields: dict[str, Any] = changed()
    dropped = ["response_until"]
    texts_until = call.get("texts_until")
    if texts_until is not None and texts_until <= until:
        fields |= _TEXTS
        dropped += [*_DIGESTS, "texts_until", "removal_at"]
        if call["client_session_id"]:
            fields["links"] = [Link.SESSION.of(call["client_session_id"])]
        else:
            dropped.append("links")
    else:
        fields |= _RESPONSE
        if texts_until is None:
            dropped.append("removal_at")
        else:
            fields["removal_at"] = texts_until
    marked = {"_id": call["_id"], "removal_at": call["removal_at"]}
    return UpdateOne(marked, [{"$set": fields}, {"$unset": dropped}])


def _each(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change each entry of a list; a missing list stays missing."""
    changed = {"$map": {"input": f"${name}", "in": {"$mergeObjects": ["$$this", dict(changes)]}}}
    return {"$cond": [{"$isArray": f"${name}"}, changed, f"${name}"]}


def _without_message(error: str) -> dict[str, Any]:
    return {"$cond": [{"$gt": [error, None]}, {"$mergeObjects": [error, {"message": ""}]}, error]}


def _emptied(text: str) -> dict[str, Any]:
    return {"$cond": [{"$gt": [text, None]}, "", text]}


def _removed(metadata: str) -> dict[str, Any]:
    return {"metadata": {"$mergeObjects": [metadata, {"removed": True}]}}


_OF_ENTRY: Final = _removed("$$this.metadata")
_RESPONSE: Final = {
    "response": {
        "$cond": [
            {"$gt": ["$response", None]},
            {"$mergeObjects": ["$response", {"text": "", **_removed("$response.metadata")}]},
            "$response",
        ]
    }
}
_TEXTS: Final = {
    "user_prompts": _each("user_prompts", {"prompt": "", **_OF_ENTRY}),
    "tool_usages": _each(
        "tool_usages",
        {"input": "", "checksum": None, "invocation_error": _emptied("$$this.invocation_error"), **_OF_ENTRY},
    ),
    "model_thoughts": _each("model_thoughts", {"content": "", **_OF_ENTRY}),
    "tries": _each("tries", {"error": _without_message("$$this.error")}),
    "error": _without_message("$error"),
    **_RESPONSE,
}
