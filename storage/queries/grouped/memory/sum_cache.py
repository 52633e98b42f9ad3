"""What groups added up to in ranges of time, in memory. Pure: no I/O, no clock.

Most of what a view shows is of days that are over. What groups added up to there is remembered with the version of the range
(`storage.queries.grouped.memory.versions`), and is right for as long as the version is the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from storage.aggregation.rollup import Bucket
from storage.queries.filters.grouped.groups import Found, Key
from storage.queries.filters.time_ranges import TimeRange

MAX_SUMS: Final = 6_000
"""Most totals in memory, of groups and of their buckets: about 15 MB."""

Question = tuple[object, ...]
"""What is asked of a range: of which calls, in which groups and buckets."""


class Place(Struct, frozen=True):
    """Where sums are remembered: what was asked, and of which range."""

    question: Question
    range: TimeRange


class _Held(Struct):
    """What is known of a place: of each group its sums, None of one that has no calls there."""

    version: bytes
    groups: dict[Key, Found | None]


class SumCache:
    """Sums of groups, those that were asked for the latest."""

    def __init__(self) -> None:
        self._held: OrderedDict[Place, _Held] = OrderedDict()
        self._sums = 0

    def __len__(self) -> int:
        """How many totals there are."""
        return self._sums

    def known(self, place: Place, version: bytes) -> Mapping[Key, Found | None]:
        """Return what is known of groups in this version; nobody may change it."""
        held = self._held.get(place)
        if held is None or held.version != version:
            return {}
        self._held.move_to_end(place)
        return held.groups

    def add(self, place: Place, version: bytes, keys: Iterable[Key], found: Mapping[Key, Found]) -> None:
        """Remember what groups add up to; nobody may change it afterwards.

        Args:
            place: Where.
            version: Of its range, when they were read.
            keys: The groups that were read.
            found: Those of them that have calls there.
        """
        held = self._held.get(place)
        if held is None or held.version != version:
            self._drop(place)
            held = self._held[place] = _Held(version, {})
        for key in keys:
            self._sums += _size(found.get(key)) - (_size(held.groups[key]) if key in held.groups else 0)
            held.groups[key] = found.get(key)
        self._held.move_to_end(place)
        while self._sums > MAX_SUMS:
            self._drop(next(iter(self._held)))

    def _drop(self, place: Place) -> None:
        if (held := self._held.pop(place, None)) is not None:
            self._sums -= sum(map(_size, held.groups.values()))


def parts(ranges: Sequence[TimeRange]) -> Iterator[TimeRange]:
    """Yield ranges, hours in two parts where they go on into another day: the last day is the one that still changes."""
    for one in ranges:
        last_day = Bucket.DAY.floor(one.end)
        if one.bucket is Bucket.HOUR and one.start < last_day < one.end:
            yield one._replace(end=last_day)
            yield one._replace(start=last_day)
        else:
            yield one


def _size(found: Found | None) -> int:
    return 1 if found is None else 1 + len(found.points)
