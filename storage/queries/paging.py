"""Pages of a list; each begins after the last document of the previous one.

All lists take the same: `visible_to` is the user whose documents alone may be seen or counted, and None sees all.
`limit` is the most that is returned, at least 1. `after_id` is the document behind which the page begins, and `offset`
how many are left out, at most 2^31 - 1; only one of them is given. An `after_id` that is unknown, or not visible,
raises `UnknownCursorError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from pymongo import ASCENDING, DESCENDING

from storage.mongo.database import Collection
from storage.mongo.indexes import Keys

HIDDEN_FIELDS = {"blocks": False}
"""What of interceptions lists leave in the database."""


class UnknownCursorError(LookupError):
    """There is no document with this id that the caller may see, so no page begins after it. `noun` is what is listed."""

    def __init__(self, noun: str, id_: UUID) -> None:
        super().__init__(f"there is no {noun} {id_} that the caller may see")
        self.noun = noun


class Position(NamedTuple):
    """Where a document is in its list."""

    at: Any
    id: UUID


class Paging(NamedTuple):
    """The order of a list: by a time or another field, and where that is the same by id.

    Attributes:
        noun: What is listed, for people.
        by: The field.
        direction: `DESCENDING` has the newest or the most first, `ASCENDING` the oldest.
    """

    noun: str
    by: str
    direction: int = DESCENDING

    @property
    def order(self) -> Keys:
        """The order, as MongoDB sorts by it."""
        return ((self.by, self.direction), ("_id", self.direction))

    def behind(self, last: Position) -> dict[str, Any]:
        """Return what finds those behind a document. The first condition bounds the index, the second the rest."""
        within, beyond = ("$gte", "$gt") if self.direction == ASCENDING else ("$lte", "$lt")
        return {self.by: {within: last.at}, "$or": [{self.by: {beyond: last.at}}, {"_id": {beyond: last.id}}]}

    async def locate(self, collection: Collection, id_: UUID, visible: Mapping[str, Any]) -> Position:
        """Find a document that the caller may see. Whatever the driver raises passes.

        Raises:
            UnknownCursorError: There is none.
        """
        document = await collection.find_one({"_id": id_, **visible}, {self.by: True})
        if document is None:
            raise UnknownCursorError(self.noun, id_)
        return Position(document[self.by], id_)


INTERCEPTIONS = Paging("interception", "started_at")


def visible(initiator_id: UUID | None) -> dict[str, Any]:
    """Return what finds the documents of a user; None is all documents."""
    return {} if initiator_id is None else {"initiator_id": initiator_id}


async def side_by_side(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Do all of it, and return what each returns. If one fails, its error is raised once the others are cancelled."""
    tasks = [asyncio.create_task(one) for one in work]  # noqa: TID251 - waited for below
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
