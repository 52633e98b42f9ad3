"""Buckets of time as people of a time zone count them. Pure: no I/O, no clock.

Days, weeks (from Monday, ISO 8601) and months begin at midnight of the zone, however long they are where clocks are changed. A
midnight that a change of clocks leaves out is the moment of the change, and one that comes twice is the first. Every
time that is given and returned is in UTC.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Any, NamedTuple

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_WEEK = 7 * _DAY
_NONE = timedelta()


class Period(StrEnum):
    """The length of a bucket. `ALL` is the whole time range."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ALL = "all"


class Offset(NamedTuple):
    """What clocks of a zone are ahead of UTC until a time."""

    until: datetime
    ahead: timedelta


def floor(period: Period, at: datetime, zone: tzinfo) -> datetime:
    """Return when the bucket began that a time is in; of `ALL` the hour.

    Raises:
        OverflowError: That is before the year 1.
    """
    local = at.astimezone(zone)
    match period:
        case Period.MINUTE:
            return at.replace(second=0, microsecond=0)
        case Period.HOUR | Period.ALL:
            beyond = _ahead(local) % _HOUR
            return at - ((at - datetime(1, 1, 1, tzinfo=UTC)) + beyond) % _HOUR
        case _:
            return midnight(_first_day(period, local.date()), zone)


def following(period: Period, start: datetime, zone: tzinfo) -> datetime:
    """Return when the bucket after one begins, given the start of that; of `ALL` the hour.

    Raises:
        OverflowError: That is after the year 9999.
    """
    if period is Period.MINUTE:
        return start + timedelta(minutes=1)
    if period in {Period.HOUR, Period.ALL}:
        return floor(period, start + _HOUR, zone)
    day = _first_day(period, start.astimezone(zone).date())
    if period is Period.MONTH:
        return midnight(_month_after(day, 1), zone)
    return midnight(day + (7 if period is Period.WEEK else 1) * _DAY, zone)


def ceiling(period: Period, at: datetime, zone: tzinfo) -> datetime:
    """Return when the first bucket begins that begins then or later; of `ALL` the hour.

    Raises:
        OverflowError: That is after the year 9999.
    """
    begun = floor(period, at, zone)
    return begun if begun == at else following(period, begun, zone)


def starts(period: Period, start: datetime, end: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield the start of each bucket of a time range; `ALL` has one."""
    if period is Period.ALL:
        yield start
        return
    while start < end:
        yield start
        start = following(period, start, zone)


def previous(start: datetime, end: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the time range before, to compare one with.

    Before whole months are as many months, and before whole days as many days, of the zone. Before anything else is as
    much time. What has more than a week is compared with the same weekdays, so some days may lie between the two.

    Raises:
        OverflowError: That is before the year 1.
    """
    first, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    if (start, end) == (midnight(first, zone), midnight(last, zone)):
        if first.day == last.day == 1:
            months = (last.year - first.year) * 12 + last.month - first.month
            return midnight(_month_after(first, -months), zone), start
        back = _in_whole_weeks(last - first)
        return midnight(first - back, zone), midnight(last - back, zone)
    back = _in_whole_weeks(end - start)
    return start - back, end - back


def _in_whole_weeks(length: timedelta) -> timedelta:
    """Return a length of more than a week as the weeks that it is part of."""
    return -(-length // _WEEK) * _WEEK if length > _WEEK else length


def midnight(day: date, zone: tzinfo) -> datetime:
    """Return when a day of a zone begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def offsets(start: datetime, end: datetime, zone: tzinfo) -> list[Offset]:
    """Return what clocks of a zone are ahead of UTC, in order of time, from a start until an end."""
    found: list[Offset] = []
    at, ahead = start, _ahead(start.astimezone(zone))
    while at < end:
        later = min(at + _DAY, end)
        if (changed := _ahead(later.astimezone(zone))) != ahead:
            found.append(Offset(_change(at, later, zone), ahead))
            ahead = changed
        at = later
    return [*found, Offset(end, ahead)]


def are_whole_hours(clock: list[Offset]) -> bool:
    """Whether hours of the zone begin when those of UTC do."""
    return all(one.ahead % _HOUR == _NONE for one in clock)


def label(period: Period, clock: list[Offset], at: Any) -> Any:
    """Have MongoDB find the bucket of a time; `time_of` reads what it finds.

    It is given offsets rather than the name of the zone, so that what it knows of zones makes no difference.

    Args:
        period: Not `ALL`.
        clock: See `offsets`.
        at: An expression of the time.
    """
    if period in {Period.MINUTE, Period.HOUR}:
        beyond = _switch(at, [one._replace(ahead=one.ahead % _HOUR) for one in clock])
        return {"$subtract": [{"$dateTrunc": {"date": {"$add": [at, beyond]}, "unit": period.value}}, beyond]}
    local = {"$add": [at, _switch(at, clock)]}
    monday = {"startOfWeek": "monday"} if period is Period.WEEK else {}
    return {"$dateTrunc": {"date": local, "unit": period.value, **monday}}


def time_of(period: Period, found: datetime, zone: tzinfo) -> datetime:
    """Return when the bucket begins that `label` found."""
    return found if period in {Period.MINUTE, Period.HOUR} else midnight(found.date(), zone)


def _switch(at: Any, clock: list[Offset]) -> Any:
    *changes, last = clock
    value: Any = last.ahead // timedelta(milliseconds=1)
    for one in reversed(changes):
        value = {"$cond": [{"$lt": [at, one.until]}, one.ahead // timedelta(milliseconds=1), value]}
    return value


def _change(start: datetime, end: datetime, zone: tzinfo) -> datetime:
    """Return when clocks were changed in a time range, to the second."""
    ahead = _ahead(start.astimezone(zone))

    def is_changed(second: int) -> bool:
        return _ahead((start + timedelta(seconds=second)).astimezone(zone)) != ahead

    return start + timedelta(seconds=bisect_left(range(int((end - start).total_seconds())), True, key=is_changed))


def _ahead(local: datetime) -> timedelta:
    return local.utcoffset() or _NONE


def _first_day(period: Period, day: date) -> date:
    if period is Period.WEEK:
        return day - day.weekday() * _DAY
    return day.replace(day=1) if period is Period.MONTH else day


def _month_after(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not MINYEAR <= year <= MAXYEAR:
        raise OverflowError("out of range")
    return date(year, month + 1, 1)
