"""Reads rows of groups from MongoDB: from records some hours at a time, so that it is known how far that is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any, Final, NamedTuple, TypeAlias

from storage.derived.rollup import Bucket
from storage.mongo.database import OPTIONS, Collection, Database, Session, command
from storage.queries.counts import calls_in
from storage.queries.questions.groups import TooMuchError
from storage.queries.questions.sources import ID_BYTES, Source, Stages

MAX_MS: Final = OPTIONS["socketTimeoutMS"] - 1_000
"""How long MongoDB may take for one aggregation. It gives up before the driver does: else the driver would try once more,
and then the database would count as lost for all calls."""

SLICE_CALLS: Final = 10_000
"""About how many calls are read in one step. An hour is read as one, however many there are."""

FOUND_AT_ONCE: Final = 2_000
"""How many calls that were found one by one are read in one step."""

_AT_ONCE: Final = 250
"""Rows that are read in one iteration of the event loop."""

_DECODED: Final = 1_000
"""Rows that the driver decodes at a time, while which nothing else runs."""


class CallsRead(NamedTuple):
    """How far the records are read: calls, each as often as it is read for the answer."""

    read: int
    of: int


OnProgress: TypeAlias = Callable[[CallsRead], Awaitable[None]]


async def ignore_progress(_progress: CallsRead) -> None:
    """Do nothing."""


class Slice(NamedTuple):
    """About so many calls started in [start, end)."""

    start: datetime
    end: datetime
    calls: int


class RowReader:
    """Reads for one answer, as of one moment.

    Args:
        session: Of the moment.
        scans: Bounds how many slices of records are read at a time. It is held while records are read.
        until: When it has to have ended, on the clock of `monotonic`.
        on_progress: Called before and after each slice of records. What it raises ends the reading.
        slice_calls: About how many calls a slice has.
    """

    def __init__(
        self,
        database: Database,
        session: Session,
        scans: asyncio.Semaphore,
        until: float,
        on_progress: OnProgress,
        *,
        slice_calls: int = SLICE_CALLS,
    ) -> None:
        self.database = database
        self.session = session
        self.scans = scans
        self._until = until
        self._on_progress = on_progress
        self._slice_calls = slice_calls
        self._progress = CallsRead(0, 0)
        self._slices: dict[tuple[datetime, datetime], list[Slice]] = {}
        self._options: Mapping[str, Any] = {"session": session}

    async def begin(self) -> None:
        """Settle the moment, before all else is read.

        From then on aggregations may run side by side, which those of a session may not.
        """
        reply = await command(self.database.rollups, "find", filter={"_id": None}, limit=1, session=self.session)
        if (at := reply["cursor"].get("atClusterTime")) is not None:
            self._options = {"readConcern": {"level": "snapshot", "atClusterTime": at}}

    async def report_progress(self, *, read: int = 0, of: int = 0) -> None:
        """Report that more was read, or is to be."""
        self._progress = CallsRead(self._progress.read + read, self._progress.of + of)
        await self._on_progress(self._progress)

    async def calls_of(self, sources: Iterable[Source]) -> int:
        """Say about how many calls are read of sources."""
        return sum([calls for one in sources if one.is_scan for _, calls in await self._parts_of(one)])

    async def rows(
        self, source: Source, names: Iterable[str], at: Any = None, most: int | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Read the rows of `Source.grouped`; where records are read, a group may have several.

        Args:
            source: What is grouped.
            names: The figures.
            at: The bucket of time, as an expression.
            most: How many rows a part of the source may have.
        """
        names = [*names]
        parts = await self._parts_of(source) if source.is_scan else [(source, 0)]
        for part, calls in parts:
            async with self.scans if source.is_scan else nullcontext():
                rows = await self.aggregate(part, part.grouped(names, at), most)
            for number, row in enumerate(rows):
                if not number % _AT_ONCE:
                    await asyncio.sleep(0)  # others have their turn
                yield row
            if source.is_scan:
                await self.report_progress(read=calls)

    async def aggregate(self, source: Source, pipeline: Stages, most: int | None = None) -> list[dict[str, Any]]:
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
        cursor = collection.aggregate(pipeline, hint=dict(source.index), **bounds, **self._options)
        found = await cursor.to_list(None if most is None else most + 1)
        if most is not None and len(found) > most:
            raise TooMuchError
        return found

    async def _parts_of(self, source: Source) -> Sequence[tuple[Source, int]]:
        """Cut what takes long, and say how many calls each part has."""
        if source.ids is not None:
            step = FOUND_AT_ONCE * ID_BYTES
            some = [source.ids[begin : begin + step] for begin in range(0, len(source.ids), step)]
            return [(replace(source, ids=ids), len(ids) // ID_BYTES) for ids in some]
        if source.times is None:
            return [(source, 0)]
        if source.times not in self._slices:
            start, end = source.times
            hours = await calls_in(self.database, self.session, start, end, Bucket.HOUR)
            self._slices[source.times] = list(cut(start, end, hours, self._slice_calls))
        return [(source.within(start, end), calls) for start, end, calls in self._slices[source.times]]


def cut(start: datetime, end: datetime, buckets: Iterable[tuple[datetime, int]], most: int) -> Iterator[Slice]:
    """Cut a time range where `most` calls are reached, by how many started in buckets. Pure.

    The buckets are in order; those without calls may be left out.
    """
    calls = 0
    for at, number in buckets:
        if calls and calls + number > most and start < at < end:
            yield Slice(start, at, calls)
            start, calls = at, 0
        calls += number
    yield Slice(start, end, calls)
