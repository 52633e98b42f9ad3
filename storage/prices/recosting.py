"""The job that prices past calls again, in batches.

One process at a time has the job, by a lease; if it dies, another one continues after the last batch. A batch is one
transaction: the costs of its calls, and how far the job is. What is derived of a call whose cost changes follows (see
`storage.recording.operations`). Calls that end after the request have the new prices anyway: `FOLLOWED` after it every server
follows them, and the job begins.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final
from uuid import UUID

import msgspec
from pymongo import ReturnDocument, UpdateOne

from intercept.ids import format_id
from intercept.records import Status, TokenUsage
from storage.derived.rollup import TOKENS
from storage.mongo.clocks import Now
from storage.mongo.codec import EXACT, binary
from storage.mongo.database import Database, DatabaseUnavailableError, Session, with_plain_ids
from storage.mongo.indexes import BY_TIME
from storage.prices.pricing import Cost
from storage.prices.recosts import ACTIVE, Recost, RecostState
from storage.recording.figures import COST_PARTS, cost_figures_of
from storage.recording.operations import CHANGING, changed

BATCH: Final = 100
"""Most calls of one batch."""

BATCH_SECONDS: Final = 10.0
"""How long the database may take for one."""

IDLE_SECONDS: Final = 2.0
"""Time between two checks for a job."""

BATCH_PAUSE_SECONDS: Final = 0.1
"""From one batch to the next, so that calls come first."""

LEASE_SECONDS: Final = 30.0
"""How long a process has the job after its last batch."""

FOLLOWED: Final = timedelta(seconds=10)
"""So long after the request calls may have ended at the prices before it: a server follows new ones within seconds, and the
clocks of two may differ. The job begins later."""

MAX_EARLIER: Final = 10
"""How many earlier costs a call keeps, the last ones."""

COUNT_SECONDS: Final = 120.0
"""How long it may take to count the calls. If it takes longer, their number stays unknown."""

_PRICED: Final = {
    **dict.fromkeys(("model", "started_at", "billed", *CHANGING), True),
    **{f"token_usages.{name}": True for name in ("model", "metadata.usage", *TOKENS)},
    "tool_usages": {"tool": True},
}
_OLDEST_FIRST: Final = [("started_at", 1), ("_id", 1)]

_log = logging.getLogger(__name__)

CostOf = Callable[[str, str, Sequence[TokenUsage], datetime], Cost | None]


class _RecostingLostError(Exception):
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
    ) -> None:
        self._database = database
        self._interceptions = with_plain_ids(database.interceptions)
        self._cost_of = cost_of
        self._refresh = refresh
        self._holder = holder
        self._now = now

    async def step(self) -> float:
        """Do a step of a job, if there is one; return the seconds until the next. Raises `DatabaseUnavailableError`."""
        job = await self._claim()
        if job is None:
            return IDLE_SECONDS
        try:
            if self._now() < job.requested_at + FOLLOWED:
                return IDLE_SECONDS
            if job.state is RecostState.WAITING:
                return await self._begin(job)
            async with self._database.within(BATCH_SECONDS):
                is_over = await self._database.together(lambda session: self._batch(job, session))
            if is_over:
                done = {"state": RecostState.DONE.value, "ended_at": self._now()}
                await self._set(job, done, {"lease_until": ""})
                _log.info("re-costing is done: id=%s", job.id)
        except _RecostingLostError:
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

    async def _batch(self, job: Recost, session: Session) -> bool:
        """Price the next calls; return whether there are no more.

        Raises:
            _RecostingLostError: Another process has the job now.
        """
        ours = {"_id": job.id, "state": RecostState.RUNNING.value, "holder": self._holder}
        document = await self._database.recosts.find_one(ours, session=session)
        if document is None:
            raise _RecostingLostError
        job = Recost.of(document)  # as of this transaction: a batch that is tried again goes on where it was
        cursor = self._interceptions.find(_range(job, job.position), _PRICED, session=session)
        calls = await cursor.sort(_OLDEST_FIRST).hint(list(BY_TIME)).limit(BATCH).to_list(BATCH)
        if not calls:
            return True
        costs = {call["_id"]: self._cost(call) for call in calls}
        changed = [call for call in calls if _is_another(call, costs[call["_id"]])]
        if changed:
            at = self._now()
            updates = [_update(call, costs[call["_id"]], at) for call in changed]
            await self._interceptions.bulk_write(updates, ordered=False, session=session)
        progress = _progress(job, calls, changed, costs)
        progress["position"] = [calls[-1]["started_at"], calls[-1]["_id"]]
        moved = await self._database.recosts.update_one(ours, {"$set": progress}, session=session)
        if not moved.matched_count:
            raise _RecostingLostError
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

    async def _set(self, job: Recost, fields: Mapping[str, Any], unset: Mapping[str, Any] | None = None) -> None:
        ours = {"_id": job.id, "state": {"$in": ACTIVE}, "holder": self._holder}
        change = {name: dict(value) for name, value in (("$set", fields), ("$unset", unset)) if value}
        async with self._database.within(BATCH_SECONDS):
            changed = await self._database.recosts.update_one(ours, change)
        if not changed.matched_count:
            raise _RecostingLostError


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


def _update(call: Mapping[str, Any], cost: Cost | None, at: datetime) -> UpdateOne:
    before = call.get("cost") or {"usd": None, "prices": None}
    stored = cost and cost.stored
    figures = cost_figures_of({**call, "cost": stored})
    earlier = {"$each": [{**before, "replaced_at": at}], "$slice": -MAX_EARLIER}
    gone = {name: "" for name in COST_PARTS if name not in figures}
    fields = {"cost": stored, **figures, **changed(call)}
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
        "cost_before_usd": str(before),
        "cost_after_usd": str(after),
    }
