"""Calls that were found one by one, such as those that say a word, and where groups of them are read from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

from bson.binary import UUID_SUBTYPE, Binary

from storage.mongo.database import Session
from storage.mongo.indexes import BY_ID, Keys
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key
from storage.queries.filters.selection import Selection
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sources.records import Records

ID_BYTES: Final = 16

AT_ONCE: Final = 2_000
"""Calls that are read in one step."""


class FoundCalls(NamedTuple):
    """All calls that match.

    Attributes:
        ids: Their ids, one behind the other.
        waiting: Calls that were not looked at, as they wait to be indexed.
    """

    ids: bytes
    waiting: int = 0

    @property
    def each(self) -> Iterator[bytes]:
        """Each id."""
        return (self.ids[at : at + ID_BYTES] for at in range(0, len(self.ids), ID_BYTES))


CallFinder: TypeAlias = Callable[[RowReader, Session, datetime, datetime], Awaitable[FoundCalls]]
"""Finds the calls that match and started in [start, end), as of the moment of the session.

The `RowReader` gets how much is read beside an index, and bounds how much is read at a time.
"""


class FoundRecords(Records):
    """The records of calls that were found. Conditions are checked again, so no part of a filter is left to an index."""

    def __init__(self, query: GroupQuery, selection: Selection, ids: bytes) -> None:
        super().__init__(query, selection)
        self._ids = ids

    @property
    def parts(self) -> Sequence[tuple[Records, int]]:
        """See `Source`."""
        step = AT_ONCE * ID_BYTES
        some = [self._ids[begin : begin + step] for begin in range(0, len(self._ids), step)]
        return [(FoundRecords(self._query, self._selection, ids), len(ids) // ID_BYTES) for ids in some]

    @property
    def _filter(self) -> dict[str, Any]:
        ids = [Binary(self._ids[at : at + ID_BYTES], UUID_SUBTYPE) for at in range(0, len(self._ids), ID_BYTES)]
        return {"_id": {"$in": ids}, **super()._filter}

    def hint(self, _keys: Sequence[Key] | None) -> Keys:
        """See `Source`."""
        return BY_ID
