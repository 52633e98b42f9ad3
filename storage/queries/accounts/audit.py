"""Reading the audit trail, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from storage.accounts.events import Action
from storage.accounts.users import read_id
from storage.mongo.database import Database
from storage.mongo.indexes import ANY_CASE, AUDIT_BY_TIME
from storage.queries.paging import Paging

ANSWER_SECONDS = 2.0
"""How long the database may take for a page."""

_ENTRIES = Paging("entry", "at")


class AuditQuery(Struct, frozen=True, kw_only=True):
    """Which entries are requested; None and nothing are all.

    Attributes:
        start: From then on.
        end: Until before then.
        actions: One of these things was done.
        user: Who did it or whom it concerned: a username in any case, or an id.
    """

    start: datetime | None = None
    end: datetime | None = None
    actions: Sequence[Action] = ()
    user: str = ""

    def filter(self, usernames: Sequence[str]) -> dict[str, Any]:
        """What MongoDB finds them by. `usernames` are `user` as users are called."""
        times = {operator: time for operator, time in (("$gte", self.start), ("$lt", self.end)) if time is not None}
        found: dict[str, Any] = {"at": times} if times else {}
        if self.actions:
            found["action"] = {"$in": [action.value for action in self.actions]}
        if self.user:
            id_ = read_id(self.user)
            wanted: dict[str, Any] = {} if id_ is None else {"id": id_}
            if names := [*usernames, *(() if id_ else (self.user,))]:
                wanted["username"] = {"$in": names}  # of which there are indexes
            found["$or"] = [{f"{who}.{name}": value for name, value in wanted.items()} for who in ("actor", "subject")]
        return found


ALL_ENTRIES: Final = AuditQuery()


async def audit_page(
    database: Database, query: AuditQuery = ALL_ENTRIES, *, limit: int, after_id: UUID | None = None
) -> list[dict[str, Any]]:
    """List the documents of entries, newest first; see `storage.queries.paging`.

    Raises:
        DatabaseUnavailableError: The database is unavailable.
    """
    async with database.within(ANSWER_SECONDS):
        every = [query.filter(await _usernames(database, query.user) if query.user else ())]
        if after_id is not None:
            every.append(_ENTRIES.behind(await _ENTRIES.locate(database.audit, after_id, {})))
        cursor = database.audit.find({"$and": every}).sort(AUDIT_BY_TIME).limit(limit)
        return [document async for document in cursor]


async def _usernames(database: Database, user: str) -> list[str]:
    """What users of this name, in any case, or of this id are called. Removed ones are among them."""
    wanted = {"username": user} if (id_ := read_id(user)) is None else {"_id": id_}
    found = database.users.find(wanted, {"username": True}, collation=ANY_CASE)
    return [one["username"] async for one in found]
