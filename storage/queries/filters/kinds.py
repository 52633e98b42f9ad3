"""What the text behind a key of a search means. Pure: each kind reads a text, or says why it cannot be read."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

from msgspec import Struct

Kind: TypeAlias = Callable[[str], Any]
"""Gives the text of a key its type. Raises `ValueError` if it has none; its text continues a sentence about the key."""

E = TypeVar("E", bound=StrEnum)

# RFC 3339, section 5.6. What `datetime.fromisoformat` takes besides is not a timestamp here.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_COMPARISON = re.compile(r"(>=|<=|>|<|=)?(.+)", re.DOTALL)
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,12})?|\.\d{1,12}", re.ASCII)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)?", re.ASCII)
_AGO = re.compile(r"(\d{1,6})(s|m|h|d|w)", re.ASCII)
_MILLISECONDS: Final[Mapping[str, int]] = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_OPERATORS: Final[Mapping[str, str]] = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte", "=": "$eq", "": "$eq"}
_TAG_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_STATUS = re.compile(r"[0-9]{3}")
_CLASS = re.compile(r"[1-5]xx", re.ASCII)


COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$eq": operator.eq,
}
"""How MongoDB's operators compare."""


class Comparison(Struct, frozen=True):
    """A number to compare with, and how: an operator of MongoDB's."""

    operator: str
    number: Decimal


class StatusClass(Struct, frozen=True):
    """All HTTP statuses of a class: of 4 those from 400 to 499."""

    hundreds: int


class Tag(Struct, frozen=True):
    """A tag of a call."""

    name: str
    value: str


def read_tag(text: str) -> Tag:
    """Read a tag: `project=apollo`."""
    name, equals, value = text.partition("=")
    if not (equals and value and _TAG_NAME.fullmatch(name)):
        raise _invalid(text, "it is a name and a value, as in tag:project=apollo")
    return Tag(name.lower(), value)


def one_of(allowed: type[E]) -> Callable[[str], E]:
    """Return what reads one of these words."""

    def read(text: str) -> E:
        if text not in list(allowed):
            raise _invalid(text, f"allowed are {', '.join(allowed)}")
        return allowed(text)

    return read


def read_time(text: str, later: timedelta = timedelta()) -> datetime:
    """Read a timestamp, or so much later: the last of the whole milliseconds that records have until then."""
    try:
        time = parse_timestamp(text) + later
    except (ValueError, OverflowError):
        raise ValueError('must be a timestamp like "2026-01-31T12:00:00Z" (RFC 3339)') from None
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def read_first_time(text: str) -> datetime:
    """Read a timestamp: the first whole millisecond that is not before it."""
    return read_time(text, timedelta(microseconds=999))


def read_ago(text: str) -> timedelta:
    """Read how long ago: `24h`."""
    found = _AGO.fullmatch(text)
    if found is None:
        raise _invalid(text, "it is a time before now with a unit (s, m, h, d or w), like 15m, 24h or 7d")
    return timedelta(**{_AGO_UNITS[found[2]]: int(found[1])})


def read_uuid(text: str) -> UUID:
    """Read an id of the bridge's own."""
    try:
        return UUID(text)
    except ValueError:
        raise _invalid(text, "it is an id of the bridge, a UUID") from None


def read_switch(text: str) -> bool:
    """Read `true` or `false`."""
    if text not in {"true", "false"}:
        raise _invalid(text, "it is true or false")
    return text == "true"


def read_status_or_class(text: str) -> int | StatusClass:
    """Read an HTTP status, or a class of them like `5xx`."""
    if _CLASS.fullmatch(text.lower()):
        return StatusClass(int(text[0]))
    if _STATUS.fullmatch(text):
        return int(text)
    raise _invalid(text, "it is an HTTP status like 429, or a class of them like 5xx")


def parse_timestamp(text: str) -> datetime:
    """Read a time; the result is in UTC.

    Raises:
        ValueError, OverflowError: It is no RFC 3339 time, or is outside the years 1 to 9999.
    """
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError(f"not a timestamp: {text}")
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def _comparison(read: Callable[[str], Decimal | None], allowed: str) -> Callable[[str], Comparison]:
    """Return what reads a comparison with a number of some kind."""

    def compared(text: str) -> Comparison:
        found = _COMPARISON.fullmatch(text)
        number = None if found is None else read(found[2])
        if found is None or number is None:
            raise _invalid(text, f"it is a comparison with {allowed}")
        return Comparison(_OPERATORS[found[1] or ""], number)

    return compared


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


def _invalid(text: str, allowed: str) -> ValueError:
    return ValueError(f'has invalid value "{text}": {allowed}')


read_dollars: Final = _comparison(_number, "US dollars like >1 or <=0.05")
read_count: Final = _comparison(_count, "a number like >1000, <10k or >=2M")

read_milliseconds: Final = _comparison(_duration, "a duration like >10s, <500ms or >=2m")
"""Without a unit it has seconds."""

read_fraction: Final = _comparison(_percent, "a percentage up to 100% like <50%")
"""It becomes a number from 0 to 1."""
