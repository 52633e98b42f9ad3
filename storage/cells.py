"""Cells: what the interceptions of a minute, an hour or a day add up to, all of them or those that have something in common.

A cell has a place and figures. The place is a level, which says what its interceptions have in common (`DIMENSIONS`),
the values of that, a bucket and the time at which it begins. An interception belongs to the bucket that it started in.

The figures are a flat mapping from the names of fields to numbers, as an increment of the database has it:

- `interceptions`, `completed`, `failed` and, by end reason, `ends.completed` ..: calls that have ended;
- `input_tokens`, `output_tokens`, `cache_read_input_tokens`, `cache_write_input_tokens`;
- `cost`: US dollars, a decimal, of the `priced` calls; `unpriced`: calls that used tokens and have no price;
- `duration.57`, `first_byte.31` ..: how many calls took that long, see `histogram_index`.

A field that is absent is zero, and one that is zero may be there. Pure: no I/O, no clock.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import msgspec
from bson.decimal128 import Decimal128

TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
"""The disjoint counts of tokens."""

NESTED = ("ends", "duration", "first_byte")
"""The fields that are objects in the database: numbers by end reason, or histograms."""

GROWTH = 1.1
"""How much wider each place of a histogram is than the one before."""

HISTOGRAM_END = 200
"""The last place of a histogram, for everything that took longer than 48 hours."""

MINUTES_KEPT = timedelta(days=8)
"""How long a minute cell is kept, from its beginning. The others are kept for ever."""

Figures: TypeAlias = dict[str, Any]


class Level(StrEnum):
    """What the interceptions of a cell have in common."""

    EVERYONE = "everyone"
    MODEL = "model"
    PROVIDER = "provider"
    CLIENT = "client"
    COMBINATION = "combination"
    PERSON = "person"
    INITIATOR = "initiator"


class Bucket(StrEnum):
    """How much time a cell is about."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """From one beginning to the next."""
        return timedelta(**{f"{self.value}s": 1})

    def floor(self, at: datetime) -> datetime:
        """Return when the bucket began that this time, in UTC, is in."""
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return day + (at - day) // self.length * self.length


_COMBINATION = ("provider", "provider_name", "model", "client")

DIMENSIONS: Mapping[Level, tuple[str, ...]] = MappingProxyType(
    {
        Level.EVERYONE: (),
        Level.MODEL: ("model",),
        Level.PROVIDER: ("provider", "provider_name"),
        Level.CLIENT: ("client",),
        Level.COMBINATION: _COMBINATION,
        Level.PERSON: ("initiator_id",),
        Level.INITIATOR: ("initiator_id", *_COMBINATION),
    }
)
"""The fields of a cell, and of its interceptions, that say what these have in common."""

BUCKETS: Mapping[Level, tuple[Bucket, ...]] = MappingProxyType(
    dict.fromkeys(Level, tuple(Bucket)) | {Level.COMBINATION: (Bucket.DAY,), Level.PERSON: (Bucket.HOUR, Bucket.DAY)}
)
"""The buckets that there are cells of: of those that would be almost as many as the interceptions, not all."""


class Place(NamedTuple):
    """Which cell. `values` are those of `DIMENSIONS`, in that order."""

    level: Level
    bucket: Bucket
    at: datetime
    values: tuple[Any, ...]

    @property
    def id(self) -> bytes:
        """What the cell's document is found by: the same for the same place, 16 bytes."""
        key = msgspec.msgpack.encode((self.level, self.bucket, self.at, self.values))
        return hashlib.blake2b(key, digest_size=16).digest()

    @property
    def fields(self) -> dict[str, Any]:
        """What the cell's document has beside its figures."""
        dimensions = zip(DIMENSIONS[self.level], self.values, strict=True)
        fields = {"level": self.level.value, "bucket": self.bucket.value, "at": self.at, **dict(dimensions)}
        return fields | ({"expires_at": self.at + MINUTES_KEPT} if self.bucket is Bucket.MINUTE else {})


Cells: TypeAlias = dict[Place, Figures]


def cells_of(minutes: Iterable[tuple[Place, Figures]]) -> Cells:
    """Return every cell that a place has a part in.

    Args:
        minutes: Places of the level `INITIATOR` and the bucket `MINUTE`, any of them more than once.
    """
    initiators = _buckets(_summed(minutes))
    combinations = _common(initiators, Level.COMBINATION)
    cells = initiators | combinations | _common(initiators, Level.PERSON)
    for level in (Level.MODEL, Level.PROVIDER, Level.CLIENT, Level.EVERYONE):
        cells |= _common(combinations, level)
    return {place: figures for place, figures in cells.items() if place.bucket in BUCKETS[place.level]}


def add(total: Figures, figures: Mapping[str, Any], sign: int = 1) -> None:
    """Add figures to others, or take them away with the sign -1."""
    for name, value in figures.items():
        total[name] = total.get(name, 0) + sign * value


def figures_of(document: Mapping[str, Any]) -> Figures:
    """Return the figures that a document of a cell has, aside from what is no figure."""
    figures: Figures = {}
    for name, value in document.items():
        if name in NESTED:
            figures |= {f"{name}.{key}": number for key, number in value.items()}
        elif name == "cost":
            figures[name] = value.to_decimal()
        elif name in _PLAIN:
            figures[name] = value
    return figures


def document_of(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the opposite of `figures_of`: figures as a document has them."""
    document: dict[str, Any] = {}
    for name, value in increments(figures).items():
        outer, _, key = name.partition(".")
        if key:
            document.setdefault(outer, {})[key] = value
        else:
            document[outer] = value
    return document


def increments(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures as the database adds them to a cell's document; zeros are left out."""
    changes = {name: value for name, value in figures.items() if value}
    return changes | {name: Decimal128(value) for name, value in changes.items() if name == "cost"}


def histogram_index(milliseconds: float) -> int:
    """Return the place of a time in a histogram: the least power of `GROWTH` that is not less, at most `HISTOGRAM_END`."""
    if milliseconds <= 1:
        return 0
    return min(math.ceil(math.log(milliseconds) / math.log(GROWTH)), HISTOGRAM_END)


def quantiles(histogram: Mapping[str, int], shares: Iterable[float]) -> list[float] | None:
    """Return how many milliseconds each of these shares of the calls took at most, None of no calls.

    The error is at most 5 % of it: a place of the histogram stands for the middle of the times that fall into it.

    Args:
        histogram: Calls by `histogram_index`, as a document has them.
        shares: From 0 to 1, so 0.95 for the 95th percentile.
    """
    places = sorted(histogram, key=int)
    passed = list(accumulate(map(histogram.__getitem__, places)))
    if not passed or passed[-1] <= 0:
        return None
    ranks = (max(share * passed[-1], 1) for share in shares)
    return [_MIDDLES[int(places[bisect_left(passed, rank)])] for rank in ranks]


_MIDDLES = (1.0, *(GROWTH**index * 2 / (GROWTH + 1) for index in range(1, HISTOGRAM_END + 1)))
_PLAIN = frozenset({"interceptions", "completed", "failed", "priced", "unpriced", *TOKENS})


def _summed(parts: Iterable[tuple[Place, Figures]]) -> Cells:
    cells: Cells = {}
    for place, figures in parts:
        if place in cells:
            add(cells[place], figures)
        else:
            cells[place] = dict(figures)
    return cells


def _buckets(minutes: Cells) -> Cells:
    """Return these cells and those of the hours and days that they are in."""
    hours, days = Bucket.HOUR, Bucket.DAY
    by_hour = _summed((place._replace(bucket=hours, at=hours.floor(place.at)), part) for place, part in minutes.items())
    by_day = _summed((place._replace(bucket=days, at=days.floor(place.at)), part) for place, part in by_hour.items())
    return minutes | by_hour | by_day


def _common(cells: Cells, level: Level) -> Cells:
    """Sum cells, all of one level, to those of a level with fewer dimensions."""
    positions: list[int] = []
    parts: list[tuple[Place, Figures]] = []
    for place, figures in cells.items():
        if not positions:
            positions = [DIMENSIONS[place.level].index(name) for name in DIMENSIONS[level]]
        values = tuple(place.values[position] for position in positions)
        parts.append((Place(level, place.bucket, place.at, values), figures))
    return _summed(parts)
