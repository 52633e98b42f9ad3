"""Kinds of fields that many resources have, names of what they name, and how the API shows what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Generic, Self, TypeVar, get_args
from uuid import UUID

from msgspec import NODEFAULT, UNSET, Meta, Struct, UnsetType, field, structs

from intercept.ids import format_id
from intercept.times import format_time
from storage.accounts.users import Group, Token, User
from storage.mongo.documents.stored import HIDDEN, TIME_SCHEMA, Stored
from storage.queries.questions.question import Dimension

S = TypeVar("S", bound=Struct)
T = TypeVar("T")
Count = Annotated[int, Meta(ge=0)]
Time = Annotated[
    str,
    Meta(
        description="RFC 3339, in UTC with milliseconds.",
        extra_json_schema=TIME_SCHEMA,
    ),
]
"""What `intercept.times.format_time` writes."""


def of_fields(
    cls: type[S], record: Mapping[str, Any], /, above: Mapping[str, Any] = MappingProxyType({}), **made: Any
) -> S:
    """Make a resource from a record. Fields that are not in `made` are copied by name, times as text.

    So are structs in it, and lists of them. What they lack may be in `above`, else they have their default.
    """
    for name, default, inner in _copied(cls):
        if name in made:
            continue
        if name in record:
            value = record[name]
        elif name in above or default is NODEFAULT:
            value = above[name]
        else:
            continue
        if type(value) in _PLAIN:
            made[name] = value
        elif inner is not None and isinstance(value, dict):
            made[name] = of_fields(inner, value, above)
        elif inner is not None and isinstance(value, list):
            made[name] = [of_fields(inner, one, above) if isinstance(one, dict) else one for one in value]
        else:
            made[name] = _plain(value)
    return cls(**made)


_PLAIN = {str, int, float, bool, UUID, type(None)}


@cache
def _copied(cls: type[Struct]) -> tuple[tuple[str, Any, type[Struct] | None], ...]:
    """The fields of a struct: the name of each, its default, and the struct that it has."""
    return tuple((one.name, one.default, struct_in(one.type)) for one in structs.fields(cls))


@cache
def struct_in(kind: Any) -> type[Struct] | None:
    """The struct that a field of this type has, maybe in a list; None for other fields."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind
    return next(filter(None, map(struct_in, get_args(kind))), None)


def _plain(value: Any) -> Any:
    """Make plain what BSON has types for: times are texts, large integers and decimals numbers. Anything else stays."""
    if isinstance(value, datetime):
        return format_time(value)
    if hasattr(value, "to_decimal"):
        return format_decimal(value)
    return int(value) if isinstance(value, int) else value


def format_decimal(stored: Any) -> float:
    """Write a Decimal128 of BSON as a number of JSON, to the nearest double."""
    return float(stored.to_decimal())


def micro_dollars(usd: Decimal | int) -> int:
    """Write US dollars in whole millionths, rounded half to even."""
    return int((usd * 1_000_000).to_integral_value(ROUND_HALF_EVEN)) if isinstance(usd, Decimal) else usd * 1_000_000


def doc(text: str) -> Meta:
    """Describe a field."""
    return Meta(description=text)


def word(text: str) -> Any:
    """Return a word, maybe of an enumeration, for a field that may be one of some words."""
    return str(text)


class Initiator(Struct):
    """A user, such as that of a call. A removed user keeps both names."""

    id: UUID
    username: str
    name: str

    @classmethod
    def of(cls, id_: UUID, users: Mapping[UUID, User]) -> Self:
        """Make it; an unknown user has no names."""
        user = users.get(id_)
        return cls.of_user(user) if user else cls(id_, "", "")

    @classmethod
    def of_user(cls, user: User) -> Self:
        """Make it of a user who is known."""
        return cls(user.id, user.username, user.name)


class ListPage(Struct, Generic[T]):
    """A page of a list."""

    count: Annotated[Count, doc("The number on all pages, of what matches and the caller may see.")]
    results: list[T]


class WholeList(Struct, Generic[T]):
    """A list without pages, or a page of one that is not counted."""

    results: list[T]


class TokenCounts(Struct):
    """Sums of the four disjoint counts of tokens."""

    input_tokens: Count
    output_tokens: Count
    cache_read_input_tokens: Count
    cache_write_input_tokens: Count

    @classmethod
    def of(cls, sums: Mapping[str, Any]) -> Self:
        """Take them out of sums that have others too; one that is absent is zero."""
        return cls(*(int(sums.get(name, 0)) for name in cls.__struct_fields__))


class SeriesGroup(Struct):
    """A user, a group of users or a token that calls have in common."""

    id: Annotated[str | None, doc("Null for calls of users without a group.")]
    name: Annotated[str, doc("The display name of a user; the name of a group or a token.")]
    username: Annotated[
        str | UnsetType, doc("The username of the user, or of the owner of the token; absent for a group.")
    ] = UNSET


class Names(Struct, frozen=True):
    """Users and groups that are known, by id, and tokens, by the public part."""

    users: Mapping[UUID, User] = field(default_factory=dict)
    groups: Mapping[UUID, Group] = field(default_factory=dict)
    tokens: Mapping[str, Token] = field(default_factory=dict)

    def show(self, dimension: Dimension, value: Any) -> Any:
        """Show what a group of calls has in common: people and tokens with their names, where these are known."""
        match dimension:
            case Dimension.USER if value is not None:
                user = self.users.get(value)
                return SeriesGroup(format_id(value), user.name if user else "", user.username if user else "")
            case Dimension.GROUP:
                known = self.groups.get(value)
                return SeriesGroup(None if value is None else format_id(value), known.name if known else "")
            case Dimension.TOKEN if value is not None:
                token = self.tokens.get(value)
                user = self.users.get(token.user_id) if token else None
                return SeriesGroup(value, token.name if token else "", user.username if user else "")
        return format_id(value) if isinstance(value, UUID) else value


def shown(value: Any) -> Any:
    """Return what JSON has of an answer. What has nothing that is stored stays as it is."""
    match value:
        case Struct() if fields := _fields_to_show(type(value)):
            found = ((name, getattr(value, field)) for field, name in fields.items())
            return {name: shown(one) for name, one in found if one is not UNSET}
        case list() | tuple():
            return [shown(one) for one in value]
        case dict():
            return {key: shown(one) for key, one in value.items()}
        case datetime():
            return format_time(value)
        case Decimal():
            return f"{value:f}"
        case _:
            return value


@cache
def shown_fields(kind: type[Struct]) -> dict[str, str]:
    """The fields that are shown, with the names that they have in JSON."""
    return {one.name: one.encode_name for one in structs.fields(kind) if not _is_hidden(one.type)}


@cache
def _fields_to_show(kind: type[Struct]) -> dict[str, str]:
    """The fields to show of a struct that is stored, or may have such a one in a field; none of any other."""
    may_have = issubclass(kind, Stored) or any(_may_have_stored(one.type) for one in structs.fields(kind))
    return shown_fields(kind) if may_have else {}


def _may_have_stored(kind: Any) -> bool:
    if isinstance(kind, TypeVar):
        return True
    if isinstance(kind, type) and issubclass(kind, Struct):
        return bool(_fields_to_show(kind))
    return any(map(_may_have_stored, get_args(kind)))


def _is_hidden(kind: Any) -> bool:
    notes = [one for one in get_args(kind) if isinstance(one, Meta)]
    return any(HIDDEN in (one.extra_json_schema or {}) for one in notes)
