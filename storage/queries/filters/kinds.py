"""What the text behind a key of a search means. Pure: each kind reads a text, or says why it cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeAlias, TypeVar

from msgspec import Struct

from storage.queries.filters.words import Validation

Kind: TypeAlias = Callable[[str, str, list[Validation]], Any]
"""Gives the text of a key its type. Text that has none becomes None, and a problem is added to the list."""

E = TypeVar("E", bound=StrEnum)

# RFC 3339, section 5.6. What `datetime.fromisoformat` takes besides is not a timestamp here.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_COMPARISON = re.compile(r"(>=|<=|>|<|=)?(.+)", re.DOTALL)
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,12})?|\.\d{1,12}", re.ASCII)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)?", re.ASCII)
_AGO = re.compile(r"(\d{1,6})(m|h|d|w)", re.ASCII)
_MILLISECONDS: Final[Mapping[str, int]] = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_OPERATORS: Final[Mapping[str, str]] = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte", "=": "$eq", "": "$eq"}
_SWITCH: Mapping[str, bool] = {"true": True, "false": False}
_TAG_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_CLASS = re.compile(r"[1-5]xx", re.ASCII)


class Comparison(Struct, frozen=True):
    """A number to compare with, and how: an operator of MongoDB's."""

    operator: str
    number: Decimal


class StatusClass(Struct, frozen=True):
    """All HTTP statuses of a class: of 4 those from 400 to 499."""

    hundreds: int


def read_text(_key: str, text: str, _problems: list[Validation]) -> str:
    """Take any text."""
    return text


class Tag(Struct, frozen=True):
    """A tag of a call."""

    name: str
    value: str


def read_tag(key: str, text: str, problems: list[Validation]) -> Tag | None:
    """Read a tag: `project=apollo`."""
    name, equals, value = text.partition("=")
    if equals and value and _TAG_NAME.fullmatch(name):
        return Tag(name.lower(), value)
    detail = f'Query param "{key}" has invalid value "{text}": it is a name and a value, as in {key}:project=apollo'
    problems.append(Validation(key, detail))
    return None


def one_of(allowed: type[E]) -> Callable[[str, str, list[Validation]], E | None]:
    """Return what reads one of these words."""

    def read(key: str, text: str, problems: list[Validation]) -> E | None:
        if text in list(allowed):
            return allowed(text)
        words = ", ".join(allowed)
        problems.append(Validation(key, f'Query param "{key}" has invalid value "{text}": allowed are {words}'))
        return None

    return read


def read_time(key: str, text: str, problems: list[Validation]) -> datetime | None:
    """Read a timestamp. Records have whole milliseconds, so one that must come after it may come at the next."""
    try:
        time = parse_timestamp(text)
        if beyond := time.microsecond % 1000:
            time += timedelta(microseconds=1000 - beyond if key == "started_after" else -beyond)
    except (ValueError, OverflowError):
        detail = f'Query param "{key}" must be a timestamp like "2026-01-31T12:00:00Z" (RFC 3339)'
        problems.append(Validation(key, detail))
        return None
    return time


def read_ago(key: str, text: str, problems: list[Validation]) -> timedelta | None:
    """Read how long ago: `24h`."""
    found = _AGO.fullmatch(text)
    if found is None:
        problems.append(_invalid(key, text, "it is a time before now like 15m, 24h, 7d or 4w"))
        return None
    return timedelta(**{_AGO_UNITS[found[2]]: int(found[1])})


def read_switch(key: str, text: str, problems: list[Validation]) -> bool | None:
    """Read `true` or `false`."""
    if text in _SWITCH:
        return _SWITCH[text]
    problems.append(_invalid(key, text, "it is true or false"))
    return None


def read_status(key: str, text: str, problems: list[Validation]) -> int | None:
    """Read an HTTP status."""
    if len(text) == len("429") and text.isascii() and text.isdecimal():
        return int(text)
    problems.append(_invalid(key, text, "it is an HTTP status like 429"))
    return None


def read_status_or_class(key: str, text: str, problems: list[Validation]) -> int | StatusClass | None:
    """Read an HTTP status, or a class of them like `5xx`."""
    if _CLASS.fullmatch(text.lower()):
        return StatusClass(int(text[0]))
    if len(text) == len("429") and text.isascii() and text.isdecimal():
        return int(text)
    problems.append(_invalid(key, text, "it is an HTTP status like 429, or a class of them like 5xx"))
    return None


def read_dollars(key: str, text: str, problems: list[Validation]) -> Comparison | None:
    """Read a comparison with US dollars: `>1`, `<=0.05`."""
    return _compared(key, text, _number, "it is a comparison with US dollars like >1 or <=0.05", problems)


def read_milliseconds(key: str, text: str, problems: list[Validation]) -> Comparison | None:
    """Read a comparison with a duration, which becomes milliseconds: `>10s`. Without a unit it has seconds."""
    return _compared(key, text, _duration, "it is a comparison with a duration like >10s, <500ms or >=2m", problems)


def read_count(key: str, text: str, problems: list[Validation]) -> Comparison | None:
    """Read a comparison with a number: `>1000`, `>10k`."""
    return _compared(key, text, _count, "it is a comparison with a number like >1000, <10k or >=2M", problems)


def read_fraction(key: str, text: str, problems: list[Validation]) -> Comparison | None:
    """Read a comparison with a share in percent, which becomes a number from 0 to 1: `<50%`."""
    return _compared(key, text, _percent, "it is a comparison with a percentage up to 100% like <50%", problems)


def parse_timestamp(text: str) -> datetime:
    """Read a time; the result is in UTC.

    Raises:
        ValueError, OverflowError: It is no RFC 3339 time, or is outside the years 1 to 9999.
    """
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError(f"not a timestamp: {text}")
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def _compared(
    key: str, text: str, read: Callable[[str], Decimal | None], allowed: str, problems: list[Validation]
) -> Comparison | None:
    found = _COMPARISON.fullmatch(text)
    number = None if found is None else read(found[2])
    if found is None or number is None:
        problems.append(_invalid(key, text, allowed))
        return None
    return Comparison(_OPERATORS[found[1] or ""], number)


def _number(text: str) -> Decimal | None:
    text = text.removeprefix("$")
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _duration(text: str) -> Decimal | None:
    found = _DURATION.fullmatch(text)
    return None if found is None else Decimal(found[1]) * _MILLISECONDS[found[2] or "s"]


def _count(text: str) -> Decimal | None:
    times = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    digits = text if times == 1 else text[:-1]
    number = Decimal(digits) * times if _NUMBER.fullmatch(digits) else None
    return number if number is None or number == int(number) else None


def _percent(text: str) -> Decimal | None:
    digits = text.removesuffix("%")
    if digits == text or not _NUMBER.fullmatch(digits) or Decimal(digits) > Decimal(100):
        return None
    return Decimal(digits) / 100


def _invalid(key: str, text: str, allowed: str) -> Validation:
    return Validation(key, f'Query param "{key}" has invalid value "{text}": {allowed}')
