"""Totals of groups in time ranges, in memory. Pure: no I/O, no clock.

Most of a view is about days that are over. The totals of these are cached with the version of the range
(`storage.queries.grouped.memory.versions`), and are valid while the version is the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from storage.aggregation.rollup import Bucket
from storage.queries.filters.grouped.groups import Found, Key
from storage.queries.filters.time_ranges import TimeRange

MAX_TOTALS: Final = 4_000
"""The maximum number of totals in memory, of groups and of their buckets: about 15 MB."""

QueryKey = tuple[object, ...]
"""The query of a range: its calls, groups and buckets."""


class TotalsKey(Struct, frozen=True):
    """The key of cached totals: the query and the range."""

    query: QueryKey
    range: TimeRange


class _Held(Struct):
    """The cached totals of a key, by group; None for a group without calls."""

    version: bytes
    groups: dict[Key, Found | None]


class TotalsCache:
    """Totals of groups, the most recently used."""

    def __init__(self) -> None:
        self._held: OrderedDict[TotalsKey, _Held] = OrderedDict()
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def known(self, cache_key: TotalsKey, version: bytes) -> Mapping[Key, Found | None]:
        """Return the cached totals of groups in this version, which must not be changed."""
        held = self._held.get(cache_key)
        if held is None or held.version != version:
            return {}
        self._held.move_to_end(cache_key)
        return held.groups

    def add(self, cache_key: TotalsKey, version: bytes, keys: Iterable[Key], found: Mapping[Key, Found]) -> None:
        """Cache the totals of groups that were read of a range in a version. They must not be changed then."""
        held = self._held.get(cache_key)
        if held is None or held.version != version:
            self._drop(cache_key)
            held = self._held[cache_key] = _Held(version, {})
        for key in keys:
            self._total += _size(found.get(key)) - (_size(held.groups[key]) if key in held.groups else 0)
            held.groups[key] = found.get(key)
        self._held.move_to_end(cache_key)
        while self._total > MAX_TOTALS:
            self._drop(next(iter(self._held)))

    def _drop(self, cache_key: TotalsKey) -> None:
        if (held := self._held.pop(cache_key, None)) is not None:
            self._total -= sum(map(_size, held.groups.values()))


def parts(ranges: Sequence[TimeRange]) -> Iterator[TimeRange]:
    """Yield ranges; hours that end on another day are split before their last day, which still changes."""
    for one in ranges:
        last_day = Bucket.DAY.floor(one.end)
        if one.bucket is Bucket.HOUR and one.start < last_day < one.end:
            yield one._replace(end=last_day)
            yield one._replace(start=last_day)
        else:
            yield one


def _size(found: Found | None) -> int:
    return 1 if found is None else 1 + len(found.points)
