"""Sessions with a call that a search finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from bson.binary import UUID_SUBTYPE, Binary

from storage.mongo.database import with_plain_ids
from storage.mongo.indexes import SESSION_OF
from storage.search.every import EveryReading
from storage.search.segments import ID_BYTES

MAX_CALLS: Final = 10_000
"""How many of the latest calls that match are read for their sessions."""

_LEAST_ID: Final = Binary(bytes(ID_BYTES), UUID_SUBTYPE)


class FoundSessions(NamedTuple):
    """Sessions of calls that match.

    Attributes:
        ids: Which sessions, in no order, as BSON holds them: there may be thousands.
        is_exact: Whether these are all of them.
    """

    ids: Sequence[Binary]
    is_exact: bool


class SessionReading(EveryReading):
    """Reads the sessions of the calls that match."""

    async def sessions(self) -> FoundSessions:
        """Find the sessions; calls that are in none yet are left out."""
        found, is_exact = await self.latest(MAX_CALLS)
        calls = [Binary(found[at : at + ID_BYTES], UUID_SUBTYPE) for at in range(0, len(found), ID_BYTES)]
        # What is said of the session lets MongoDB read the index alone.
        pipeline: list[dict[str, Any]] = [
            {"$match": {"_id": {"$in": calls}, "session_id": {"$gte": _LEAST_ID}}},
            {"$group": {"_id": None, "ids": {"$addToSet": "$session_id"}}},
        ]
        interceptions = with_plain_ids(self.database.interceptions)
        cursor = interceptions.aggregate(pipeline, hint=dict(SESSION_OF), session=self.session)
        ids = [id_ for group in await cursor.to_list(1) for id_ in group["ids"]] if calls else []
        return FoundSessions(ids, is_exact)
