"""The parameters of a query, read as the struct that describes them, with everything that is wrong said at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

from msgspec import Meta, Struct, UnsetType, structs

from handlers.problems import ValidationProblem
from resources.bodies import NOT_A_SWITCH, ONLY_ONCE, Readers, one_of
from resources.fields import doc
from resources.ranges import NOT_AFTER, NOT_BESIDE, RANGE, ZONE, Problems, range_of, zone_of
from storage.queries.filters.keys import parse_timestamp
from storage.queries.filters.named_ranges import NamedRange, named_range

MAX_LIMIT: Final = 1000
MAX_OFFSET: Final = 2**31 - 1
"""MongoDB takes no larger skip than this."""

MANY: Final = "[]"
"""The end of the name of a parameter that may be given several times."""

INVALID: Final = "Query parameters have invalid values."
TWO_CURSORS: Final = "Cannot use both {} and offset pagination in the same request."

Q = TypeVar("Q", bound="Query")


Timestamp = Annotated[datetime, Meta(tz=True)]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="How many.")]

Offset = Annotated[int, Meta(ge=0, le=MAX_OFFSET, description="How many to skip.")]


class Query(Struct, frozen=True, kw_only=True, rename={"from_": "from", "range_": "range"}):
    """The parameters of a query, each at most once, unless its name ends in `[]`; an empty value counts as not given.

    `readers` make a value of some, or raise ValueError with what is wrong. The others are read as their types say.
    """

    readers: ClassVar[Readers] = {}

    def check(self, now: datetime) -> Problems:  # noqa: ARG002 - for those that depend on it
        """Find what is wrong with several together."""
        return []


class NoQuery(Query, frozen=True):
    """No parameters."""


class Paged(Query, frozen=True):
    """A page of a list."""

    limit: Limit = 100
    offset: Offset = 0


class Ranged(Query, frozen=True):
    """A time range; of a `span` without `from`, and until now without `to`. It may be open where there is no span."""

    span: ClassVar[timedelta | None] = None

    from_: Annotated[Timestamp | None, doc("From then on.")] = None
    to: Annotated[Timestamp | None, doc("Until before then.")] = None
    range_: Annotated[str, doc(RANGE)] = ""
    tz: Annotated[str, doc(ZONE)] = "UTC"

    def check(self, now: datetime) -> Problems:
        """Find an end that is not after the start, and names of nothing."""
        problems = super().check(now)
        if self.span is not None:
            self.bounded(now, problems)
            return problems
        self._named(now, problems)
        if self.from_ and self.to and self.from_ >= self.to:
            problems.append(("to", NOT_AFTER))
        return problems

    def within(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """Return the start and the end, at the time `now`."""
        named = self._named(now, [])
        return (named.start, named.end) if named else (self.from_, self.to)

    def bounded(self, now: datetime, problems: Problems) -> tuple[datetime, datetime, bool]:
        """Return the start, the end, and whether that is a length of time before `now`; what is wrong becomes problems."""
        wrong, named, span = len(problems), self._named(now, problems), self.span or timedelta()
        if len(problems) > wrong:
            return now, now, False
        first, last = (named.start, named.end) if named else (self.from_, self.to)
        start, end = range_of(first, last, problems, now=now, usual=lambda end: end - span)
        return start, end, named is not None and named.is_length

    def _named(self, now: datetime, problems: Problems) -> NamedRange | None:
        zone = zone_of(self.tz, problems)
        if self.range_ and (self.from_ or self.to):
            problems.append(("range", NOT_BESIDE))
        elif self.range_:
            try:
                return named_range(self.range_, zone, now)
            except ValueError as error:
                problems.append(("range", str(error)))
        return None


class _NumberError(ValueError):
    """A number is none, or out of range."""


def read_query(kind: type[Q], arguments: Mapping[str, list[bytes]], now: datetime) -> Q:
    """Read the parameters of a query, at the time `now`.

    Raises:
        ValidationProblem: With everything that is wrong.
    """
    fields = {one.encode_name: one for one in structs.fields(kind)}
    values: dict[str, Any] = {}
    problems: Problems = []
    numbers: Problems = []
    message, detail = INVALID, ""
    for name, given in arguments.items():
        if name not in fields:
            problems.append((name, f"unknown query parameter; allowed are {', '.join(sorted(fields)) or 'none'}"))
        elif len(given) > 1 and not name.endswith(MANY):
            problems.append((name, ONLY_ONCE))
        else:
            try:
                read = kind.readers.get(name) or reader_of(fields[name].type)
                if texts := [text for one in given if (text := one.decode())]:
                    values[fields[name].name] = tuple(map(read, texts)) if name.endswith(MANY) else read(texts[0])
            except UnicodeDecodeError:
                problems.append((name, "is not UTF-8 text"))
            except ValueError as error:
                (numbers if isinstance(error, _NumberError) else problems).append((name, str(error)))
    if numbers:
        (name, rule), *further = numbers
        message, detail = f"Invalid pagination {name} value.", f"Pagination {name} {rule}"
        problems += further
    found, wrong = kind(**values), {name for name, _ in problems}
    problems += [(name, problem) for name, problem in found.check(now) if name not in wrong]
    after = next((name for name in values if name.startswith("after_")), None)
    if after and "offset" in values and not detail:
        detail = TWO_CURSORS.format(after)
    if problems or detail:
        raise ValidationProblem(message, detail, problems)
    return found


def reader_of(kind: Any) -> Callable[[str], Any]:
    """What reads a text as a type, or raises ValueError with what it must be."""
    if get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
        if kind is int:
            return _number_of(notes)
        return reader_of(kind)
    if get_origin(kind) in {Union, UnionType}:
        return reader_of(next(one for one in get_args(kind) if one not in {NoneType, UnsetType}))
    if get_origin(kind) is tuple:
        return reader_of(get_args(kind)[0])
    if get_origin(kind) is Literal:
        words = get_args(kind)
        return one_of(words, f"must be {words[0]}" if len(words) == 1 else "")
    if issubclass(kind, StrEnum):
        return one_of(kind)
    return _READERS[kind]


def _number_of(notes: list[Meta]) -> Callable[[str], int]:
    lowest = next(note.ge for note in notes if note.ge is not None)
    highest = next(note.le for note in notes if note.le is not None)

    def read(text: str) -> int:
        is_short = len(text.lstrip("0")) <= len(str(highest))
        if text.isascii() and text.isdecimal() and is_short and lowest <= int(text) <= highest:
            return int(text)
        raise _NumberError(f"must be in range {'(' if lowest else '['}0, {highest}]")

    return read


def read_time(text: str) -> datetime:
    """Read a timestamp.

    Raises:
        ValueError: With what it must be.
    """
    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError) as error:
        raise ValueError('must be a timestamp like "2026-01-31T12:00:00Z" (RFC 3339)') from error


def _read_uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise ValueError("must be a UUID") from error


_READERS: Mapping[Any, Callable[[str], Any]] = {
    str: str,
    UUID: _read_uuid,
    datetime: read_time,
    bool: lambda text: one_of(("true", "false"), NOT_A_SWITCH)(text) == "true",
}
