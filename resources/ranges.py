"""The time ranges that requests ask for, by two times or by a name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Final

from storage.queries.filters.named_ranges import ALLOWED, read_zone

NOT_AFTER: Final = "must be after from"
OUT_OF_RANGE: Final = "is out of range"
NOT_BESIDE: Final = "cannot be used beside from and to"
RANGE: Final = f"The range by a name, in place of `from` and `to`: {ALLOWED}."
ZONE: Final = "The time zone of days, by its name of IANA."

Problems = list[tuple[str, str]]

# An end between these can be moved to the edge of any bucket.
_EARLIEST: Final = datetime(2, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 1, tzinfo=UTC)


def range_of(
    first: datetime | None,
    last: datetime | None,
    problems: Problems,
    *,
    now: datetime,
    usual: Callable[[datetime], datetime],
) -> tuple[datetime, datetime]:
    """Return the range of what is given as `from` and `to`; what is wrong with it becomes problems.

    Without `last` the end is `now`. Without `first` the start is what `usual` makes of the end.
    """
    end = last or now
    if not _EARLIEST <= end < _LATEST:
        problems.append(("to", OUT_OF_RANGE))
        return now, now
    start = first or usual(end)
    if start >= end:
        problems.append(("to", NOT_AFTER))
    return start, end


def zone_of(tz: str, problems: Problems) -> tzinfo:
    """Return the time zone of that name; UTC where there is none, which becomes a problem."""
    try:
        return read_zone(tz)
    except ValueError as error:
        problems.append(("tz", str(error)))
        return UTC
