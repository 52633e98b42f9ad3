"""Rollups: the totals of the interceptions of an hour or a day, of all or of those with something in common.

A rollup has a key and totals. The key is a breakdown, which says what its interceptions have in common (`DIMENSIONS`),
the values of these dimensions, a bucket and the start of the bucket. An interception belongs to the bucket in which it started.

The totals are a flat mapping from names to numbers:

- `interceptions`, `completed`, `failed` and, by end reason, `ends.completed` ..: calls that have ended;
- `input_tokens`, `output_tokens`, `cache_read_input_tokens`, `cache_write_input_tokens`;
- `cost`: US dollars, a decimal, of the `priced` calls; `unpriced`: calls that used tokens and have no price;
- `input_cost`, `output_cost`, `read_cost`, `written_cost`: parts of `cost` by kind of token, of calls whose `cost` has rates;
- `saved`: US dollars that tokens from the prompt cache would have cost more outside it, of the same calls;
- `no_usage`: calls without reported tokens, of APIs that are billed;
- `lost_tokens`, and of calls with such rates `lost` in US dollars: what the prompt cache failed to keep, see
  `storage.derived.sessions.prompt_cache`;
- `durations`, `first_bytes`, `bridges`: how many calls took how long to their end, to the first byte and until the provider was
  asked; `speeds`: how many streams had how many tokens of output a second. See `storage.derived.histograms`.

A field that is absent is zero, and one that is zero may be there. Pure: no I/O, no clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from storage.derived.histograms import pack
from storage.mongo.codec import write_decimal

TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
"""The disjoint counts of tokens."""

HISTOGRAMS = ("durations", "first_bytes", "bridges", "speeds")
"""The totals that the database has packed, so that it cannot add them itself."""

KINDS = ("input_cost", "output_cost", "read_cost", "written_cost")
"""What tokens of each kind cost."""

MONEY = ("cost", *KINDS, "saved", "lost")
"""The totals in US dollars, which are decimals."""

PLAIN = ("interceptions", "completed", "failed", "priced", "unpriced", "no_usage", "lost_tokens", *TOKENS)
"""The totals that are a number in the database too."""

Totals: TypeAlias = dict[str, Any]


class Breakdown(StrEnum):
    """What the interceptions of a rollup have in common; those of which there are fewest come first."""

    ALL = "everyone"
    GROUP = "group"
    COMBINATION = "combination"
    MODEL_OUTCOME = "model outcome"
    MODEL_TOOL = "model tool"
    MODEL_TAG = "model tag"
    USER = "person"
    TOKEN = "token"  # noqa: S105 - a word
    USER_COMBINATION = "initiator"
    USER_OUTCOME = "user outcome"
    USER_TAG = "user tag"


class Bucket(StrEnum):
    """How much time a rollup is about."""

    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """From one beginning to the next."""
        return timedelta(**{f"{self.value}s": 1})

    def floor(self, at: datetime) -> datetime:
        """Return when the bucket began that this time, in UTC, is in."""
        whole = at.replace(minute=0, second=0, microsecond=0)
        return whole if self is Bucket.HOUR else whole.replace(hour=0)

    def ceiling(self, at: datetime) -> datetime:
        """Return when the first bucket begins that begins then or later.

        Raises:
            OverflowError: That is after the year 9999.
        """
        floor = self.floor(at)
        return floor if floor == at else floor + self.length


NO_GROUP = UUID(int=0)
"""The group in rollups of calls whose user was in none."""

OUTCOME = ("end_reason", "upstream_status", "error_type", "streaming")
"""How a call ended."""

TAG = ("tag", "tag_value")
"""A tag of a call."""

COMBINATION = ("provider", "provider_name", "model", "client")
"""Where a call went, and from what."""

_MODEL = ("provider", "provider_name", "model")

DIMENSIONS: Mapping[Breakdown, tuple[str, ...]] = MappingProxyType(
    {
        Breakdown.ALL: (),
        Breakdown.GROUP: ("group_id",),
        Breakdown.COMBINATION: COMBINATION,
        Breakdown.MODEL_OUTCOME: (*_MODEL, *OUTCOME),
        Breakdown.MODEL_TOOL: (*_MODEL, "tool"),
        Breakdown.MODEL_TAG: (*_MODEL, *TAG),
        Breakdown.USER: ("initiator_id",),
        Breakdown.TOKEN: ("initiator_id", "api_key_id", "group_ids"),
        Breakdown.USER_COMBINATION: ("initiator_id", *COMBINATION),
        Breakdown.USER_OUTCOME: ("initiator_id", *OUTCOME),
        Breakdown.USER_TAG: ("initiator_id", *TAG),
    }
)
"""The fields of a rollup, and of its interceptions, that say what these have in common.

The groups of a call are a part of `TOKEN`: they seldom change, so there are hardly more rollups, and they tell what one
user's calls of each group add up to. A call is in as many rollups of `GROUP` as its user was in groups, at least in one.
It is in as many of `MODEL_TOOL` as it called different tools, at least in one, whose tool is None; and in as many of those of
tags as it has tags, in none without.
"""

OF_OUTCOMES = frozenset({Breakdown.MODEL_OUTCOME, Breakdown.USER_OUTCOME})
OF_TOOLS = frozenset({Breakdown.MODEL_TOOL})
OF_TAGS = frozenset({Breakdown.MODEL_TAG, Breakdown.USER_TAG})


class RollupKey(NamedTuple):
    """Identifies a rollup. `values` are those of `DIMENSIONS`, in that order."""

    breakdown: Breakdown
    bucket: Bucket
    at: datetime
    values: tuple[Any, ...]

    @property
    def id(self) -> bytes:
        """The `_id` of the rollup's document: 16 bytes, the same for the same key."""
        key = msgspec.msgpack.encode((self.breakdown, self.bucket, self.at, self.values))
        return hashlib.blake2b(key, digest_size=16).digest()

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the rollup's document besides its totals."""
        dimensions = zip(DIMENSIONS[self.breakdown], self.values, strict=True)
        return {"level": self.breakdown.value, "bucket": self.bucket.value, "at": self.at, **dict(dimensions)}


RollupTotals: TypeAlias = dict[RollupKey, Totals]
_Key = TypeVar("_Key", bound=Hashable)


def smallest_with(names: Iterable[str]) -> Breakdown | None:
    """Return the breakdown with the fewest rollups of those that have these dimensions; None if none has."""
    wanted = set(names)
    return next((one for one in Breakdown if wanted <= set(DIMENSIONS[one])), None)


def add(total: Totals, totals: Mapping[str, Any], sign: int = 1) -> None:
    """Add totals to others, or take them away with the sign -1."""
    get = total.get
    if sign == 1:
        for name, value in totals.items():
            total[name] = get(name, 0) + value
    else:
        for name, value in totals.items():
            total[name] = get(name, 0) - value


def totals_document(totals: Mapping[str, Any]) -> dict[str, Any]:
    """Return totals as the document of a rollup has them: no zeros."""
    document: dict[str, Any] = {name: pack(totals[name]) for name in HISTOGRAMS if totals.get(name)}
    for name, value in increments(totals).items():
        outer, _, key = name.partition(".")
        if key:
            document.setdefault(outer, {})[key] = value
        else:
            document[outer] = value
    return document


def increments(totals: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the database adds to a rollup's document: no zeros and no histograms."""
    return {
        name: write_decimal(value) if isinstance(value, Decimal) else value
        for name, value in totals.items()
        if value and name not in HISTOGRAMS
    }


def summed(parts: Iterable[tuple[_Key, Totals]]) -> dict[_Key, Totals]:
    """Add up what has the same key."""
    rollups: dict[_Key, Totals] = {}
    for key, totals in parts:
        if key in rollups:
            add(rollups[key], totals)
        else:
            rollups[key] = dict(totals)
    return rollups


def days_of(hours: RollupTotals) -> RollupTotals:
    """Add rollups of hours up to those of the days that these are in."""
    days = Bucket.DAY
    return summed((key._replace(bucket=days, at=days.floor(key.at)), part) for key, part in hours.items())
