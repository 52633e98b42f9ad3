"""The job that prices past calls again, in batches, and corrects rollups and sessions exactly.

One process at a time has the job, by a lease; if it dies, another one continues after the last batch. A batch is one
transaction: the costs of its calls, and how far the job is. A call whose cost changes is marked like one whose end was
presumed (see `storage.derived.job`): with what it was counted with before, so that rollups and sessions take that away
and add what it is now.

A call that waits to be counted must not be changed: a run may have read it already. So the job begins when no call that
ended before the request waits any more, and `SETTLE_SECONDS` later, when also a run that hung has taken its marks away. It
pauses in the same way when a batch meets one that came late, from a spool, or that looks for its thread, which is not waited
for before. Calls that end later have the new prices anyway: `FOLLOWED` after the request every server follows them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final
from uuid import UUID

import msgspec
from bson.decimal128 import Decimal128
from pymongo import ReturnDocument, UpdateOne

from intercept.ids import format_id
from intercept.records import Status, TokenUsage
from storage.costs.prices import Cost
from storage.derived.job import BATCH_SECONDS
from storage.derived.rollup import TOKENS, document_of
from storage.derived.rollup_job import JOB_STATE as COUNTING
from storage.derived.sessions.session_documents import share
from storage.derived.sessions.session_job import CALL
from storage.derived.sessions.session_job import JOB_STATE as GROUPING
from storage.derived.totals import row_of, rows
from storage.mongo.clocks import Now, Pause
from storage.mongo.codec import EXACT, binary
from storage.mongo.database import Database, DatabaseUnavailableError, Session, with_plain_ids
from storage.mongo.errors import DatabaseRefusalError
from storage.mongo.indexes import BY_TIME, UNCOUNTED, UNGROUPED
from storage.prices.recost_documents import ACTIVE, Recost, RecostState
from storage.recording.figures import COST_PARTS, cost_figures_of

BATCH: Final = 100
"""Most calls of one batch."""

IDLE_SECONDS: Final = 2.0
"""Time between two checks for a job."""

BATCH_PAUSE_SECONDS: Final = 0.1
"""From one batch to the next, so that calls come first."""

LEASE_SECONDS: Final = 30.0
"""How long a process has the job after its last batch."""

SETTLE_SECONDS: Final = 15.0
"""From all calls being counted to the first batch: longer than a run of counting may take."""

FOLLOWED: Final = timedelta(seconds=10)
"""So long after the request calls may have ended at the prices before it: a server follows new ones within seconds, and the
clocks of two may differ. The job begins later."""

GIVE_UP_SECONDS: Final = 600.0
"""How long a job waits for calls to be counted, at first or in between."""

MAX_BEHIND: Final = 2_000
"""While more re-costed calls than this wait to be counted, the job waits."""

MAX_EARLIER: Final = 10
"""How many earlier costs a call keeps, the last ones."""

COUNT_SECONDS: Final = 120.0
"""How long it may take to count the calls. If it takes longer, their number stays unknown."""

NOT_COUNTED: Final = "calls still wait to be counted"

_MARKS: Final = (("uncounted", UNCOUNTED), ("ungrouped", UNGROUPED))
_PRICED: Final = {
    **dict.fromkeys(("provider_name", "model", "started_at", "cost", "billed", "presumed", *dict(_MARKS)), True),
    **{f"token_usages.{name}": True for name in ("model", "metadata.usage", *TOKENS)},
}
_OLDEST_FIRST: Final = [("started_at", 1), ("_id", 1)]

_log = logging.getLogger(__name__)

CostOf = Callable[[str, str, Sequence[TokenUsage], datetime], Cost | None]


class _LostError(Exception):
    """The job was cancelled, or another process has it."""


class Recosting:
    """Does the jobs of a database.

    Args:
        cost_of: What usages of a call of a provider and model cost that started at a time.
        refresh: Has the newest own prices hold in this process, and returns their version.
    """

    def __init__(
        self,
        database: Database,
        cost_of: CostOf,
        refresh: Callable[[], Awaitable[str]],
        *,
        holder: UUID,
        now: Now,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._database = database
        self._interceptions = with_plain_ids(database.interceptions)
        self._cost_of = cost_of
        self._refresh = refresh
        self._holder = holder
        self._now = now
        self._pause = pause

    async def run(self) -> None:
        """Run requested jobs, until cancelled."""
        while True:
            await self._database.health.wait_until_back()
            seconds = IDLE_SECONDS
            try:
                seconds = await self.step()
            except DatabaseUnavailableError as error:
                if isinstance(error, DatabaseRefusalError):
                    _log.warning("re-costing waits: %s", error)
            await self._pause(seconds)

    async def step(self) -> float:
        """Do a step of a job, if there is one; return the seconds until the next. Raises `DatabaseUnavailableError`."""
        job = await self._claim()
        if job is None:
            return IDLE_SECONDS
        try:
            if not await self._has_settled(job):
                return IDLE_SECONDS
            if job.state is RecostState.WAITING:
                return await self._begin(job)
            if await self._are_marked({"$exists": True}, MAX_BEHIND):
                await self._pause_job(job)
                return IDLE_SECONDS
            async with self._database.within(BATCH_SECONDS):
                is_over = await self._database.together(lambda session: self._batch(job, session))
            if is_over:
                await self._end(job, RecostState.DONE)
        except _LostError:
            return IDLE_SECONDS
        return BATCH_PAUSE_SECONDS

    async def _claim(self) -> Recost | None:
        """Claim the job, or renew its lease."""
        now = self._now()
        free = {"$or": [{"holder": self._holder}, {"lease_until": None}, {"lease_until": {"$lt": now}}]}
        lease = {"holder": self._holder, "lease_until": now + timedelta(seconds=LEASE_SECONDS)}
        async with self._database.within(BATCH_SECONDS):
            document = await self._database.recosts.find_one_and_update(
                {"state": {"$in": ACTIVE}, **free}, {"$set": lease}, return_document=ReturnDocument.AFTER
            )
        return None if document is None else Recost.of(document)

    async def _has_settled(self, job: Recost) -> bool:
        """Whether nothing of before the request waits to be counted, and has not for long enough."""
        now = self._now()
        is_over = job.counted_at is not None and now - job.counted_at >= timedelta(seconds=SETTLE_SECONDS)
        if is_over:
            return True
        if await self._are_marked({"$lte": job.requested_at}, 1):
            await self._pause_job(job, {"counted_at": ""})
        elif job.counted_at is None:
            await self._set(job, {"counted_at": now}, {"paused_at": ""})
        return False

    async def _pause_job(self, job: Recost, unset: Mapping[str, Any] | None = None) -> None:
        """Note since when a job waits for calls to be counted, and give it up if it is long."""
        now = self._now()
        paused_at = job.paused_at or now
        await self._set(job, {"paused_at": paused_at}, unset)
        if now - paused_at > timedelta(seconds=GIVE_UP_SECONDS):
            await self._end(job, RecostState.FAILED, error=NOT_COUNTED)

    async def _begin(self, job: Recost) -> float:
        await self._set(job, {"lease_until": self._now() + timedelta(seconds=COUNT_SECONDS + LEASE_SECONDS)})
        version, total = await self._refresh(), None
        with contextlib.suppress(DatabaseUnavailableError):
            async with self._database.within(COUNT_SECONDS, "count the calls", may_be_slow=True):
                total = await self._database.interceptions.count_documents(_range(job), hint=list(BY_TIME))
        began = {"begun_at": self._now(), "total": total, "prices_version": version}
        await self._set(job, {"state": RecostState.RUNNING.value, **began})
        _log.info("re-costing began: id=%s calls=%s prices=%s", job.id, total, version)
        return BATCH_PAUSE_SECONDS

    async def _are_marked(self, when: Mapping[str, Any], number: int) -> bool:
        """Whether so many calls or more wait to be counted since such a time, in rollups or in sessions."""
        async with self._database.within(BATCH_SECONDS):
            for name, index in _MARKS:
                found = await self._database.interceptions.count_documents({name: when}, limit=number, hint=list(index))
                if found >= number:
                    return True
        return False

    async def _batch(self, job: Recost, session: Session) -> bool:
        """Price the next calls; return whether there are no more.

        Raises:
            _LostError: Another process has the job now.
        """
        ours = {"_id": job.id, "state": RecostState.RUNNING.value, "holder": self._holder}
        document = await self._database.recosts.find_one(ours, session=session)
        if document is None:
            raise _LostError
        job = Recost.of(document)  # as of this transaction: a batch that is tried again goes on where it was
        cursor = self._interceptions.find(_range(job, job.position), _PRICED, session=session)
        calls = await cursor.sort(_OLDEST_FIRST).hint(list(BY_TIME)).limit(BATCH).to_list(BATCH)
        if not calls:
            return True
        costs = {call["_id"]: self._cost(call) for call in calls}
        changed = [call for call in calls if _is_another(call, costs[call["_id"]])]
        is_marked = any(name in call for call in changed for name, _ in _MARKS)
        if is_marked or await self._are_noted(changed, session):
            await self._database.recosts.update_one(ours, {"$unset": {"counted_at": ""}}, session=session)
            return False
        if changed:
            marks = await self._marks([call["_id"] for call in changed], session)
            at = self._now()
            updates = [_update(call, costs[call["_id"]], at, marks.get(call["_id"], {})) for call in changed]
            await self._interceptions.bulk_write(updates, ordered=False, session=session)
        progress = _progress(job, calls, changed, costs)
        progress["position"] = {"at": calls[-1]["started_at"], "id": calls[-1]["_id"]}
        went_on = {"$set": progress, "$unset": {"paused_at": ""}}
        moved = await self._database.recosts.update_one(ours, went_on, session=session)
        if not moved.matched_count:
            raise _LostError
        return False

    async def _are_noted(self, calls: Sequence[Mapping[str, Any]], session: Session) -> bool:
        """Whether the note of a run has some of these calls: whoever finishes that run would take away their new marks too."""
        ids = [call["_id"] for call in calls]
        noted = {"$or": [{"note.true": {"$in": ids}}, {"note.new._id": {"$in": ids}}]}
        for states, state in ((self._database.rollups, COUNTING), (self._database.sessions, GROUPING)):
            if await states.find_one({**state, **noted}, {"_id": True}, session=session) is not None:
                return True
        return False

    def _cost(self, call: Mapping[str, Any]) -> Cost | None:
        """What a call costs now; None where it keeps what it has: its end is presumed, it has no price, or cannot be read."""
        if call.get("presumed"):
            return None
        try:
            usages = [_usage(usage) for usage in call.get("token_usages", ())]
            return self._cost_of(call["provider_name"], call["model"], usages, call["started_at"])
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are priced
            _log.error("the call %s cannot be priced: %s", format_id(call["_id"].as_uuid()), type(error).__name__)
            return None

    async def _marks(self, ids: Sequence[Any], session: Session) -> dict[Any, dict[str, Any]]:
        """What each call was counted with, in rollups and in its session."""
        found = {"_id": {"$in": list(ids)}}
        counted = self._interceptions.aggregate([{"$match": found}, *rows(alone="$_id")], session=session)
        marks: dict[Any, dict[str, Any]] = {}
        for row in map(row_of, await counted.to_list(None)):
            marks[row.ids[0]] = {"counted": document_of(row.totals)}
        async for call in self._interceptions.find(found, CALL, session=session):
            marks[call["_id"]]["grouped"] = share(call)
        return marks

    async def _set(self, job: Recost, fields: Mapping[str, Any], unset: Mapping[str, Any] | None = None) -> None:
        ours = {"_id": job.id, "state": {"$in": ACTIVE}, "holder": self._holder}
        change = {name: dict(value) for name, value in (("$set", fields), ("$unset", unset)) if value}
        async with self._database.within(BATCH_SECONDS):
            changed = await self._database.recosts.update_one(ours, change)
        if not changed.matched_count:
            raise _LostError

    async def _end(self, job: Recost, state: RecostState, **fields: Any) -> None:
        await self._set(job, {"state": state.value, "ended_at": self._now(), **fields}, {"lease_until": ""})
        _log.info("re-costing ended: id=%s state=%s", job.id, state.value)


def _usage(document: Mapping[str, Any]) -> TokenUsage:
    """A usage with all that its price depends on."""
    counts: Any = {name: document.get(name) for name in TOKENS}
    known = document.get("metadata", {}).get("usage", "{}")
    usage = msgspec.json.decode(known, type=dict[str, Any])
    return TokenUsage(provider_response_id="", model=document.get("model", ""), usage=usage, **counts)


def _range(job: Recost, position: tuple[datetime, UUID] | None = None) -> dict[str, Any]:
    """The calls of a job that have ended, behind a position."""
    started: dict[str, Any] = {"$gte": job.start, "$lt": job.end}
    found: dict[str, Any] = {
        "started_at": started,
        "status": {"$ne": Status.IN_FLIGHT.value},
        "ended_at": {"$lte": job.requested_at + FOLLOWED},
    }
    if position is not None:
        at, id_ = position
        started["$gte"] = at
        found["$or"] = [{"started_at": {"$gt": at}}, {"_id": {"$gt": binary(id_)}}]
    return found


def _is_another(call: Mapping[str, Any], cost: Cost | None) -> bool:
    """Whether a call costs something else now. One without a price now keeps what it has."""
    before = call.get("cost")
    return cost is not None and (before is None or before["usd"].to_decimal() != cost.usd)


def _update(call: Mapping[str, Any], cost: Cost | None, at: datetime, marks: Mapping[str, Any]) -> UpdateOne:
    before = call.get("cost") or {"usd": None, "prices": None}
    stored = cost and cost.stored
    figures = cost_figures_of({**call, "cost": stored})
    fields: dict[str, Any] = {"cost": stored, **figures, **marks}
    if marks:
        fields |= {"uncounted": at, "ungrouped": at, "unindexed": at, "indexed": True}
    earlier = {"$each": [{**before, "replaced_at": at}], "$slice": -MAX_EARLIER}
    gone = {name: "" for name in COST_PARTS if name not in figures}
    change = {"$set": fields, "$push": {"earlier_costs": earlier}, **({"$unset": gone} if gone else {})}
    return UpdateOne({"_id": call["_id"]}, change)


def _progress(
    job: Recost,
    calls: Sequence[Mapping[str, Any]],
    changed: Sequence[Mapping[str, Any]],
    costs: Mapping[Any, Cost | None],
) -> dict[str, Any]:
    with localcontext(EXACT):
        before, after = job.before, job.after
        for call in calls:
            was = call["cost"]["usd"].to_decimal() if call.get("cost") else Decimal()
            before += was
            after += was if (cost := costs[call["_id"]]) is None else cost.usd
    return {
        "done": job.done + len(calls),
        "changed": job.changed + len(changed),
        "skipped": job.skipped + sum(bool(call.get("presumed")) for call in calls),
        "before": Decimal128(before),
        "after": Decimal128(after),
    }
