"""Jobs that price past calls again: requested, listed and cancelled. Each is audited."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from bson.decimal128 import Decimal128
from pymongo.errors import DuplicateKeyError

from storage.accounts.audit import ANSWER_SECONDS, COMMAND_LINE, Author, Changes
from storage.accounts.events import Action
from storage.accounts.users import IdentityConflictError, UnknownIdentityError
from storage.mongo.database import Session
from storage.prices.recost_documents import ACTIVE, Recost, RecostState

MAX_LISTED: Final = 100
"""How many jobs are listed, the newest."""

UNKNOWN: Final = "there is no re-costing with this id"
ENDED: Final = "this re-costing has ended already"
ONE_AT_A_TIME: Final = "another re-costing is in progress; wait for its end, or cancel it"

_SCHEMA_VERSION: Final = 1


class Recosts(Changes):
    """The jobs of a database. Every method raises `DatabaseUnavailableError`.

    A job that is not there raises `UnknownIdentityError`.
    """

    async def request(self, start: datetime, end: datetime, *, author: Author = COMMAND_LINE) -> Recost:
        """Request a job for the calls that started in [start, end). The servers on the database do it.

        Raises:
            IdentityConflictError: Another one is not over.
        """
        document = {
            "_id": uuid4(),
            "schema_version": _SCHEMA_VERSION,
            "state": RecostState.WAITING.value,
            "from": start,
            "to": end,
            "requested_at": self._now(),
            "requested_by": author.user and author.user.username,
            **dict.fromkeys(("begun_at", "ended_at", "total", "prices_version", "error")),
            **dict.fromkeys(("done", "changed", "skipped"), 0),
            **dict.fromkeys(("cost_before_usd", "cost_after_usd"), Decimal128("0")),
        }

        async def request(session: Session) -> None:
            await self._database.recosts.insert_one(document, session=session)
            await self._audit(session, author, Action.RECOST_REQUESTED, **_said(document))

        try:
            await self._change(request)
        except DuplicateKeyError:
            raise IdentityConflictError(ONE_AT_A_TIME) from None
        return Recost.of(document)

    async def list_newest(self) -> list[Recost]:
        """List the newest, the last one first."""
        async with self._database.within(ANSWER_SECONDS):
            found = self._database.recosts.find().sort([("requested_at", -1), ("_id", -1)]).limit(MAX_LISTED)
            return [Recost.of(document) async for document in found]

    async def find(self, id_: UUID) -> Recost:
        """Find one."""
        async with self._database.within(ANSWER_SECONDS):
            document = await self._database.recosts.find_one({"_id": id_})
        if document is None:
            raise UnknownIdentityError(UNKNOWN)
        return Recost.of(document)

    async def cancel(self, id_: UUID, *, author: Author = COMMAND_LINE) -> Recost:
        """Cancel a job. Calls that were priced again keep their new cost.

        Raises:
            IdentityConflictError: It has ended.
        """

        async def cancel(session: Session) -> None:
            recosts = self._database.recosts
            document = await recosts.find_one({"_id": id_}, session=session)
            if document is None:
                raise UnknownIdentityError(UNKNOWN)
            fields = {"state": RecostState.CANCELLED.value, "ended_at": self._now()}
            ended = {"$set": fields, "$unset": {"lease_until": ""}}
            cancelled = await recosts.update_one({"_id": id_, "state": {"$in": ACTIVE}}, ended, session=session)
            if not cancelled.modified_count:
                raise IdentityConflictError(ENDED)
            await self._audit(session, author, Action.RECOST_CANCELLED, **_said(document))

        await self._change(cancel)
        return await self.find(id_)


def _said(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit trail says of a job."""
    return {"recost_id": document["_id"], "start": document["from"], "end": document["to"]}
