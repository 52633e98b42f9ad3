"""The body of a request to compare with a provider's reports. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal, NamedTuple

from msgspec import Meta, field

from installation import COMMAND
from resources.bodies import Body, InvalidBodyError, OtherReaders, Readers, read_fields
from resources.fields import doc
from resources.money.prices import read_day_or_time
from resources.ranges import Problems, range_of
from storage.derived.rollup import Bucket
from storage.queries.filters.time_ranges import ceiling
from upstream.reports.reported import READABLE, SOURCES

MAX_DAYS: Final = 93
"""The days that one request may be about: a quarter."""

MAX_NAMES: Final = 100
READ_FROM_FILES = f"has reports that are files: {COMMAND} reconcile --provider {{}} --file .. compares with them"


def _provider(value: object) -> str:
    if isinstance(value, str) and value in READABLE:
        return value
    if isinstance(value, str) and value in SOURCES:
        raise ValueError(READ_FROM_FILES.format(value))
    raise ValueError(f"must be one of {', '.join(READABLE)}")


def _day(text: str) -> datetime | None:
    return read_day_or_time(text) if text else None


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_NAMES or not all(isinstance(one, str) for one in value):
        raise ValueError(f"must be a list of at most {MAX_NAMES} names")
    return tuple(dict.fromkeys(value))


class ReconciliationRequest(NamedTuple):
    """What to compare: the days in [start, end) of a provider, and the names of providers to include."""

    provider: str
    start: datetime
    end: datetime
    names: tuple[str, ...]


class ReconciliationBody(Body, omit_defaults=True):
    """Whose reports are read, and for which days."""

    provider: Literal["openai", "anthropic"]
    from_: Annotated[
        str, doc("The first day, such as `2026-11-01`, in UTC. Without it the first one of the month.")
    ] = field(name="from", default="")
    to: Annotated[
        str, doc(f"The day after the last one, at most {MAX_DAYS} days later. Without it the present day.")
    ] = ""
    names: Annotated[
        list[str],
        Meta(
            max_length=MAX_NAMES, description="Only calls of the providers with these names; of all where it is empty."
        ),
    ] = field(default_factory=list)

    readers: ClassVar[Readers] = {"from": _day, "to": _day}
    other_readers: ClassVar[OtherReaders] = {"provider": _provider, "names": _names}

    @classmethod
    def request_of(cls, data: bytes, now: datetime) -> ReconciliationRequest:
        """Read a body.

        Raises:
            InvalidBodyError: With everything that is wrong.
        """
        values, problems = cls.read_each(read_fields(data))
        start = end = now
        if not {name for name, _ in problems} & {"from", "to"}:
            start, end = reported_days(values.get("from_"), values.get("to"), problems, now)
            if end - start > timedelta(days=MAX_DAYS):
                problems.append(("to", f"must be at most {MAX_DAYS} days after from"))
        if problems:
            raise InvalidBodyError(problems)
        return ReconciliationRequest(values["provider"], start, end, values.get("names", ()))


def reported_days(
    first: datetime | None, last: datetime | None, problems: Problems, now: datetime
) -> tuple[datetime, datetime]:
    """Return whole days; without `first` from the first of the month of the last one, without `last` to yesterday."""
    day = Bucket.DAY
    start, end = range_of(
        first,
        last,
        problems,
        now=day.floor(now),
        usual=lambda to: (ceiling(day, to) - day.length).replace(day=1),
    )
    return day.floor(start), ceiling(day, end)
