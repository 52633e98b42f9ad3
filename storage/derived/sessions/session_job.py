"""The job that adds every ended interception to its session, exactly once (see `storage.derived.job`).

A call that may still be linked to a thread (see `storage.derived.sessions.threads`) waits, because its session is
not known yet. A presumed end is added with what it then says, and its document keeps that as `grouped`.

Before that, each call is compared with the one before it, to find what the prompt cache lost (see
`storage.derived.sessions.prompt_cache`): its document keeps that as `cache_loss`. And calls that repeat one that
failed are found (see `storage.derived.sessions.retries`): their documents keep `attempt`, `attempts` and
`retry_of`, those of the others `retried`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from bson.binary import Binary
from pymongo import InsertOne, ReplaceOne, UpdateMany, UpdateOne

from intercept.records import Status
from storage.derived.job import AT_ONCE, ExactlyOnceJob, Pending
from storage.derived.rollup import NO_USAGE, TOKENS
from storage.derived.sessions.prompt_cache import compare, lines_id
from storage.derived.sessions.retries import MAX_PAUSE, find_retries, is_open
from storage.derived.sessions.session_documents import MAX_PROMPT, session_of, share, with_calls
from storage.mongo.clocks import Pause
from storage.mongo.database import Database, Session, with_plain_ids
from storage.mongo.indexes import BY_FINGERPRINT, UNGROUPED

PAUSE_SECONDS = 2.0
"""The pause between two runs."""

BEHIND_SECONDS = 1.0
"""The pause while more waits than one run adds and calls are in progress. Calls come first: some 500 a second are added then,
and ten times as many when no call is in progress."""

BATCH = 500
"""Most interceptions that are added in one transaction."""

MAX_FAILED = 2_000
"""The maximum number of failed calls that are read at a time, and of one request."""

JOB_STATE = {"_id": "grouping"}
"""Finds the document, among the sessions, that says what has been added and is still marked."""

Parts: TypeAlias = defaultdict[Binary, list[Mapping[str, Any]]]
Compared: TypeAlias = defaultdict[bytes, list[dict[str, Any]]]

_MARKED = {"ungrouped": {"$exists": True}, "unlinked": None}

# The prompts that a user wrote.
_TYPED = {
    "$map": {
        "input": {"$filter": {"input": "$user_prompts", "cond": {"$ne": ["$$this.metadata.synthetic", True]}}},
        "in": "$$this.prompt",
    }
}
# Something was written to a cache for an hour: as Anthropic says it, and as Bedrock's Converse does.
_FOR_AN_HOUR = r'"ephemeral_1h_input_tokens":[1-9]|"inputTokens":[1-9][0-9]*,"ttl":"1h"|"ttl":"1h","inputTokens":[1-9]'
_LONG_LIVED = {"$regexMatch": {"input": "$$this", "regex": _FOR_AN_HOUR}}
# The models of its usages; "" is the call's own.
_MODELS = {"$map": {"input": {"$ifNull": ["$token_usages", []]}, "in": {"$ifNull": ["$$this.model", ""]}}}
# Prompts and usages may be large: only the needed parts leave the database.
CALL = {
    **dict.fromkeys(
        (
            *("initiator_id", "client_session_id", "session_id", "root_id", "provider", "provider_name", "model"),
            *("client", "status", "started_at", "first_byte_at", "ended_at", "cost", "presumed", "grouped"),
            *("agent.id", "fingerprint", "retry_count", "attempt", "texts_until"),
            "earlier_costs.replaced_at",
        ),
        True,
    ),
    **{name: {"$sum": f"$token_usages.{name}"} for name in TOKENS},
    "no_usage": NO_USAGE,
    # What an advisor reads is another model's cache: with its tokens a call is compared with no other.
    "blocks": {"$cond": [{"$gt": [{"$size": {"$setUnion": [_MODELS]}}, 1]}, "$$REMOVE", "$blocks"]},
    "long_lived": {
        "$anyElementTrue": [{"$map": {"input": {"$ifNull": ["$token_usages.metadata.usage", []]}, "in": _LONG_LIVED}}]
    },
    "prompt": {"$substrCP": [{"$ifNull": [{"$last": _TYPED}, ""]}, 0, MAX_PROMPT]},
}


class SessionJob(ExactlyOnceJob):
    """Adds the interceptions of a database to its sessions."""

    log = logging.getLogger(__name__)
    verb, missing, waiting = "group", "there are no sessions", "nothing is added to sessions"
    job_state = JOB_STATE
    mark, kept = "ungrouped", "grouped"
    marked, index = _MARKED, UNGROUPED
    batch = BATCH
    seconds, behind_seconds = PAUSE_SECONDS, BEHIND_SECONDS

    def __init__(
        self,
        database: Database,
        *,
        pause: Pause = asyncio.sleep,
        busy: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(database, database.sessions, pause=pause, busy=busy)
        self._sessions = with_plain_ids(database.sessions)
        self._lines = with_plain_ids(database.cache_lines)

    async def _add(self, limit: int, session: Session) -> Pending:
        cursor = self._interceptions.find(self._waiting, CALL, batch_size=AT_ONCE, session=session)
        calls = await cursor.sort(UNGROUPED).hint(UNGROUPED).limit(limit).to_list(limit)
        # In a thread, as all of it takes some 20 ms.
        if compared := _compared(calls):
            lines = self._lines.find({"_id": {"$in": list(compared)}}, batch_size=AT_ONCE, session=session)
            new_lines = await asyncio.to_thread(_compare, await lines.to_list(len(compared)), compared)
            await self._write(self._lines, new_lines, session, ordered=False)
        retried = await asyncio.to_thread(find_retries, calls, await self._failed(calls, session))
        parts, pending = await asyncio.to_thread(_parted, calls)
        pending["retried"] = retried
        known = self._sessions.find({"_id": {"$in": list(parts)}}, batch_size=AT_ONCE, session=session)
        changes = await asyncio.to_thread(_changes, await known.to_list(len(parts)), parts)
        await self._write(self._sessions, changes, session, ordered=False)
        return pending

    async def _failed(self, calls: Sequence[Mapping[str, Any]], session: Session) -> list[dict[str, Any]]:
        """Read the calls that failed and have no retry, of which these may be retries."""
        repeating = [call for call in calls if "fingerprint" in call and is_open(call)]
        if not repeating:
            return []
        prints = {call["fingerprint"] for call in repeating}
        since = min(call["started_at"] for call in repeating) - MAX_PAUSE
        wanted = {
            "status": Status.FAILED.value,
            "retried": None,
            "ended_at": {"$gte": since},
        }
        found = dict.fromkeys(("fingerprint", "started_at", "ended_at", "attempt", "retry_count", "cost.usd"), True)
        failed: list[dict[str, Any]] = []
        while prints:
            alike = {"fingerprint": {"$in": list(prints)}, **wanted}
            cursor = self._interceptions.find(alike, found, batch_size=AT_ONCE, session=session)
            page = await cursor.sort(BY_FINGERPRINT).hint(BY_FINGERPRINT).limit(MAX_FAILED).to_list(MAX_FAILED)
            failed += page
            if len(page) < MAX_FAILED:
                break
            # A request that fails very often hides no other ones.
            prints = {one for one in prints if one > page[-1]["fingerprint"]}
        return failed

    def _number_of(self, pending: Pending) -> int:
        return super()._number_of({name: ids for name, ids in pending.items() if name != "retried"})

    def _unmarking(self, pending: Pending) -> list[UpdateMany | UpdateOne]:
        unmark = {"$unset": {"ungrouped": "", "grouped": ""}}
        new = (
            UpdateOne({"_id": one["_id"]}, {"$set": {name: one[name] for name in one if name != "_id"}, **unmark})
            for one in pending["new"]
        )
        # After those above, of which some may have a retry by now.
        retried = UpdateMany(
            {"_id": {"$in": pending["retried"]}}, {"$set": {"retried": True}, "$unset": {"attempts": ""}}
        )
        return [*new, *([retried] if pending["retried"] else []), *super()._unmarking(pending)]


def _compared(calls: Sequence[dict[str, Any]]) -> Compared:
    """Return the calls that are compared with the ones before them, oldest first, by the document with these."""
    compared: Compared = defaultdict(list)
    for call in sorted(calls, key=lambda call: call["started_at"]):
        # It was compared before its price changed, and its session has what it lost.
        is_priced_again = "grouped" in call and "earlier_costs" in call
        if not is_priced_again and (id_ := lines_id(session_of(call), call)) is not None:
            compared[id_].append(call)
    return compared


def _compare(found: Iterable[Mapping[str, Any]], compared: Compared) -> list[ReplaceOne[dict[str, Any]]]:
    """Give each call that lost something its `loss`; return the changes of what calls are compared with."""
    known = {one["_id"]: one for one in found}
    changes = []
    for id_, calls in compared.items():
        before = known.get(id_)
        fields, losses = compare(before, calls)
        for call in calls:
            if call["_id"] in losses:
                call["loss"] = losses[call["_id"]]
        if fields["lines"] or before:
            changes.append(ReplaceOne({"_id": id_}, {"_id": id_, **fields}, upsert=True))
    return changes


def _parted(calls: Sequence[Mapping[str, Any]]) -> tuple[Parts, Pending]:
    """Return calls by their sessions, and the note of them."""
    parts: Parts = defaultdict(list)
    for call in calls:
        parts[session_of(call)].append(call)
    return parts, _pending(calls)


def _changes(
    found: Iterable[Mapping[str, Any]], parts: Parts
) -> list[InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]]]:
    known = {one["_id"]: one for one in found}
    changed = [(known.get(id_), calls) for id_, calls in parts.items()]
    # To insert a new one takes MongoDB 26 us, to let it replace nothing 44.
    return [
        ReplaceOne({"_id": before["_id"]}, with_calls(before, calls)) if before else InsertOne(with_calls(None, calls))
        for before, calls in changed
    ]


def _pending(calls: Sequence[Mapping[str, Any]]) -> Pending:
    """Return which calls these are, with what they added if their end is presumed, else with what is new in them."""
    pending: Pending = {"true": [], "new": [], "presumed": []}
    for call in calls:
        if call.get("presumed"):
            pending["presumed"].append({"_id": call["_id"], "session_id": session_of(call), "grouped": share(call)})
        elif "loss" in call or "retry" in call:
            found = {"cache_loss": call["loss"]} if "loss" in call else {}
            pending["new"].append(
                {"_id": call["_id"], "session_id": session_of(call), **found, **call.get("retry", {})}
            )
        elif "session_id" in call:
            pending["true"].append(call["_id"])
        else:
            pending["new"].append({"_id": call["_id"], "session_id": session_of(call)})
    return pending
