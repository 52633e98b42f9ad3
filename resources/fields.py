"""Kinds of fields that many resources have."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Protocol, Self
from uuid import UUID

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
Time = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        description="RFC 3339, in UTC with milliseconds.",
        extra_json_schema={"format": "date-time"},
    ),
]
"""What `intercept.times.format_time` writes."""


class StoredDecimal(Protocol):
    """A decimal as the database has it."""

    def to_decimal(self) -> Decimal:
        """The number."""


def format_decimal(stored: StoredDecimal) -> float:
    """Write a decimal as a number of JSON, to the nearest double."""
    return float(stored.to_decimal())


class Person(Protocol):
    """What is shown of a user."""

    @property
    def username(self) -> str:
        """The name that tells it from others."""

    @property
    def display_name(self) -> str:
        """The name for people; may be empty."""


class Initiator(Struct):
    """Who asked. A user who was removed keeps both names."""

    id: UUID
    username: str
    name: str

    @classmethod
    def of(cls, id_: UUID, users: Mapping[UUID, Person]) -> Self:
        """Show a user; one who is not among those that are known has no names."""
        user = users.get(id_)
        return cls(id_, user.username, user.display_name) if user else cls(id_, "", "")


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
