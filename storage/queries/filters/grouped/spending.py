"""What is queried of the cost of calls, and the rows of the result. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from storage.derived.rollup import TOKENS, Breakdown

COUNTS: Final = ("interceptions", *TOKENS, "unpriced")
"""The whole numbers of a row."""


class Dimension(StrEnum):
    """What the calls of a row have in common."""

    USER = "user"
    GROUP = "group"
    TOKEN = "token"  # noqa: S105 - a word
    PROVIDER = "provider"
    MODEL = "model"
    CLIENT = "client"


class Span(StrEnum):
    """How much time a row is about."""

    DAY = "day"
    MONTH = "month"


FIELDS: Mapping[Dimension, str] = MappingProxyType(
    {
        Dimension.USER: "initiator_id",
        Dimension.GROUP: "group_ids",
        Dimension.TOKEN: "api_key_id",
        Dimension.PROVIDER: "provider_name",
        Dimension.MODEL: "model",
        Dimension.CLIENT: "client",
    }
)
"""The fields of rollups and records."""

_OF_TOKENS: Final = frozenset({Dimension.USER, Dimension.GROUP, Dimension.TOKEN})
_OF_MODELS: Final = frozenset({Dimension.USER, Dimension.PROVIDER, Dimension.MODEL, Dimension.CLIENT})


class NotRecordedError(Exception):
    """Some of the calls are not recorded any more.

    Attributes:
        since: The first day of which all are.
    """

    def __init__(self, since: datetime) -> None:
        super().__init__(since)
        self.since = since


@dataclass(frozen=True)
class SpendQuery:
    """A query for spend: of the calls that started in [start, end), whole days in UTC.

    Attributes:
        group_by: What a row's calls have in common.
        span: How much time a row is about.
        visible_to: The user whose calls alone count; None are all.
    """

    start: datetime
    end: datetime
    group_by: tuple[Dimension, ...] = ()
    span: Span = Span.MONTH
    visible_to: UUID | None = None

    @property
    def breakdown(self) -> Breakdown | None:
        """The rollups that have all of it; None where the records alone do."""
        wanted = set(self.group_by) | ({Dimension.USER} if self.visible_to else set())
        if wanted <= _OF_MODELS:
            return Breakdown.USER_COMBINATION if Dimension.USER in wanted else Breakdown.COMBINATION
        return Breakdown.TOKEN if wanted <= _OF_TOKENS else None


class SpendRow(Struct, frozen=True):
    """What some calls add up to.

    Attributes:
        at: The beginning of the day or month.
        values: By what they have in common: ids, names, and of groups a tuple of ids.
        counts: The `COUNTS`.
        usd: What they cost, in US dollars; those without a price cost nothing.
    """

    at: datetime
    values: Mapping[Dimension, Any]
    counts: Mapping[str, int]
    usd: Decimal

    @property
    def micro_dollars(self) -> int:
        """The cost in millionths of a US dollar, rounded half to even."""
        return int((self.usd * 1_000_000).to_integral_value())
