"""Ends the calls that a dead process left in flight: as `server_crashed`, when it was last heard of.

They keep the usage of their last checkpoint. The end is presumed: should the process live after all, or its spool be
found, the end that it reports wins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pymongo import ReplaceOne

from intercept.records import EndReason
from storage.members.membership import Membership
from storage.mongo.database import Database
from storage.mongo.indexes import BY_COMBINATION
from storage.recording.documents import SCHEMA_VERSION
from storage.recording.figures import figures_of
from storage.recording.operations import IN_FLIGHT, PRESUMED

WATCH_SECONDS: Final = 2.0
"""From one look for what dead processes left to the next."""

ANSWER_SECONDS: Final = 5.0
"""How long the database may take for a look."""

BATCH: Final = 50
"""How many calls are ended at a time."""

_log = logging.getLogger(__name__)


async def end_what_is_left(database: Database, membership: Membership) -> int:
    """End the calls of those that are dead by now, and remove their heartbeats. Return the number of these calls.

    Any number of processes may do this at the same time.

    Raises:
        DatabaseUnavailableError: Not all are ended.
    """
    ended, members = 0, membership.members
    async with database.within(ANSWER_SECONDS, "end calls that dead processes left", may_be_slow=True):
        others = {**IN_FLIGHT, "instance_id": {"$ne": membership.id}}
        with_calls = database.interceptions.aggregate(
            [{"$match": others}, {"$group": {"_id": "$instance_id"}}], hint=dict(BY_COMBINATION)
        )
        for process in [one["_id"] async for one in with_calls]:
            if members.is_silent(str(process)):
                ended += await _end_calls_of(database, process)
        for process, heartbeat in membership.others.items():
            if members.is_silent(str(process)) and members.is_dead(str(process)):  # not if it has just come back
                await database.members.delete_one({"_id": process, "beat": heartbeat.get("beat")})
    return ended


async def _end_calls_of(database: Database, process: UUID) -> int:
    """End the calls of a dead process. Return the number of these calls."""
    heartbeat_at = (await database.members.find_one({"_id": process}) or {}).get("heartbeat_at")
    left = {"instance_id": process, **IN_FLIGHT}
    ended = 0
    while documents := await database.interceptions.find(left, hint=list(BY_COMBINATION)).limit(BATCH).to_list(BATCH):
        replacements = [
            ReplaceOne({"_id": one["_id"], **IN_FLIGHT}, _presumed_end(one, heartbeat_at)) for one in documents
        ]
        ended += (await database.interceptions.bulk_write(replacements, ordered=False)).modified_count
    if ended:
        _log.warning("calls that instance %s left in flight: %d", process, ended)
    return ended


def _presumed_end(document: Mapping[str, Any], heartbeat_at: datetime | None) -> dict[str, Any]:
    """Return the document of a call as that of one that ended when its server was last heard of."""
    times = (document["started_at"], document.get("checkpointed_at"), heartbeat_at)
    last_heard = max(at for at in times if at is not None)
    reason = EndReason.SERVER_CRASHED
    end = {
        "schema_version": SCHEMA_VERSION,
        "status": reason.status.value,
        "end_reason": reason.value,
        "ended_at": last_heard,
        **PRESUMED,
    }
    ended = {**document, **end}
    return ended | figures_of(ended)
