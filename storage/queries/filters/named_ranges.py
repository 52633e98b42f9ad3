"""Time ranges as people name them, in a time zone: `last-week`, `30d`, `2026-11-01..2026-11-30`. Pure: no clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from storage.queries.questions.calendar import midnight

ALLOWED: Final = (
    "today, yesterday, this-week, last-week, this-month, last-month, this-quarter, last-quarter, a length of time before now like "
    "24h or 30d, or two days like 2026-11-01..2026-11-30, of which the last one is included"
)
"""What a range may be called."""

NOT_A_ZONE: Final = 'must be the name of a time zone of IANA, like "Europe/Berlin"'

_DAY: Final = timedelta(days=1)
_UNITS: Final = {"h": timedelta(hours=1), "d": _DAY}
_LENGTH = re.compile(r"([1-9][0-9]{0,4})([hd])", re.ASCII)
_DAYS = re.compile(r"(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)", re.ASCII)
_ALONE: Final = {"today": "this-day", "yesterday": "last-day"}
_FIRST_DAY: Final[Mapping[str, Callable[[date], date]]] = {
    "day": lambda day: day,
    "week": lambda day: day - day.weekday() * _DAY,
    "month": lambda day: day.replace(day=1),
    "quarter": lambda day: day.replace(month=day.month - (day.month - 1) % 3, day=1),
}


class NamedRange(NamedTuple):
    """A named range at a time.

    Attributes:
        end: None where it goes on.
        is_length: Whether it is a length of time before then.
    """

    start: datetime
    end: datetime | None
    is_length: bool = False


def named_range(name: str, zone: tzinfo, now: datetime) -> NamedRange:
    """Return the range of that name as it is `now`.

    Raises:
        ValueError: There is none; it says what is allowed.
    """
    try:
        return _named(name, zone, now)
    except (ValueError, OverflowError):
        raise ValueError(f"must be one of {ALLOWED}") from None


def read_zone(name: str) -> tzinfo:
    """Return the time zone of that name.

    Raises:
        ValueError: There is none.
    """
    if name == "UTC":
        return UTC
    if name not in _zones():
        raise ValueError(NOT_A_ZONE)
    return ZoneInfo(name)


def _named(name: str, zone: tzinfo, now: datetime) -> NamedRange:
    if length := _LENGTH.fullmatch(name):
        return NamedRange(now - int(length[1]) * _UNITS[length[2]], None, is_length=True)
    if days := _DAYS.fullmatch(name):
        first, last = map(date.fromisoformat, days.groups())
        if last < first:
            raise ValueError(name)
        return NamedRange(midnight(first, zone), midnight(last + _DAY, zone))
    which, _, period = _ALONE.get(name, name).partition("-")
    if which not in {"this", "last"} or period not in _FIRST_DAY or (period == "day" and name not in _ALONE):
        raise ValueError(name)
    first = _FIRST_DAY[period](now.astimezone(zone).date())
    if which == "this":
        return NamedRange(midnight(first, zone), None)
    return NamedRange(midnight(_FIRST_DAY[period](first - _DAY), zone), midnight(first, zone))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
