"""Requests to fill in and to remove the invented company; a job does both (`storage.examples.job`). Each is audited."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from pymongo import ReturnDocument

from storage.accounts.audit import ANSWER_SECONDS, COMMAND_LINE, Author, Changes
from storage.accounts.events import Action
from storage.accounts.users import IdentityConflictError, UnknownIdentityError
from storage.examples.documents import DAYS, ID, Examples, ExampleState, read_examples
from storage.examples.people import company_of, username_of
from storage.mongo.database import Session
from storage.mongo.indexes import ANY_CASE

SEED: Final = 1
"""What the company is made from."""

STAYS: Final = timedelta(days=14)
"""How long it stays at least where calls are not kept for ever."""

FEWEST_DAYS: Final = 14
MARGIN: Final = timedelta(hours=1)
"""How long before retention takes the first call it is removed."""

TOO_SHORT: Final = "calls are not kept for long enough: the invented company needs a retention of {} days or more"
THERE: Final = "the invented company is there already, or being removed"
NOT_THERE: Final = "there is no invented company"
TAKEN: Final = 'there is a user named "{}", who may be a real one: the invented company needs that name'
NO_REPLICA_SET: Final = (
    "this MongoDB is no replica set, so nothing is added up, and the invented company would show little"
)


def _bounds(at: datetime, retention: float | None) -> dict[str, Any]:
    """How many days there are, and when they are removed by themselves: before retention, in seconds, takes a call of them.

    Raises:
        IdentityConflictError: Calls are kept for too short a time.
    """
    if retention is None:
        return {"total": DAYS, "expires_at": None}
    kept = timedelta(seconds=retention)
    total = min(DAYS, (kept - STAYS).days)
    if total < FEWEST_DAYS:
        raise IdentityConflictError(TOO_SHORT.format((STAYS + timedelta(days=FEWEST_DAYS)).days))
    first = at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=total - 1)
    return {"total": total, "expires_at": first + kept - MARGIN}


class ExampleStore(Changes):
    """The invented company of a database. Every method raises `DatabaseUnavailableError`."""

    async def read(self) -> Examples:
        """Read its state."""
        async with self._database.within(ANSWER_SECONDS):
            return read_examples(await self._database.examples.find_one({"_id": ID}))

    async def fill(self, *, author: Author = COMMAND_LINE) -> Examples:
        """Request it.

        Raises:
            IdentityConflictError: It exists already, a user has the name of an invented one, or totals are not
            possible.
        """
        at = self._now()
        document = {
            "_id": ID,
            "schema_version": 1,
            "state": ExampleState.FILLING.value,
            "seed": SEED,
            "until": at,
            "total": DAYS,
            "days": 0,
            "calls": 0,
            "requested_at": at,
            "requested_by": author.user and author.user.username,
        }
        names = [username_of(one) for one in company_of(SEED).people]

        async def fill(session: Session | None) -> None:
            if session is None:
                raise IdentityConflictError(NO_REPLICA_SET)
            if await self._database.examples.find_one({"_id": ID}, session=session) is not None:
                raise IdentityConflictError(THERE)
            same = {"username": {"$in": names}, "removed_at": None}
            taken = await self._database.users.find_one(same, collation=ANY_CASE, session=session)
            if taken is not None:
                raise IdentityConflictError(TAKEN.format(taken["username"]))
            document.update(_bounds(at, retention))
            await self._database.examples.insert_one(document, session=session)
            await self._audit(session, author, Action.EXAMPLES_FILLED)

        async with self._database.within(ANSWER_SECONDS):
            indexes = await self._database.interceptions.index_information()
            retention = next(
                (one["expireAfterSeconds"] for one in indexes.values() if "expireAfterSeconds" in one), None
            )
            await self._database.together(fill)
        return read_examples(document)

    async def remove(self, *, author: Author = COMMAND_LINE) -> Examples:
        """Request its removal, also while it is being filled. Repeated requests change nothing.

        Raises:
            UnknownIdentityError: It is not there.
        """

        async def remove(session: Session | None) -> Examples:
            document: dict[str, Any] | None = await self._database.examples.find_one_and_update(
                {"_id": ID, "state": {"$ne": ExampleState.REMOVING.value}},
                {"$set": {"state": ExampleState.REMOVING.value}},
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            if document is not None:
                await self._audit(session, author, Action.EXAMPLES_REMOVED)
                return read_examples(document)
            found = read_examples(await self._database.examples.find_one({"_id": ID}, session=session))
            if found.state is ExampleState.NONE:
                raise UnknownIdentityError(NOT_THERE)
            return found

        return await self._change(remove)
