"""Removes the invented company, and leaves everything else unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from typing import Any, Final

from msgspec import structs

from intercept.ids import EXAMPLE_BYTES, FIRST_EXAMPLE
from storage.aggregation.rollup import TOKENS
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.sessions import session_job
from storage.aggregation.sessions.prompt_cache import lines_id
from storage.examples.documents import RANGE
from storage.examples.kinds import AGENT_IDS
from storage.examples.totals import delete_counted, hold, take_out
from storage.mongo.clocks import Now
from storage.mongo.codec import binary
from storage.mongo.database import Database, Session, with_plain_ids
from storage.mongo.indexes import UNCOUNTED
from storage.search.documents import JOB_STATE, part_id, read_segment
from storage.search.merging import replace_by_one
from storage.search.segments import ID_BYTES, IDS

STEP_SECONDS: Final = 30.0
"""How long the database may take for one step."""

CALLS_AT_ONCE: Final = 1_000
"""Calls that are deleted in one step."""

SESSIONS_AT_ONCE: Final = 500
"""The same of sessions."""

_TAKE: Final = "remove what is invented"
_POLICIES: Final = {"_id": {"$regex": f"^(groups|users)/{str(FIRST_EXAMPLE)[:13]}"}}


class Removal:
    """Removes it from a database, step by step; what is done again changes nothing."""

    def __init__(self, database: Database, *, now: Now) -> None:
        self._database = database
        self._now = now
        self._steps = (
            self._lift_policies,
            self._delete_calls,
            partial(take_out, database),
            self._delete_sessions,
            self._delete_from_index,
            self._delete_people,
        )

    async def step(self) -> bool:
        """Do one step; return whether something is left. Raises `DatabaseUnavailableError`."""
        for step in self._steps:
            if await step():
                return True
        return False

    async def _lift_policies(self) -> bool:
        """Have policies say nothing before they go, so that every server notices."""
        saying = {**_POLICIES, "policy": {"$ne": {}}}
        nothing = {"$set": {"policy": {}, "version": "removed", "changed_at": self._now()}}
        async with self._database.within(STEP_SECONDS, _TAKE):
            changed = await self._database.policies.update_many(saying, nothing)
        return bool(changed.modified_count)

    async def _delete_calls(self) -> bool:
        """Delete some calls, with what only they have of totals: so all of them have to be counted before."""
        interceptions = with_plain_ids(self._database.interceptions)
        async with self._database.within(STEP_SECONDS, _TAKE):
            uncounted = {"uncounted": {"$exists": True}, "_id": _binary_range()}
            if await interceptions.find_one(uncounted, {"_id": True}, hint=list(UNCOUNTED)) is not None:
                await RollupJob(self._database, now=self._now).add_pending()
                return True
            calls = (
                await interceptions.find({"_id": _binary_range()}, {"_id": True})
                .limit(CALLS_AT_ONCE)
                .to_list(CALLS_AT_ONCE)
            )
            ids = [call["_id"] for call in calls]
            await self._database.together(lambda session: delete_counted(self._database, ids, session))
        return bool(calls)

    async def _delete_sessions(self) -> bool:
        own = {"initiator_id": {name: binary(id_) for name, id_ in RANGE.items()}}
        sessions, lines = with_plain_ids(self._database.sessions), with_plain_ids(self._database.cache_lines)

        async def delete(session: Session | None) -> bool:
            await hold(sessions, session_job.JOB_STATE, session)
            projection = dict.fromkeys(("provider_names", "models"), True)
            found = (
                await sessions.find(own, projection, session=session).limit(SESSIONS_AT_ONCE).to_list(SESSIONS_AT_ONCE)
            )
            await lines.delete_many({"_id": {"$in": [line for one in found for line in _lines(one)]}}, session=session)
            await sessions.delete_many({"_id": {"$in": [one["_id"] for one in found]}}, session=session)
            return bool(found)

        async with self._database.within(STEP_SECONDS, _TAKE):
            return await self._database.together(delete)

    async def _delete_from_index(self) -> bool:
        """Make one segment that has invented calls again without them; say whether there was one."""
        segments, parts = self._database.search_segments, self._database.search_parts

        async def make_again(session: Session | None) -> bool:
            is_held = await hold(segments, JOB_STATE, session)
            found = segments.find({"_id": {"$ne": JOB_STATE["_id"]}}, session=session)
            for segment in [read_segment(document) async for document in found]:
                ids = await parts.find_one({"_id": part_id(segment, IDS)}, session=session)
                invented = [] if ids is None else positions_of(ids["data"])
                # A full one may stay as it is, with all of them gone.
                if not is_held or not (set(invented) - set(segment.gone) if segment.is_full else invented):
                    continue
                without = structs.replace(segment, gone=tuple({*segment.gone, *invented}))
                await replace_by_one(self._database, [without], session)
                return True
            return False

        async with self._database.within(STEP_SECONDS, _TAKE):
            return await self._database.together(make_again)

    async def _delete_people(self) -> bool:
        database, of_user = self._database, {"initiator_id": dict(RANGE)}
        async with database.within(STEP_SECONDS, _TAKE):
            await database.refusals.delete_many(of_user)
            await database.refusal_totals.delete_many(of_user)
            await database.token_uses.delete_many({"user_id": dict(RANGE)})
            await database.tokens.delete_many({"user_id": dict(RANGE)})
            await database.policies.delete_many(_POLICIES)
            await database.users.delete_many({"_id": dict(RANGE)})
            await database.groups.delete_many({"_id": dict(RANGE)})
        return False


def _lines(session: Mapping[str, Any]) -> Iterator[bytes]:
    """The ids of the documents with which calls of a session were compared, by its main agent or another one."""
    for name, model, agent in product(session["provider_names"], session["models"], ("", *AGENT_IDS)):
        call = {
            "provider_name": name,
            "model": model,
            "agent": {"id": agent},
            "blocks": b"",
            **dict.fromkeys(TOKENS, 1),
        }
        if (id_ := lines_id(session["_id"], call)) is not None:
            yield id_


def positions_of(ids: bytes) -> list[int]:
    """Return which calls of a segment are invented, by the ids that it has."""
    return [at // ID_BYTES for at in range(0, len(ids), ID_BYTES) if ids.startswith(EXAMPLE_BYTES, at)]


def _binary_range() -> dict[str, Any]:
    return {name: binary(id_) for name, id_ in RANGE.items()}
