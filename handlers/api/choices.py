"""Query parameters that are one of some words, or a time. What is wrong with them is collected, and said together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from handlers.api.pagination import INVALID
from handlers.problems import ValidationProblem
from resources.bodies import Word, one_of
from storage.queries.filters.kinds import parse_timestamp

Problems = list[tuple[str, str]]


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


def time(name: str, values: Mapping[str, str], problems: Problems) -> datetime | None:
    """Read a time; None where it is not given, or is none, which becomes a problem."""
    text = values.get(name)
    if not text:
        return None
    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError):
        problems.append((name, 'must be a timestamp like "2026-01-31T12:00:00Z" (RFC 3339)'))
        return None
