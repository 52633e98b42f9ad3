"""Reads rows of groups from MongoDB: from records slice by slice, so that it is known how far that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from time import monotonic
from typing import Any, Final, NamedTuple, TypeAlias

from storage.mongo.connection import OPTIONS
from storage.mongo.database import Collection, Database, Session, command
from storage.mongo.indexes import Keys
from storage.queries.filters.grouped.groups import Key, TooMuchError
from storage.queries.grouped.slices import Slice, slices
from storage.queries.grouped.sources.source import Source, Stages

MAX_MS: Final = OPTIONS["socketTimeoutMS"] - 1_000
"""How long MongoDB may take for one aggregation. It gives up before the driver does: else the driver would try once more,
and then the database would count as lost for all calls."""

_AT_ONCE: Final = 250
"""Rows that are read in one iteration of the event loop."""

_DECODED: Final = 1_000
"""Rows that the driver decodes at a time, while which nothing else runs."""


class Progress(NamedTuple):
    """How far the records are read: calls, each as often as it is read for the result."""

    read: int
    of: int


OnProgress: TypeAlias = Callable[[Progress], Awaitable[None]]


class RowReader:
    """Reads for one result, as of one moment.

    Args:
        session: Of the moment; None where there is none.
        scans: Bounds how many slices of records are read at a time. It is held while records are read.
        until: When it has to have ended, on the clock of `monotonic`.
        on_progress: Called before and after each slice of records. What it raises ends the reading.
    """

    def __init__(
        self,
        database: Database,
        session: Session,
        scans: asyncio.Semaphore,
        until: float,
        on_progress: OnProgress,
    ) -> None:
        self.database = database
        self.session = session
        self.scans = scans
        self._until = until
        self._on_progress = on_progress
        self._progress = Progress(0, 0)
        self._slices: dict[tuple[datetime, datetime], list[Slice]] = {}
        self.options: Mapping[str, Any] = {} if session is None else {"session": session}

    async def begin(self, match: Mapping[str, Any], projection: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read one of the rollups, before all else that is read; nothing where there is none such.

        From then on aggregations take the `options` of this moment. They may run side by side, which those of a session
        may not.
        """
        find = {"filter": match, "projection": projection, "limit": 1}
        reply = await command(self.database.rollups, "find", **find, session=self.session)
        if (at := reply["cursor"].get("atClusterTime")) is not None:
            self.options = {"readConcern": {"level": "snapshot", "atClusterTime": at}}
        found: list[Mapping[str, Any]] = reply["cursor"]["firstBatch"]
        return found[0] if found else {}

    async def report_progress(self, *, read: int = 0, of: int = 0) -> None:
        """Report that more was read, or is to be."""
        self._progress = Progress(self._progress.read + read, self._progress.of + of)
        await self._on_progress(self._progress)

    async def calls_of(self, source: Source) -> int:
        """Say about how many calls are read of a source."""
        return sum(calls for _, calls in await self._parts_of(source))

    async def read(
        self,
        source: Source,
        pipeline: Callable[[Source], Stages],
        keys: Sequence[Key] | None = None,
        most: int | None = None,
        *,
        ranks: bool = False,
    ) -> AsyncIterator[dict[str, Any]]:
        """Read rows; a group may have several.

        Args:
            source: Where they are read.
            pipeline: Makes the rows of a part of the source.
            keys: The groups that are read; None are all.
            most: How many rows a part may have.
            ranks: Whether only that is read by which groups can be sorted.
        """
        parts = await self._parts_of(source) if source.is_scan else [(source, 0)]
        for part, calls in parts:
            async with self.scans if source.is_scan else nullcontext():
                index = part.ranking_hint if ranks else part.hint(keys)
                rows = await self.aggregate(part, pipeline(part), index, most)
            for number, row in enumerate(rows):
                if not number % _AT_ONCE:
                    await asyncio.sleep(0)  # others have their turn
                yield row
            if source.is_scan:
                await self.report_progress(read=calls)

    async def aggregate(
        self, source: Source, pipeline: Stages, index: Keys, most: int | None = None
    ) -> list[dict[str, Any]]:
        """Read the rows of a pipeline.

        Raises:
            TooMuchError: There are more than `most`, or the time is over.
            PyMongoError: `MaxTimeMSExpired` if MongoDB takes longer than `MAX_MS`; whatever else the driver raises.
        """
        collection: Collection = getattr(self.database, source.collection)
        left = min(int((self._until - monotonic()) * 1000), MAX_MS)
        if left <= 0:
            raise TooMuchError
        bounds = {"allowDiskUse": True, "maxTimeMS": left, "batchSize": _DECODED}
        cursor = collection.aggregate(pipeline, hint=dict(index), **bounds, **self.options)
        found = await cursor.to_list(None if most is None else most + 1)
        if most is not None and len(found) > most:
            raise TooMuchError
        return found

    async def _parts_of(self, source: Source) -> Sequence[tuple[Source, int]]:
        if (parts := source.parts) is not None:
            return parts
        if source.times not in self._slices:
            self._slices[source.times] = await slices(self.database, self.session, *source.times)
        return [(source.within(start, end), calls) for start, end, calls in self._slices[source.times]]
