"""Bodies of requests, read as the structs that describe them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Self, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from intercept.formats.json_text import RepeatedMemberError, decode_unique
from resources.ranges import Problems

NOT_A_SWITCH: Final = "must be true or false"
ONLY_ONCE: Final = "may be given only once"

Readers: TypeAlias = Mapping[str, Callable[[str], Any]]
OtherReaders: TypeAlias = Mapping[str, Callable[[Any], Any]]

Word = TypeVar("Word", bound=str)


class InvalidBodyError(ValueError):
    """A body is invalid.

    Attributes:
        problems: The errors, by field; empty if the body is not a JSON object.
    """

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__(problems)
        self.problems = problems


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON object of texts. `readers` make a value of each, or raise ValueError with what is wrong.

    `other_readers` are those of fields that are no texts; they raise InvalidBodyError where they name what is wrong inside.
    `missing` says of fields that there are not why.
    """

    readers: ClassVar[Readers] = {}
    other_readers: ClassVar[OtherReaders] = {}
    missing: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def read(cls, data: bytes, now: datetime) -> Self:
        """Read a body, at the time `now`.

        Raises:
            InvalidBodyError: With everything that is wrong.
        """
        found = cls.of(read_fields(data))
        if problems := found.check(now):
            raise InvalidBodyError(problems)
        return found

    def check(self, now: datetime) -> Problems:  # noqa: ARG002 - for those that depend on it
        """Find what is wrong with several fields together."""
        return []

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Read the fields of an object, each by itself.

        Raises:
            InvalidBodyError: With everything that is wrong.
        """
        fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
        allowed = f"unknown field; allowed are {', '.join(fields)}"
        problems = [(name, cls.missing.get(name, allowed)) for name in given if name not in fields]
        problems += [(name, "is required") for name, field in fields.items() if field.required and name not in given]
        values: dict[str, Any] = {}
        for name, field in ((name, field) for name, field in fields.items() if name in given):
            try:
                other = cls.other_readers.get(name)
                values[field.name] = cls.readers[name](_text(given[name])) if other is None else other(given[name])
            except InvalidBodyError as error:
                problems += error.problems
            except ValueError as error:
                problems.append((name, str(error)))
        if problems:
            raise InvalidBodyError(problems)
        return cls(**values)

    @property
    def changes(self) -> dict[str, Any]:
        """The given fields."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in values.items() if value is not UNSET}


def change_of(kind: type[Body], *, without: Collection[str] = (), **more: Any) -> type[Body]:
    """Make the body of a change of what a `New..` body makes: it has the same fields and further ones, and none is required."""
    kinds = {one.encode_name: one.type for one in msgspec.structs.fields(kind)} | more
    made: type[Any] = msgspec.defstruct(
        f"{kind.__name__.removeprefix('New')}Change",
        [(name, one | UnsetType, UNSET) for name, one in kinds.items() if name not in without],
        bases=(kind.__mro__[1],),
        namespace={"__doc__": "Changes: fields that are not given stay unchanged.", "readers": kind.readers},
        module=kind.__module__,
        forbid_unknown_fields=True,
        omit_defaults=True,
    )
    return made


def read_fields(data: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InvalidBodyError: It is none, or has a member twice.
    """
    try:
        return msgspec.convert(decode_unique(data), type=dict[str, Any])
    except RepeatedMemberError as error:
        raise InvalidBodyError([(error.name, ONLY_ONCE)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidBodyError([]) from error


def one_of(words: Iterable[Word], rule: str = "") -> Callable[[str], Word]:
    """What reads one of some words, of an enumeration as its member."""

    def read(text: str) -> Word:
        if (found := next((word for word in words if word == text), None)) is None:
            raise ValueError(rule or f"must be one of {', '.join(words)}")
        return found

    return read


def read_switch(value: object) -> bool:
    """Read what is on or off.

    Raises:
        ValueError: It is neither.
    """
    if not isinstance(value, bool):
        raise ValueError(NOT_A_SWITCH)  # noqa: TRY004 - what is wrong with a value, whatever it is
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - what is wrong with a value, whatever it is
    return value
