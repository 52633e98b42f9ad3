"""Query parameters that are one of some words, or a time. What is wrong with them is collected, and said together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, tzinfo

from handlers.api.pagination import INVALID
from handlers.problems import ValidationProblem
from resources.bodies import Word, one_of
from resources.ranges import Problems, range_named, range_of
from storage.queries.filters.kinds import parse_timestamp

ReadTime = Callable[[str], datetime]


def refuse(problems: Problems) -> None:
    """Say what is wrong, if anything is.

    Raises:
        ValidationProblem: With every problem.
    """
    if problems:
        raise ValidationProblem(INVALID, validations=problems)


def choice(words: Iterable[Word], name: str, values: Mapping[str, str], problems: Problems) -> Word | None:
    """Read one of some words; None where it is not given, or is another one, which becomes a problem."""
    if text := values.get(name):
        try:
            return one_of(words)(text)
        except ValueError as error:
            problems.append((name, str(error)))
    return None


def read_time(text: str) -> datetime:
    """Read a timestamp.

    Raises:
        ValueError: With what it must be.
    """
    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError) as error:
        raise ValueError('must be a timestamp like "2026-01-31T12:00:00Z" (RFC 3339)') from error


def time(name: str, values: Mapping[str, str], problems: Problems, read: ReadTime = read_time) -> datetime | None:
    """Read a time; None where it is not given, or is none, which becomes a problem."""
    try:
        return read(text) if (text := values.get(name)) else None
    except ValueError as error:
        problems.append((name, str(error)))
        return None


def time_range(
    values: Mapping[str, str],
    problems: Problems,
    *,
    zone: tzinfo,
    now: datetime,
    usual: Callable[[datetime], datetime],
) -> tuple[datetime, datetime, bool]:
    """Read `from` and `to` as `range_of` does, or `range`; what is wrong with them becomes problems.

    Return the start, the end, and whether it is a length of time before now.
    """
    wrong = len(problems)
    last, first = time("to", values, problems), time("from", values, problems)
    named = range_named(values.get("range", ""), zone, problems, now=now, beside=bool(first or last))
    if named is not None:
        first, last = named.start, named.end
    if len(problems) > wrong:
        return now, now, False
    return *range_of(first, last, problems, now=now, usual=usual), named is not None and named.is_length
