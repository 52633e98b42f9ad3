"""Pages of a list, each of which begins behind a document of the one before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pymongo import ASCENDING, DESCENDING

from storage.mongo.database import Collection
from storage.mongo.indexes import Keys


class UnknownCursorError(LookupError):
    """There is nothing with this id to begin behind, or the caller may not see it."""


class Position(NamedTuple):
    """Where a document is in its list."""

    at: datetime
    id: UUID


class Paging(NamedTuple):
    """The order of a list: by a time, and at the same time by id.

    Attributes:
        noun: What is listed, for people.
        time: The field of the time.
        direction: `DESCENDING` has the newest first, `ASCENDING` the oldest.
    """

    noun: str
    time: str
    direction: int = DESCENDING

    @property
    def order(self) -> Keys:
        """The order, as the database is asked for it."""
        return ((self.time, self.direction), ("_id", self.direction))

    def behind(self, last: Position) -> dict[str, Any]:
        """Return what finds those behind a document. The first condition bounds the index, the second the rest."""
        within, beyond = ("$gte", "$gt") if self.direction == ASCENDING else ("$lte", "$lt")
        return {self.time: {within: last.at}, "$or": [{self.time: {beyond: last.at}}, {"_id": {beyond: last.id}}]}

    async def locate(self, collection: Collection, id_: UUID, visible: Mapping[str, Any]) -> Position:
        """Find a document that the caller may see. Whatever the driver raises passes.

        Raises:
            UnknownCursorError: There is none.
        """
        document = await collection.find_one({"_id": id_, **visible}, {self.time: True})
        if document is None:
            raise UnknownCursorError(f"there is no {self.noun} {id_} that the caller may see")
        return Position(document[self.time], id_)


def visible(initiator_id: UUID | None) -> dict[str, Any]:
    """Return what finds the documents of a user; None is all documents."""
    return {} if initiator_id is None else {"initiator_id": initiator_id}
