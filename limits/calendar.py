"""Calendar periods of a time zone, as instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from limits.limit import NEVER_NS, BudgetPeriod

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Bounds(NamedTuple):
    """The first instant of a period, and the first after it, in nanoseconds since 1970."""

    begin_ns: int
    end_ns: int


def nanoseconds(duration: timedelta) -> int:
    """A duration in nanoseconds."""
    return duration // timedelta(microseconds=1) * 1000


def to_ns(moment: datetime) -> int:
    """An instant in nanoseconds since 1970."""
    return nanoseconds(moment - _EPOCH)


def from_ns(moment: int) -> datetime:
    """Return the moment of nanoseconds since 1970, in whole microseconds."""
    return _EPOCH + timedelta(microseconds=moment // 1000)


def time_zone(name: str) -> tzinfo:
    """The time zone of an IANA name.

    Raises:
        ValueError: There is no such time zone.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (OSError, KeyError, ValueError) as error:  # a missing file, a directory, an absolute path
        raise ValueError(f"there is no time zone {name!r}") from error


def bounds_of(period: BudgetPeriod, zone: str, now_ns: int) -> Bounds:
    """The period in which an instant is, in nanoseconds since 1970. It begins at midnight, a week on Monday.

    All time begins in 1970 and ends with what an integer of 64 bits can say, in 2262.
    """
    if period is BudgetPeriod.TOTAL:
        return Bounds(0, NEVER_NS)
    tz = time_zone(zone)
    local = from_ns(now_ns).astimezone(tz)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
    if period is BudgetPeriod.DAY:
        begin, end = midnight, midnight + timedelta(days=1)
    elif period is BudgetPeriod.WEEK:
        begin = midnight - timedelta(days=midnight.weekday())
        end = begin + timedelta(days=7)
    else:
        begin = midnight.replace(day=1)
        end = (begin + timedelta(days=31)).replace(day=1)
    return Bounds(_instant(begin, tz), _instant(end, tz))


def _instant(midnight: datetime, tz: tzinfo) -> int:
    """When a midnight is. Where the clock is then set back, it is the first; where it is set forward, when that happens."""
    return to_ns(midnight.replace(tzinfo=tz))
