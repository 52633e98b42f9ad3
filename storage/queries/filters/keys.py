"""The keys of searches for calls and for refusals: what each reads from a text, and what MongoDB finds by it. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

from bson.decimal128 import Decimal128
from msgspec import Struct

from intercept.ids import in_any_case
from intercept.records import EndReason, Status
from intercept.refusals import Rule

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


class Key(Struct, frozen=True, kw_only=True):
    """A key that may have several values, and be negated.

    Attributes:
        fields: Of the document; a value may be in any of them.
        kind: What reads a value.
        figure: Of a figure (see `storage.recording.figures`) the type of the number with which MongoDB compares it. Such a key
            has one value each time.
        is_tag: Whether its values are tags, of which a call may have several.
        named: Whether its values name something whose id has to be found first.
    """

    fields: tuple[str, ...] = ()
    kind: Kind = str
    figure: Callable[[Decimal], Any] | None = None
    named: bool = False
    is_tag: bool = False


KEYS: Final[Mapping[str, Key]] = {
    "user": Key(fields=("initiator_id",), named=True),
    "provider": Key(fields=("provider",)),
    "provider_name": Key(fields=("provider_name",)),
    "model": Key(fields=("model",)),
    "client": Key(fields=("client",)),
    "session_id": Key(fields=("client_session_id",)),
    "status": Key(fields=("status",), kind=one_of(Status)),
    "request_id": Key(fields=("request_ids",), kind=in_any_case),
    "token": Key(fields=("api_key_id",), named=True),
    "group": Key(fields=("group_ids",), named=True),
    "agent": Key(fields=("agent.id", "agent.hints.agent_type")),
    "tool": Key(fields=("tool_usages.tool",)),
    "tag": Key(kind=read_tag, is_tag=True),
    "end": Key(fields=("end_reason",), kind=one_of(EndReason)),
    "error": Key(fields=("error.type",)),
    "http": Key(fields=("upstream_status",), kind=read_status_or_class),
    "streaming": Key(fields=("streaming",), kind=read_switch),
    "cost": Key(fields=("cost.usd",), kind=read_dollars, figure=Decimal128),
    "took": Key(fields=("took",), kind=read_milliseconds, figure=float),
    "tokens": Key(fields=("tokens",), kind=read_count, figure=float),
    "cache": Key(fields=("cache_share",), kind=read_fraction, figure=float),
}
"""The keys of a search for calls, aside from those of time."""

REFUSAL_KEYS: Final[Mapping[str, Key]] = {
    "user": Key(fields=("initiator_id",), named=True),
    "api_key_id": Key(fields=("api_key_id",)),
    "provider": Key(fields=("provider",)),
    "route": Key(fields=("route",)),
    "model": Key(fields=("model",)),
    "rule": Key(fields=("rule",), kind=one_of(Rule)),
    "status": Key(fields=("status",), kind=read_status_or_class),
    "request_id": Key(fields=("request_ids",), kind=read_uuid),
    "shadow": Key(fields=("shadow",), kind=lambda text: read_switch(text) or None),  # rows that count say nothing
}
"""The keys of a search for refusals, aside from those of time."""


class Term(Struct, frozen=True):
    """A key with its values, one of which a document has to have, or if it is negated none of them.

    Values are as their kind reads them; those of a key that names something become ids, see `found`.
    """

    key: str
    values: tuple[Any, ...]
    negated: bool = False

    def found(self, ids: Iterable[Any]) -> Term:
        """Return the same with the ids of what its values name."""
        return Term(self.key, tuple(ids), self.negated)


class Conditions:
    """Collects what a document must be, as a MongoDB filter in which no value acts as an operator."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = dict(fields)
        self._more: list[dict[str, Any]] = []

    def add(self, key: Key, term: Term) -> None:
        """Add the condition of a term with this key."""
        if key.is_tag:
            self._add_tags(term)
        elif key.figure:
            for value in term.values:
                compared = {value.operator: key.figure(value.number)}
                self._more.append({key.fields[0]: {"$not": compared} if term.negated else compared})
        elif len(key.fields) == 1:
            self.add_to(key.fields[0], term)
        elif term.negated:
            for field in key.fields:
                self.add_to(field, term)
        else:
            self._more.append({"$or": [{field: {"$in": list(term.values)}} for field in key.fields]})

    def add_to(self, field: str, term: Term) -> None:
        """Add that a field has one of the values of a term, or none of them."""
        self._add_to(field, "$nin" if term.negated else "$in", _numbers(term.values))

    @property
    def filter(self) -> dict[str, Any]:
        """All of it."""
        return {**self.fields, "$and": self._more} if self._more else dict(self.fields)

    def _add_to(self, field: str, operator: str, values: Sequence[Any]) -> None:
        there = self.fields.get(field)
        if there is None:
            is_one = operator == "$in" and len(values) == 1
            self.fields[field] = values[0] if is_one else {operator: list(values)}
            return
        if not isinstance(there, dict):
            there = {"$in": [there]}
        if operator == "$nin":
            values = [*there.get("$nin", ()), *values]
        elif "$in" in there:
            values = [value for value in there["$in"] if value in values]
        self.fields[field] = {**there, operator: list(values)}

    def _add_tags(self, term: Term) -> None:
        by_name: dict[str, list[str]] = {}
        for tag in term.values:
            by_name.setdefault(f"tags.{tag.name}", []).append(tag.value)
        if term.negated or len(by_name) == 1:
            for field, values in by_name.items():
                self._add_to(field, "$nin" if term.negated else "$in", values)
        else:
            self._more.append({"$or": [{field: {"$in": values}} for field, values in by_name.items()]})


def _numbers(values: Sequence[Any]) -> list[Any]:
    """Return values as a filter has them: of a class of statuses each one."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, StatusClass):
            found.extend(range(value.hundreds * 100, value.hundreds * 100 + 100))
        else:
            found.append(value)
    return found
