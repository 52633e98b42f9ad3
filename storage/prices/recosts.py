"""Jobs that price past calls again: what one is, and how it is requested, listed and cancelled, which is audited."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from msgspec import Meta, field

from storage.accounts.audit import ANSWER_SECONDS, COMMAND_LINE, Author, Changes
from storage.accounts.events import Action
from storage.accounts.users import IdentityConflictError, UnknownIdentityError
from storage.mongo.database import Session
from storage.mongo.documents.stored import Hidden, Stored, StoredTime

MAX_LISTED: Final = 100
"""How many jobs are listed, the newest."""

UNKNOWN: Final = "there is no re-costing with this id"
ENDED: Final = "this re-costing has ended already"
ONE_AT_A_TIME: Final = "another re-costing is in progress; wait for its end, or cancel it"


class RecostState(StrEnum):
    """The state of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


ACTIVE: Final = (RecostState.WAITING.value, RecostState.RUNNING.value)


_Count = Annotated[int, Meta(ge=0)]


class Recost(Stored, frozen=True, kw_only=True):
    """A job that prices past calls again: those that started in [from, to) and had ended when it was requested."""

    id: UUID
    state: RecostState
    start: StoredTime = field(name="from")
    end: StoredTime = field(name="to")
    requested_at: StoredTime
    requested_by: Annotated[str | None, Meta(description="The username; null for the command line.")]
    begun_at: StoredTime | None = None
    ended_at: StoredTime | None = None
    total: Annotated[_Count | None, Meta(description="The number of calls; null while that is unknown.")] = None
    done: Annotated[_Count, Meta(description="The number of calls that were checked.")] = 0
    changed: Annotated[_Count, Meta(description="The number of these whose cost changed.")] = 0
    skipped: Annotated[
        _Count,
        Meta(description="The number that keep their cost, because their server died and its record may still arrive."),
    ] = 0
    before: Annotated[Decimal, Meta(description="The cost of the checked calls before, exact.")] = field(
        name="cost_before_usd", default=Decimal()
    )
    after: Annotated[Decimal, Meta(description="Their cost now, exact.")] = field(
        name="cost_after_usd", default=Decimal()
    )
    prices_version: Annotated[str | None, Meta(description="The `ETag` of the own prices that it uses.")] = None
    position: Hidden[tuple[datetime, UUID] | None] = None
    """The start and the id of the last call looked at."""


class Recosts(Changes):
    """The jobs of a database. Every method raises `DatabaseUnavailableError`.

    A job that is not there raises `UnknownIdentityError`.
    """

    async def request(self, start: datetime, end: datetime, *, author: Author = COMMAND_LINE) -> Recost:
        """Request a job for the calls that started in [start, end). The servers on the database do it.

        Raises:
            IdentityConflictError: Another one is not over.
        """
        job = Recost(
            id=uuid4(),
            state=RecostState.WAITING,
            start=start,
            end=end,
            requested_at=self._now(),
            requested_by=author.user.username if author.user else None,
        )

        async def request(session: Session) -> None:
            await self._database.recosts.insert_one(job.document, session=session)
            await self._audit(session, author, Action.RECOST_REQUESTED, **_said(job))

        await self._change_named(request, ONE_AT_A_TIME)
        return job

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
            await self._audit(session, author, Action.RECOST_CANCELLED, **_said(Recost.of(document)))

        await self._change(cancel)
        return await self.find(id_)


def _said(job: Recost) -> dict[str, Any]:
    """What the audit trail says of a job."""
    return {"recost_id": job.id, "start": job.start, "end": job.end}
