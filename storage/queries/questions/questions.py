"""Answers questions: what calls, refusals and sessions of a database add up to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any, Final, TypeAlias

from pymongo.errors import OperationFailure

from storage.derived.recount import counted_until
from storage.derived.rollup import Bucket, Totals
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.queries.counts import calls_in, gone_until, oldest_start
from storage.queries.paging import side_by_side
from storage.queries.questions import calendar
from storage.queries.questions.calendar import Period
from storage.queries.questions.groups import (
    COUNTED,
    MAX_POINTS,
    Answer,
    AnswerGroup,
    AnswerRow,
    Key,
    NotRecordedError,
    TooManyPointsError,
    TooMuchError,
    check_order,
    page,
    ranked_by,
)
from storage.queries.questions.plan import NOTHING, Plan, plan
from storage.queries.questions.question import Counted, Order, Question
from storage.queries.questions.reading import SLICE_CALLS, OnProgress, RowReader, ignore_progress
from storage.queries.questions.sources import Source

SECONDS: Final = 20.0
"""How long the database may take for one answer."""

STREAM_SECONDS: Final = 240.0
"""How long an answer with progress may take. MongoDB keeps a moment to read in for five minutes."""

ROWS_SECONDS: Final = 120.0
"""How long the database may take until the first rows of all groups, and for each further piece."""

ROWS_AT_ONCE: Final = 500
"""How many rows of all groups are held at a time."""

SCANS: Final = 2
"""How many slices of records a process reads at a time. Others wait for their turn, and their time goes on."""

MAX_RANKED: Final = 250_000
"""Most groups that are ranked here for one answer."""

_RANKED_BY_DATABASE: Final = frozenset({Order.CALLS, Order.COST, Order.TOKENS, Order.FAILED})
_SLACK_SECONDS: Final = 2.0
_TOO_MUCH: Final = frozenset({50, 10334, 17419, 17420, 16945, 146, 292})
"""MaxTimeMSExpired, a document that grows too large, or too much for memory."""


CallFinder: TypeAlias = Callable[[RowReader, datetime, datetime], Awaitable[bytes]]
"""Finds all calls that match and started in [start, end): their ids, one behind the other.

It reads as of the moment of the `RowReader`, which gets how much is read beside an index, and bounds how much at a time.
"""


class Questions:
    """Answers questions about a database.

    Args:
        database: The database.
        slice_calls: About how many calls are read in one step.
    """

    def __init__(self, database: Database, *, slice_calls: int = SLICE_CALLS) -> None:
        self._database = database
        self._slice_calls = slice_calls
        self._scans = asyncio.Semaphore(SCANS)

    async def answer(
        self,
        question: Question,
        on_progress: OnProgress = ignore_progress,
        *,
        seconds: float | None = None,
        finder: CallFinder | None = None,
    ) -> Answer:
        """Answer a question with its first groups.

        Args:
            question: What is asked.
            on_progress: Called with how far that is while records are read; what it raises ends the reading.
            seconds: How long it may take; None is `SECONDS`.
            finder: Finds the calls that are meant, among those that match; None means all of these.

        Raises:
            UnsupportedOrderError: The subject does not have the order or the value that the question names.
            TooMuchError: It takes too long.
            TooManyPointsError: It has too many buckets.
            DatabaseUnavailableError: The database is unavailable.
        """
        for source in plan(question).groups[:1]:
            check_order(question, source.figures.names)
        async with self._reading(question, on_progress, seconds) as rows:
            return await _Answering(rows, question).answer(finder)

    async def find(self, finder: CallFinder, start: datetime, end: datetime) -> bytes:
        """Find all calls that match and started in [start, end).

        Raises:
            TooMuchError: It takes longer than `STREAM_SECONDS`.
            DatabaseUnavailableError: The database is unavailable.
        """
        async with self._reading(Question(start, end), ignore_progress, STREAM_SECONDS) as rows:
            return await finder(rows, start, end)

    async def scan(
        self, question: Question, sums: Mapping[str, Any], on_progress: OnProgress, seconds: float | None = None
    ) -> list[tuple[Key, Mapping[str, Any]]]:
        """Read other sums of all groups than their figures; a group may have several.

        Args:
            question: What is asked. Its order and page are of no account.
            sums: The accumulators by name.
            on_progress: Called with how far that is; what it raises ends the reading.
            seconds: How long it may take; None is `SECONDS`.

        Raises:
            TooMuchError: It takes too long.
            DatabaseUnavailableError: The database is unavailable.
        """
        found: list[tuple[Key, Mapping[str, Any]]] = []
        async with self._reading(question, on_progress, seconds) as rows:
            sources = [replace(one, figures=one.figures._replace(sums=sums)) for one in plan(question).groups]
            calls = await rows.calls_of(sources)
            await rows.report_progress(of=calls)
            for source in sources:
                found += [(source.key_of(row["_id"]), row) async for row in rows.rows(source, sums)]
        return found

    async def pages(
        self, question: Question, names: Sequence[str], *, if_recorded: bool = False
    ) -> AsyncGenerator[list[AnswerRow], None]:
        """Yield some figures of all groups in order of time and values, some rows at a time.

        Args:
            question: What is asked of calls. Its order and page are of no account, and it is not of a tag.
            names: The figures.
            if_recorded: Whether records that are gone are an error, where these would be needed.

        Raises:
            NotRecordedError: The records of some days are gone, and the rollups do not have the answer.
            DatabaseUnavailableError: The database is unavailable.
            DatabaseRefusalError: It takes too long.
        """
        database = self._database
        sources = plan(question).groups
        if not sources:
            return
        source = sources[0]
        async with database.query(ROWS_SECONDS, "sum up calls"):
            if if_recorded and source.is_scan:
                gone = await gone_until(database, None, question.start, question.end)
                if gone is not None:
                    raise NotRecordedError(Bucket.DAY.ceiling(gone))
            pipeline = [*source.grouped(names, _bucket_of(question, source)), {"$sort": {"_id": 1}}]
            options: dict[str, Any] = {"allowDiskUse": True, "hint": dict(source.index), "batchSize": ROWS_AT_ONCE}
            cursor = getattr(database, source.collection).aggregate(pipeline, **options)
            rows = await cursor.to_list(ROWS_AT_ONCE)
        try:
            while rows:
                yield [
                    AnswerRow(_time_of(question, row), source.key_of(row["_id"]), source.totals_of(row)) for row in rows
                ]
                async with database.query(ROWS_SECONDS, "sum up calls"):
                    rows = await cursor.to_list(ROWS_AT_ONCE)
        finally:
            await cursor.close()

    async def every(self, question: Question, names: Sequence[str], *, if_recorded: bool = False) -> list[AnswerRow]:
        """Return some figures of all groups, where these are few; see `pages`."""
        async with aclosing(self.pages(question, names, if_recorded=if_recorded)) as pages:
            return [row async for page in pages for row in page]

    @asynccontextmanager
    async def _reading(
        self, question: Question, on_progress: OnProgress, seconds: float | None
    ) -> AsyncGenerator[RowReader, None]:
        """Read as of one moment, within a bound of time."""
        self._database.require_available()
        seconds = SECONDS if seconds is None else seconds
        until = monotonic() + seconds
        try:
            async with (
                asyncio.timeout(seconds + _SLACK_SECONDS),
                self._database.within(None),
                self._database.snapshot() as session,
            ):
                rows = RowReader(
                    self._database, session, self._scans, until, on_progress, slice_calls=self._slice_calls
                )
                await rows.begin()
                yield rows
        except (TimeoutError, TooMuchError) as error:
            cause: BaseException = error
        except (OperationFailure, DatabaseUnavailableError) as error:
            cause = error.__cause__ or error
            if getattr(cause, "code", None) not in _TOO_MUCH:
                raise
        else:
            return
        async with self._database.query():
            days = await calls_in(self._database, None, question.start, question.end, Bucket.DAY)
        raise TooMuchError(sum(calls for _, calls in days), seconds) from cause


class _Answering:
    """Makes the answer to one question."""

    def __init__(self, rows: RowReader, question: Question) -> None:
        self._rows = rows
        self._question = question
        self._earlier = question.previous if question.compare else None
        self._turn = asyncio.Lock()

    async def answer(self, finder: CallFinder | None) -> Answer:
        """Read which groups there are, what they add up to, and all as one, each beside the time before."""
        question, earlier = self._question, self._earlier
        now = plan(question, await self._find(question, finder))
        before = NOTHING if earlier is None else plan(earlier, await self._find(earlier, finder))
        await self._plan_progress(now, before)
        (count, keys), total, total_before = await side_by_side(
            self._rank(now, before), self._whole(question, now), self._whole(earlier or question, before)
        )
        if len(keys) * len(total.points) > MAX_POINTS:
            raise TooManyPointsError
        groups, groups_before = await side_by_side(
            self._read(question, now.groups, keys), self._read(earlier or question, before.groups, keys)
        )
        if earlier is not None:
            total.previous, total.points_before = total_before.total, total_before.points
            for key, group in groups.items():
                group.previous = groups_before[key].total if key in groups_before else {}
        answer = Answer(count, [groups[key] for key in keys if key in groups], total)
        await self._tell_what_is_missing(answer, now)
        return answer

    async def _find(self, question: Question, finder: CallFinder | None) -> bytes | None:
        return None if finder is None else await finder(self._rows, question.start, question.end)

    async def _plan_progress(self, now: Plan, before: Plan) -> None:
        """Work out how often calls are read one by one: for all as one, for groups, and to rank these."""
        if not now.is_scan:
            return
        passes = 3 if self._question.by else 1
        calls = await self._rows.calls_of(now.whole) * passes
        ranks_before = bool(self._question.by) and self._question.order is Order.CHANGE
        calls += await self._rows.calls_of(before.whole) * (min(passes, 2) + ranks_before)
        await self._rows.report_progress(of=calls)

    async def _rank(self, now: Plan, before: Plan) -> tuple[int, list[Key]]:
        """Return the number of groups, and the requested ones in their order.

        MongoDB ranks by plain sums. What is read slice by slice, ratios, percentiles and groups by tags are ranked here.
        """
        question = self._question
        if not question.by or not now.groups:
            return 0, []
        if question.period is not Period.ALL and now.is_of_rollups:
            # Of the whole range as one, so that days have it also in zones of other days.
            question = replace(question, period=Period.ALL)
            now = plan(question)
            before = plan(question.previous) if before.groups else before
        if len(now.groups) == 1 and not now.is_scan and question.order in _RANKED_BY_DATABASE:
            return await self._rank_in_database(question, now.groups[0])
        names = ranked_by(question)
        groups = await self._sums(question, now.groups, names)
        then: Mapping[Key, Totals] = {}
        if question.order is Order.CHANGE:
            then = await self._sums(question.previous, before.groups, names)
        # In a thread, as there may be many.
        return len(groups), await asyncio.to_thread(page, question, groups, then)

    async def _rank_in_database(self, question: Question, source: Source) -> tuple[int, list[Key]]:
        """Find the first groups beside their number, so that not all are sorted."""
        number, *names = ranked_by(question)
        most = {"$set": {"most": {"$add": [f"${name}" for name in names or [number]]}}}
        skip = [{"$skip": question.offset}] if question.offset else []
        first: list[dict[str, Any]] = [most, {"$sort": {"most": -1, "_id": 1}}, *skip, {"$limit": question.limit}]
        both = {"$facet": {"page": first, "count": [{"$count": "number"}]}}
        (found,) = await self._rows.aggregate(source, [*source.grouped(names or [number]), both])
        return sum(one["number"] for one in found["count"]), [source.key_of(row["_id"]) for row in found["page"]]

    async def _sums(self, question: Question, sources: Iterable[Source], names: Sequence[str]) -> dict[Key, Totals]:
        """Read by what all groups are ranked."""
        groups = await self._read(replace(question, period=Period.ALL), sources, None, names)
        return {key: group.total for key, group in groups.items()}

    async def _whole(self, question: Question, read: Plan) -> AnswerGroup:
        """Read what all adds up to as one."""
        found = await self._read(question, read.whole)
        return found.get((), AnswerGroup((), {}, {}))

    async def _read(
        self,
        question: Question,
        sources: Iterable[Source],
        keys: Sequence[Key] | None = None,
        names: Sequence[str] | None = None,
    ) -> dict[Key, AnswerGroup]:
        """Read figures of groups, and over time where that is requested.

        Args:
            question: What is asked.
            sources: Where they are read, which add up.
            keys: Which groups; None are all.
            names: Which figures; None are all.
        """
        groups: dict[Key, AnswerGroup] = {}
        wanted = None if keys is None else set(keys)
        for one in sources:
            source = one if keys is None else one.of_groups(keys)
            if source is None:
                continue
            bucket = _bucket_of(question, source)
            read = [name for name in source.figures.names if names is None or name in names]
            async with self._turn if source.is_scan else nullcontext():
                async for row in self._rows.rows(source, read, bucket, MAX_RANKED):
                    key = source.key_of(row["_id"])
                    if wanted is not None and key not in wanted:
                        continue
                    totals = source.totals_of(row)
                    group = groups.setdefault(key, AnswerGroup(key, {}, {}))
                    points = {} if bucket is None else {_time_of(question, row): totals}
                    group.add(AnswerGroup(key, totals, points), source.sign)
                    if len(groups) > MAX_RANKED:
                        raise TooMuchError
        return _counted(groups, COUNTED[question.of])

    async def _tell_what_is_missing(self, answer: Answer, now: Plan) -> None:
        """Say what is not in the answer: calls that are not counted yet, and records that are gone."""
        question, rows = self._question, self._rows
        span = question.start, question.end
        if now.is_of_rollups:
            answer.counted_until = await counted_until(rows.database, rows.session)
        elif now.groups and question.of is Counted.CALLS and await gone_until(rows.database, rows.session, *span):
            answer.recorded_since = await oldest_start(rows.database, rows.session) or question.end


def _counted(groups: Mapping[Key, AnswerGroup], name: str) -> dict[Key, AnswerGroup]:
    """Leave out what has nothing, as what was taken away."""
    for group in groups.values():
        group.points = {at: point for at, point in group.points.items() if point.get(name)}
    return {key: group for key, group in groups.items() if group.total.get(name)}


def _bucket_of(question: Question, source: Source) -> Any:
    """Have MongoDB find the bucket of time of a document; None where there is one bucket."""
    if question.period is Period.ALL:
        return None
    clock = calendar.offsets(question.start, question.end, question.zone)
    return calendar.label(question.period, clock, f"${source.time}")


def _time_of(question: Question, row: Mapping[str, Any]) -> datetime:
    """Read the start of the bucket of a row."""
    if question.period is Period.ALL:
        return question.start
    return calendar.time_of(question.period, row["_id"]["at"], question.zone)
