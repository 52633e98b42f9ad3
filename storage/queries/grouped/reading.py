"""Reads one result: which groups there are, what each adds up to, over time, and beside the time before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, TypeVar

from msgspec.structs import replace as replace_found

from storage.derived.rollup import Breakdown, Bucket
from storage.derived.rollup_job import JOB_STATE
from storage.derived.uncounted import count_uncounted
from storage.mongo.indexes import ROLLUPS
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import Order, Subject
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Found, GroupResult, Key, sum_of, without
from storage.queries.filters.grouped.rollup_plan import plan
from storage.queries.filters.time_ranges import TimeRange
from storage.queries.grouped.ranking import rank
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sources.found import CallFinder, FoundCalls, FoundRecords
from storage.queries.grouped.sources.other_sources import Losses, Sessions, of_refusals
from storage.queries.grouped.sources.records import Records
from storage.queries.grouped.sources.rollups import Rollups
from storage.queries.grouped.sources.source import Source
from storage.queries.grouped.totals import check_points
from storage.queries.grouped.totals_reader import read_totals
from storage.queries.oldest import oldest_start
from storage.queries.side_by_side import side_by_side

T = TypeVar("T")


class _Sources(NamedTuple):
    """Where groups are read, and where all as one.

    Which groups there are and which come first says `ranking`, if that is not where they are read.
    """

    groups: Source
    whole: Source
    ranking: Source | None = None


def other_source(query: GroupQuery) -> Source:
    """Where what is not about calls is read."""
    return of_refusals(query) if query.of is Subject.REFUSALS else Sessions(query)


class Reading:
    """The result of one query, as of one moment: of what a finder finds, or of all that match."""

    def __init__(self, rows: RowReader, finder: CallFinder | None = None) -> None:
        self._rows = rows
        self._finder = finder
        self._found_calls: dict[datetime, FoundCalls] = {}
        self._database, self._session = rows.database, rows.session

    async def result(self, query: GroupQuery) -> GroupResult:
        """Read the result of a query."""
        if self._session is not None:
            await self._rows.begin(JOB_STATE, {"turn": True})
        if self._finder is not None:
            await self._find(query, self._finder)
        sources = self._sources(query)
        if sources is None:
            return GroupResult(0, [], Found((), {}, {}))
        if sources.groups.is_scan:
            await self._plan_progress(query, sources.groups)
        result = await self._read(query, sources)
        if found := self._found_calls.get(query.start):
            result.uncounted = found.waiting
        return result

    async def _find(self, query: GroupQuery, finder: CallFinder) -> None:
        """Find the calls that are meant, also those of the time before where that is requested."""
        for one in [query, *([query.previous] if query.compare else [])]:
            self._found_calls[one.start] = await finder(self._rows, self._session, one.start, one.end)

    async def _plan_progress(self, query: GroupQuery, source: Source) -> None:
        """Work out how much there is to be read."""
        calls = await self._rows.calls_of(source) * (3 if query.by else 1)
        if query.compare and (before := self._sources(query.previous)) and before.groups.is_scan:
            times = (2 if query.by else 1) + (1 if query.order is Order.CHANGE and query.by else 0)
            calls += await self._rows.calls_of(before.groups) * times
        await self._rows.report_progress(of=calls)

    def _sources(self, query: GroupQuery) -> _Sources | None:
        """Where groups are read, and where all of it as one; None where there is surely nothing."""
        alone = replace(query, by=())
        if query.of is not Subject.CALLS:
            source = other_source(query)
            return _Sources(source, type(source)(alone))
        selection = query.selection
        if selection is None:
            return None
        if found := self._found_calls.get(query.start):
            return _Sources(FoundRecords(query, selection, found.ids), FoundRecords(alone, selection, found.ids))
        planned, whole = plan(query), plan(alone)
        # Both of the same kind, so that groups and their sum agree.
        if planned is None or whole is None:
            return _Sources(Records(query, selection), Records(alone, selection))
        return _Sources(Rollups(query, planned), Rollups(alone, whole), self._ranking(query))

    def _ranking(self, query: GroupQuery) -> Source | None:
        """Where groups over time are ranked: of the whole range as one, so that days have it also in zones of other days."""
        as_one = replace(query, period=Period.ALL)
        planned = None if query.period is Period.ALL else plan(as_one)
        return None if planned is None else Rollups(as_one, planned)

    async def _read(self, query: GroupQuery, sources: _Sources) -> GroupResult:
        earlier = query.previous if query.compare else query
        before = self._sources(earlier) if query.compare else None
        if not isinstance(sources.groups, Records):
            return await self._read_side_by_side(query, sources, earlier, before)
        count, keys = await self._ranked(query, sources.groups, before) if query.by else (0, [])
        if keys and count == len(keys) and sources.groups.are_apart:
            # They are read once less.
            await self._rows.report_progress(of=-await self._rows.calls_of(sources.groups))
            groups = await self._found(query, sources.groups, keys)
            total = sum_of(groups.values())
            check_points(keys, total)
        else:
            groups, total = await self._figures(query, sources, keys)
        if query.compare:
            known, all_before = await self._figures(earlier, before, keys)
            _compare(groups, total, known, all_before)
        result = GroupResult(count, [groups[key] for key in keys if key in groups], total)
        if self._session is not None:
            result.recorded_since = await self._recorded_since(query)
        return result

    async def _read_side_by_side(
        self, query: GroupQuery, sources: _Sources, earlier: GroupQuery, before: _Sources | None
    ) -> GroupResult:
        """Read what takes little of the database, as much at a time as does not need one another."""
        is_of_calls = isinstance(sources.groups, Rollups)
        (count, keys), total, all_before, uncounted = await side_by_side(
            self._ranked(query, sources.ranking or sources.groups, before) if query.by else _known((0, [])),
            self._whole(query, sources),
            self._whole(earlier, before),
            count_uncounted(self._database, self._session, (query.start, query.end), query.visible_to)
            if is_of_calls
            else _known(0),
        )
        check_points(keys, total)
        groups, known = await side_by_side(
            self._of_groups(query, sources, keys),
            self._of_groups(earlier, before, keys),
        )
        if query.compare:
            _compare(groups, total, known, all_before)
        return GroupResult(count, [groups[key] for key in keys if key in groups], total, uncounted)

    async def _figures(
        self, query: GroupQuery, sources: _Sources | None, keys: Sequence[Key]
    ) -> tuple[dict[Key, Found], Found]:
        """Read what groups add up to, and all as one."""
        total = await self._whole(query, sources)
        check_points(keys, total)
        return await self._of_groups(query, sources, keys), total

    async def _whole(self, query: GroupQuery, sources: _Sources | None) -> Found:
        """Read what all adds up to as one."""
        nothing = Found((), {}, {})
        if sources is None:
            return nothing
        found = await self._found(replace(query, by=()), sources.whole, None)
        return found.get((), nothing)

    async def _of_groups(self, query: GroupQuery, sources: _Sources | None, keys: Sequence[Key]) -> dict[Key, Found]:
        """Read what groups add up to."""
        if sources is None or not keys:
            return {}
        return await self._found(query, sources.groups, keys)

    async def _ranked(self, query: GroupQuery, source: Source, before: _Sources | None) -> tuple[int, list[Key]]:
        """Return how many groups there are, and the ones that are requested."""
        return await rank(self._rows, query, source, None if before is None else before.ranking or before.groups)

    async def _found(self, query: GroupQuery, source: Source, keys: Sequence[Key] | None) -> dict[Key, Found]:
        """Read what some groups add up to, or all as one; of what the prompt cache lost, records alone know."""
        selection = query.selection
        if not isinstance(source, Rollups) or selection is None:
            return await read_totals(self._rows, query, source, keys)
        found, untagged, lost = await side_by_side(
            read_totals(self._rows, query, source, keys),
            self._untagged(source, keys) if keys is not None else _known({}),
            read_totals(self._rows, query, Losses(query, selection), keys),
        )
        found |= untagged
        for key in lost.keys() & found.keys():
            found[key].total |= lost[key].total
            for at in lost[key].points.keys() & found[key].points.keys():
                found[key].points[at] |= lost[key].points[at]
        return dict(found)

    async def _untagged(self, source: Rollups, keys: Sequence[Key]) -> dict[Key, Found]:
        """Read what calls add up to that do not have the tag of their groups."""
        if source.untagged is None:
            return {}
        at, query, every, tagged = source.untagged
        wanted = {(*key[:at], *key[at + 1 :]): key for key in keys if key[at] is None}
        if not wanted:
            return {}
        found = await read_totals(self._rows, query, every, list(wanted))
        others = await read_totals(self._rows, query, tagged, list(wanted))
        return {
            wanted[key]: without(replace_found(one, key=wanted[key]), others.get(key)) for key, one in found.items()
        }

    async def _recorded_since(self, query: GroupQuery) -> datetime | None:
        """Return when the oldest record started, if there were calls before it in the time range."""
        first = await oldest_start(self._database, self._session) or query.end
        hour = Bucket.HOUR
        gone = TimeRange(hour, hour.floor(query.start), hour.floor(first)).of(Breakdown.ALL)
        found = await self._database.rollups.find_one(gone, {"_id": True}, hint=dict(ROLLUPS), session=self._session)
        return first if found else None


async def _known(value: T) -> T:
    """Return what needs not be read."""
    return value


def _compare(groups: Mapping[Key, Found], total: Found, known: Mapping[Key, Found], all_before: Found) -> None:
    """Put what was found of the time range before beside groups and their total."""
    total.previous, total.points_before = all_before.total, all_before.points
    for key, found in groups.items():
        found.previous = known[key].total if key in known else {}
