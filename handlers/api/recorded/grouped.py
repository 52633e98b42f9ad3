"""The groups of `GET /api/v2/aibridge/stats`: what is asked for is read here, and answered as JSON, as rows or as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from itertools import islice
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from msgspec import UNSET
from tornado.iostream import StreamClosedError

from handlers.api.choices import choice, time
from handlers.api.pagination import INVALID, MAX_LIMIT, MAX_OFFSET, whole_number
from handlers.api.recorded.visibility import INVALID_SEARCH, parsed_search, refuse_texts
from handlers.api.recorded.watched import WatchedHandler
from handlers.lifecycle import SHUTTING_DOWN
from handlers.problems import Problem, ValidationProblem
from intercept.times import format_time
from resources.recorded.flat_rows import CONTENT_TYPE, FlatRows, columns, csv_text, flat_rows, json_cells
from resources.recorded.groups import (
    GroupedStatistics,
    GroupNames,
    GroupPoint,
    GroupTotals,
    Histograms,
    ReadingProgress,
    show_group,
)
from storage.aggregation.rollup import GroupBy
from storage.queries.filters.grouped import calendar
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import By, Dimension, Order, Subject, is_allowed, names_of, parse_by
from storage.queries.filters.grouped.grouping import MAX_POINTS, GroupQuery
from storage.queries.filters.grouped.groups import Answer, NotAskedError, TooManyPointsError, TooMuchError
from storage.queries.filters.interceptions import InvalidSearchError
from storage.queries.filters.refusals import parse_refusal_search
from storage.queries.grouped.grouped import SECONDS, STREAM_SECONDS
from storage.queries.grouped.row_reader import OnProgress, Progress
from storage.queries.sessions import session_filter

OWN_PARAMETERS: Final = ("of", "q", "order_by", "limit", "offset", "tz", "compare", "format")
MAX_BUCKETS: Final = 1_500
MAX_DIMENSIONS: Final = 2
DEFAULT_GROUPS: Final = 20
USUAL_SPAN: Final = timedelta(hours=24)
OLDEST_MINUTE: Final = timedelta(days=7)
"""How old requested minutes may be. They are kept for a little longer."""

LINES: Final = "application/x-ndjson"
FORMATS: Final = ("json", "csv", "rows")
PREVIOUS: Final = "previous"
READ_PER_SECOND: Final = 20_000
"""About how many records the database adds up in a second."""

_PERIODS: Final = frozenset({Period.WEEK, Period.MONTH, Period.ALL})


def asks_for_groups(values: Mapping[str, str]) -> bool:
    """Whether it is something that only groups answer: else it is series."""
    group_by = values.get("group_by") or GroupBy.MODEL
    only_here = any(values.get(name) for name in OWN_PARAMETERS)
    return only_here or values.get("bucket") in _PERIODS or group_by not in list(GroupBy)


@dataclass(frozen=True)
class Question:
    """What is asked, and how the answer is written."""

    query: GroupQuery
    format: str
    tz: str
    q: str


class GroupedHandler(WatchedHandler):
    """Answers with groups: owners, auditors and readers of all calls, members of their own.

    With `Accept: application/x-ndjson` an answer is lines: how far the records are read, and at last the result. It may take
    longer then.
    """

    _began = 0.0

    async def write_groups(self, values: Mapping[str, str]) -> None:
        """Answer what is asked.

        Raises:
            ValidationProblem: a parameter cannot be used, or it would take too long.
            Problem: 503, the server stops.
        """
        asked = parse_question(values, self.bridge.now())
        query = replace(asked.query, visible_to=self.visible_to)
        query = replace(query, conditions=await self._conditions(query.of, asked.q))
        if asked.format == FORMATS[0] and LINES in self.request.headers.get("Accept", ""):
            await self._write_lines(query, asked)
            return
        answer = await self._read(query, self._check_client)
        names = await self._names_of(query.by, answer)
        if asked.format == "json":
            self.write_json(_shown(query, asked.tz, answer, names))
            return
        groups = answer.groups if query.by else [answer.total]
        rows = list(flat_rows(query.of, query.period, query.by, groups, names, compare=query.compare))
        if asked.format == "rows":
            self.write_json(FlatRows(answer.count, list(map(json_cells, rows))))
            return
        self.set_header("Content-Type", CONTENT_TYPE)
        self.set_header("Content-Disposition", 'attachment; filename="stats.csv"')
        self.finish(csv_text(columns(query.of, query.period, query.by, compare=query.compare), rows))

    def end(self) -> None:
        """Break the answer off."""
        self.cut()

    async def _write_lines(self, query: GroupQuery, asked: Question) -> None:
        if self.bridge.lifecycle.draining:
            raise Problem(503, SHUTTING_DOWN, {"Connection": "close", "Retry-After": "1"})
        self.bridge.lifecycle.enter(self)
        self._began = self.bridge.monotonic()
        try:
            async with self.watched():
                answer = await self._read(query, self._tell, seconds=STREAM_SECONDS)
        except ValidationProblem as problem:
            if not self.cycle.started:
                raise
            self.write(b'{"error":' + self.error_body(problem) + b"}\n")
            return
        names = await self._names_of(query.by, answer)
        self.set_header("Content-Type", LINES)
        self.write(msgspec.json.encode({"result": _shown(query, asked.tz, answer, names)}) + b"\n")

    async def _check_client(self, _progress: Progress) -> None:
        """End the reading when the client has left."""
        if self.cycle.ended:
            raise StreamClosedError

    async def _tell(self, progress: Progress) -> None:
        await self._check_client(progress)
        self.set_header("Content-Type", LINES)
        shown = ReadingProgress.of_records(*progress, self.bridge.monotonic() - self._began, READ_PER_SECOND)
        self.write(msgspec.json.encode({"progress": shown}) + b"\n")
        await self.send()

    async def _read(self, query: GroupQuery, on_progress: OnProgress, *, seconds: float | None = None) -> Answer:
        try:
            return await self.bridge.grouped.read(query, on_progress, seconds=seconds)
        except NotAskedError as error:
            raise ValidationProblem(INVALID, validations=[("order_by", str(error))]) from error
        except TooManyPointsError as error:
            detail = f"asks for more than {MAX_POINTS:,} buckets; choose fewer groups or longer buckets"
            raise ValidationProblem(INVALID, validations=[("limit", detail)]) from error
        except TooMuchError as error:
            within = SECONDS if seconds is None else seconds
            raise ValidationProblem(INVALID, validations=[("from", too_much(error.calls, within))]) from error

    async def _conditions(self, of: Subject, q: str) -> dict[str, Any]:
        """The filter of a search, in the language of the list of the same things."""
        if of is Subject.CALLS:
            return await self.search_filter(q)
        try:
            if of is Subject.REFUSALS:
                refused = parse_refusal_search(q)
                return refused.filter(initiator_id=await self.initiator_of(refused))
            search = await self.resolved(parsed_search(q, self.bridge.now()))
            refuse_texts(search)
            return session_filter(search, initiator_id=await self.initiator_of(search))
        except InvalidSearchError as error:
            raise ValidationProblem(INVALID_SEARCH, validations=error.validations) from error

    async def _names_of(self, by: Sequence[By], answer: Answer) -> GroupNames:
        found: dict[Dimension, set[Any]] = {}
        for position, one in enumerate(by):
            found[one.dimension] = {group.key[position] for group in answer.groups} - {None}
        tokens = await self.bridge.tokens.by_id(found.get(Dimension.TOKEN, set()))
        users: set[UUID] = found.get(Dimension.USER, set()) | {token.user_id for token in tokens.values()}
        groups = await self.bridge.groups.by_id(found.get(Dimension.GROUP, set()))
        return GroupNames(await self.bridge.identities.users_by_id(users), groups, tokens)


def too_much(calls: int, seconds: float = SECONDS) -> str:
    """Say that it would take longer than so many seconds, and about how long."""
    about = (
        f"about {calls:,} calls are read one by one for it, which may take {-(-calls // READ_PER_SECOND)} s or longer"
    )
    of_it = f": {about}" if calls else ""
    return (
        f"takes longer than the {seconds:.0f} s that it may take{of_it}. Choose a shorter range, or group and search "
        "by user, provider, model and client alone, in whole hours"
    )


def parse_question(values: Mapping[str, str], now: datetime) -> Question:
    """Read what is asked, at the time `now`; an empty value counts as not given.

    Raises:
        ValidationProblem: it cannot be answered; every parameter that is wrong is named.
    """
    problems: list[tuple[str, str]] = []
    of = choice(Subject, "of", values, problems) or Subject.CALLS
    period = choice(Period, "bucket", values, problems) or Period.ALL
    order = choice(Order, "order_by", values, problems) or Order.CALLS
    by = _by(values.get("group_by", ""), of, problems)
    tz = values.get("tz") or "UTC"
    zone = _zone(tz, problems)
    written = values.get("format") or FORMATS[0]
    if written not in FORMATS:
        problems.append(("format", f"must be one of {', '.join(FORMATS)}"))
    if values.get("compare") not in {None, "", PREVIOUS}:
        problems.append(("compare", f"must be {PREVIOUS}"))
    start, end = _range(values, period, zone, now, problems)
    if problems:
        raise ValidationProblem(INVALID, validations=problems)
    query = GroupQuery(
        start=start,
        end=end,
        of=of,
        by=by,
        period=period,
        zone=zone,
        order=order,
        limit=_number(values, "limit", 1, MAX_LIMIT, DEFAULT_GROUPS),
        offset=_number(values, "offset", 0, MAX_OFFSET, 0),
        compare=values.get("compare") == PREVIOUS,
    )
    return Question(query, written, tz, values.get("q", ""))


def _by(text: str, of: Subject, problems: list[tuple[str, str]]) -> tuple[By, ...]:
    allowed = f"up to {MAX_DIMENSIONS} of {', '.join(names_of(of))}, separated by a comma"
    found: list[By] = []
    for name in filter(None, text.split(",")):
        try:
            by = parse_by(name)
        except ValueError:
            problems.append(("group_by", f"has {name!r}; it may have {allowed}"))
            return ()
        if not is_allowed(of, by):
            problems.append(("group_by", f"has {name!r}, which {of} do not have; it may have {allowed}"))
            return ()
        if by not in found:
            found.append(by)
    if len(found) > MAX_DIMENSIONS:
        problems.append(("group_by", f"may have {allowed}"))
    return tuple(found)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(name: str, problems: list[tuple[str, str]]) -> tzinfo:
    if name == "UTC":
        return UTC
    if name in _zones():
        return ZoneInfo(name)
    problems.append(("tz", 'must be the name of a time zone of IANA, like "Europe/Berlin"'))
    return UTC


def _range(
    values: Mapping[str, str], period: Period, zone: tzinfo, now: datetime, problems: list[tuple[str, str]]
) -> tuple[datetime, datetime]:
    """Read the time range, made larger to whole buckets; what is wrong with it is added to the problems."""
    wrong = len(problems)
    to = time("to", values, problems) or now
    first = time("from", values, problems)
    if len(problems) > wrong:
        return now, now
    try:
        start = calendar.floor(period, first or to - USUAL_SPAN, zone)
        end = calendar.ceiling(period, to, zone)
        if start >= end or (first and first >= to):
            problems.append(("to", "must be after from"))
        elif len(list(islice(calendar.starts(period, start, end, zone), MAX_BUCKETS + 1))) > MAX_BUCKETS:
            problems.append(("bucket", f"the range has more than {MAX_BUCKETS:,} buckets"))
        calendar.previous(start, end, zone)
    except OverflowError:
        problems.append(("to", "is out of range"))
        return now, now
    if period is Period.MINUTE and start < now - OLDEST_MINUTE - timedelta(minutes=1):
        problems.append(("from", f"minutes are kept for {OLDEST_MINUTE.days} days; choose a longer bucket"))
    return start, end


def _number(values: Mapping[str, str], name: str, lowest: int, highest: int, usual: int) -> int:
    text = values.get(name)
    allowed = f"It must be a whole number from {lowest} to {highest}."
    return whole_number(text, lowest, highest, name, allowed) if text else usual


def _shown(query: GroupQuery, tz: str, answer: Answer, names: GroupNames) -> GroupedStatistics:
    of, total = query.of, answer.total
    return GroupedStatistics(
        of=of,
        from_=format_time(query.start),
        to=format_time(query.end),
        bucket=query.period,
        tz=tz,
        group_by=list(map(str, query.by)),
        order_by=query.order,
        count=answer.count,
        uncounted=answer.uncounted,
        total=GroupTotals.of(of, total.total),
        previous=UNSET if total.previous is None else GroupTotals.of(of, total.previous),
        points=UNSET if query.period is Period.ALL else GroupPoint.all_of(of, total.points),
        histograms=Histograms.of(total.total) if of is Subject.CALLS else UNSET,
        recorded_since=UNSET if answer.recorded_since is None else format_time(answer.recorded_since),
        groups=[show_group(of, query.by, found, names, query.period) for found in answer.groups],
    )
