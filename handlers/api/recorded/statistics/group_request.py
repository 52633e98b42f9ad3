"""The parameters of `GET /api/v2/aibridge/stats`, and the time ranges of other resources. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import Final

from handlers.api.choices import choice, refuse, time_range
from handlers.api.pagination import MAX_LIMIT, limit_of, offset_of
from resources.ranges import OUT_OF_RANGE, zone_of
from storage.queries.questions import calendar
from storage.queries.questions.calendar import Period
from storage.queries.questions.question import OF_SUBJECT, By, Order, Question, Subject, names_of, parse_by

PARAMETERS: Final = (
    *("from", "to", "range", "bucket", "group_by", "of", "q", "order_by", "limit", "offset", "tz", "compare", "format"),
)
MAX_BUCKETS: Final = 1_500
MAX_DIMENSIONS: Final = 2
DEFAULT_GROUPS: Final = 20
USUAL_SPAN: Final = timedelta(hours=24)
OLDEST_MINUTE: Final = timedelta(days=7)
"""How old requested minutes may be. They are kept for a little longer."""

FORMATS: Final = ("json", "csv")
PREVIOUS: Final = "previous"
CHANGE_OF_NOTHING: Final = "may be change only with compare=previous: it is the change against the time range before"


@dataclass(frozen=True)
class GroupRequest:
    """What is requested, and the format of the response."""

    question: Question
    format: str
    tz: str
    q: str


def parse_group_request(values: Mapping[str, str], now: datetime) -> GroupRequest:
    """Read the parameters, at the time `now`; an empty value counts as not given.

    Raises:
        ValidationProblem: With every parameter that is wrong.
    """
    problems: list[tuple[str, str]] = []
    of = choice(Subject, "of", values, problems) or Subject.CALLS
    period = choice(Period, "bucket", values, problems) or Period.ALL
    order = choice(Order, "order_by", values, problems) or Order.CALLS
    by = _by(values.get("group_by", ""), of, problems)
    tz = values.get("tz") or "UTC"
    zone = zone_of(tz, problems)
    written = values.get("format") or FORMATS[0]
    if written not in FORMATS:
        problems.append(("format", f"must be one of {', '.join(FORMATS)}"))
    if values.get("compare") not in {None, "", PREVIOUS}:
        problems.append(("compare", f"must be {PREVIOUS}"))
    if order is Order.CHANGE and values.get("compare") != PREVIOUS:
        problems.append(("order_by", CHANGE_OF_NOTHING))
    start, end = _range(values, period, zone, now, problems)
    refuse(problems)
    question = Question(
        start,
        end,
        of=of,
        by=by,
        period=period,
        zone=zone,
        order=order,
        limit=limit_of(values, MAX_LIMIT, DEFAULT_GROUPS),
        offset=offset_of(values),
        compare=values.get("compare") == PREVIOUS,
    )
    return GroupRequest(question, written, tz, values.get("q", ""))


def _by(text: str, of: Subject, problems: list[tuple[str, str]]) -> tuple[By, ...]:
    allowed = f"up to {MAX_DIMENSIONS} of {', '.join(names_of(of))}, separated by a comma"
    found: list[By] = []
    for name in filter(None, text.split(",")):
        try:
            by = parse_by(name)
        except ValueError:
            problems.append(("group_by", f"has {name!r}; it may have {allowed}"))
            return ()
        if by.dimension not in OF_SUBJECT[of]:
            problems.append(("group_by", f"has {name!r}, which {of} do not have; it may have {allowed}"))
            return ()
        if by not in found:
            found.append(by)
    if len(found) > MAX_DIMENSIONS:
        problems.append(("group_by", f"may have {allowed}"))
    return tuple(found)


def _range(
    values: Mapping[str, str], period: Period, zone: tzinfo, now: datetime, problems: list[tuple[str, str]]
) -> tuple[datetime, datetime]:
    """Read the time range, made larger to whole buckets; its errors are added to the problems."""
    wrong = len(problems)
    first, to, is_length = time_range(values, problems, zone=zone, now=now, usual=lambda to: to - USUAL_SPAN)
    if len(problems) > wrong:
        return now, now
    try:
        # The buckets of a length of time are the present one and those before.
        start = (calendar.ceiling if is_length else calendar.floor)(period, first, zone)
        end = calendar.ceiling(period, to, zone)
        if len(list(islice(calendar.starts(period, start, end, zone), MAX_BUCKETS + 1))) > MAX_BUCKETS:
            problems.append(("bucket", f"the range has more than {MAX_BUCKETS:,} buckets"))
        earliest, _ = calendar.previous(start, end, zone)
    except OverflowError:
        problems.append(("to", OUT_OF_RANGE))
        return now, now
    compares = values.get("compare") == PREVIOUS
    if period is Period.MINUTE and (earliest if compares else start) < now - OLDEST_MINUTE - timedelta(minutes=1):
        which = "minutes, also of the time before," if compares else "minutes"
        problems.append(("from", f"{which} are kept for {OLDEST_MINUTE.days} days; choose a longer bucket"))
    return start, end
