"""Ends the calls that a dead server left in flight: as `server_crashed`, when it was last heard of.

They keep the usage of their last checkpoint. The end is presumed: should the server live after all, or its spool be
found, the end that it reports wins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from intercept.records import EndReason
from storage.mongo.database import Database
from storage.recording.documents import SCHEMA_VERSION
from storage.recording.operations import IN_FLIGHT, PRESUMED

BY_INSTANCE: Final = "in_flight"
"""The index of calls in flight by server, see `storage.mongo.index_models`."""

_log = logging.getLogger(__name__)


async def end_calls_left(database: Database, instance: Mapping[str, Any]) -> int:
    """End the calls of a dead server, and remove its document. Return the number of these calls.

    `instance` is its document as it was read, or its `_id` alone where it has none.

    Raises:
        PyMongoError: They are not all ended.
    """
    reason, heartbeat_at = EndReason.SERVER_CRASHED, instance.get("heartbeat_at")
    last_heard = {"$max": ["$started_at", "$checkpointed_at", {"$literal": heartbeat_at}]}
    end = {
        "schema_version": SCHEMA_VERSION,
        "status": reason.status.value,
        "end_reason": reason.value,
        **dict.fromkeys(("ended_at", "uncounted", "ungrouped", "unindexed"), last_heard),
        **PRESUMED,
    }
    left = {"instance_id": instance["_id"], **IN_FLIGHT}
    result = await database.interceptions.update_many(left, [{"$set": end}], hint=BY_INSTANCE)
    if result.modified_count:
        _log.warning("calls that instance %s left in flight: %d", instance["_id"], result.modified_count)
    # Not if it has just come back.
    await database.instances.delete_one({"_id": instance["_id"], "heartbeat_at": heartbeat_at})
    return result.modified_count
