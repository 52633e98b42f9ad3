"""Kinds of fields that many resources have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any, Generic, Self, TypeVar
from uuid import UUID

from msgspec import Meta, Struct

from intercept.times import format_time
from storage.accounts.users import User
from storage.mongo.documents.stored import TIME_SCHEMA

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


def of_fields(cls: type[S], record: Mapping[str, Any], /, **made: Any) -> S:
    """Make a resource from a record. Fields that are not in `made` are copied by name, times as text."""
    for name in cls.__struct_fields__:
        if name not in made:
            value = record[name]
            made[name] = value if type(value) in _PLAIN else _plain(value)
    return cls(**made)


_PLAIN = {str, int, bool, type(None)}


def _plain(value: Any) -> Any:
    """Make a time text, and a large integer, which BSON has as an `Int64`, a plain one. Anything else stays."""
    if isinstance(value, datetime):
        return format_time(value)
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
