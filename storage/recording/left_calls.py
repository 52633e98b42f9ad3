"""Ends the calls that a dead server left in flight: as `server_crashed`, when it was last heard of.

They keep the usage of their last checkpoint. The end is presumed: should the server live after all, or its spool be
found, the end that it reports wins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pymongo import ReplaceOne

from intercept.records import EndReason
from storage.mongo.database import Database
from storage.mongo.indexes import IN_FLIGHT as CALLS_IN_FLIGHT
from storage.recording.documents import SCHEMA_VERSION
from storage.recording.figures import figures_of
from storage.recording.operations import IN_FLIGHT, PRESUMED

BATCH: Final = 50
"""How many calls are ended at a time."""

_log = logging.getLogger(__name__)


async def end_calls_left(database: Database, instance: Mapping[str, Any]) -> int:
    """End the calls of a dead server, and remove its document. Return the number of these calls.

    `instance` is its document as it was read, or its `_id` alone where it has none.

    Raises:
        PyMongoError: They are not all ended.
    """
    heartbeat_at = instance.get("heartbeat_at")
    left = {"instance_id": instance["_id"], **IN_FLIGHT}
    ended = 0
    while documents := await database.interceptions.find(left, hint=list(CALLS_IN_FLIGHT)).limit(BATCH).to_list(BATCH):
        replacements = [
            ReplaceOne({"_id": one["_id"], **IN_FLIGHT}, _presumed_end(one, heartbeat_at)) for one in documents
        ]
        ended += (await database.interceptions.bulk_write(replacements, ordered=False)).modified_count
    if ended:
        _log.warning("calls that instance %s left in flight: %d", instance["_id"], ended)
    # Not if it has just come back.
    await database.instances.delete_one({"_id": instance["_id"], "heartbeat_at": heartbeat_at})
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
        **dict.fromkeys(("ended_at", "uncounted", "ungrouped", "unindexed"), last_heard),
        **PRESUMED,
    }
    ended = {**document, **end}
    return ended | figures_of(ended)
