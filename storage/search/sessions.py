"""Sessions with a call that a search finds."""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from storage.search.every import EveryReading, each
from storage.search.reading import Progress
from storage.search.segments import ID_BYTES

MAX_CALLS: Final = 10_000
"""How many of the latest calls that match are read for their sessions."""

AT_ONCE: Final = 2_000


class FoundSessions(NamedTuple):
    """Sessions of calls that match.

    Attributes:
        ids: Which sessions, in no order.
        is_exact: Whether these are all of them.
        progress: Where older calls are not indexed yet, how many are; None where all are.
    """

    ids: list[UUID]
    is_exact: bool
    progress: Progress | None


class SessionReading(EveryReading):
    """Reads the sessions of the calls that match."""

    async def sessions(self) -> FoundSessions:
        """Find the sessions; calls that are in none yet are left out."""
        some, is_exact, progress = await self.latest(MAX_CALLS)
        found: set[UUID] = set()
        for begin in range(0, len(some), AT_ONCE * ID_BYTES):
            match = {"_id": {"$in": each(some[begin : begin + AT_ONCE * ID_BYTES])}}
            cursor = self.database.interceptions.find(match, {"session_id": True, "_id": False}, session=self.session)
            found |= {document["session_id"] for document in await cursor.to_list(None) if document.get("session_id")}
        return FoundSessions(list(found), is_exact, progress)
