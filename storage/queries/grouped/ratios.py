"""Ranks groups by what two sums say: the share of the prompt cache, and the change against the time range before.

From rollups it reads only what is not cached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from operator import add
from typing import Any, Final, TypeAlias

from bson.decimal128 import Decimal128

from storage.mongo.codec import read_decimal
from storage.queries.filters.grouped.dimensions import Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key, TooMuchError, least_first
from storage.queries.grouped.cached_parts import CachedParts
from storage.queries.grouped.sources.rollups import Rollups
from storage.queries.grouped.sources.source import Source
from storage.queries.grouped.totals import key_of

MAX_RANKED: Final = 500_000
"""Most groups that are ranked for one result."""

SUMMED: Final[Mapping[Order, tuple[str, ...]]] = {
    Order.CACHE: ("cache_read_input_tokens", "cache_write_input_tokens", "input_tokens"),
    Order.CHANGE: ("cost",),
}
"""What is summed for an order, beside the number of what is counted."""

_SHARE_BITS: Final = 512

Sums: TypeAlias = tuple[Any, ...]
"""Of a group: the number of what is counted, and the `SUMMED`."""


class Ratios(CachedParts):
    """Ranks groups for one result, in one snapshot."""

    async def ranked(
        self, query: GroupQuery, source: Source, earlier: GroupQuery, before: Source | None
    ) -> tuple[int, list[Key]]:
        """Return the number of groups, and the requested ones.

        `before` has the groups of the time range before; None if there are surely none, or nothing is compared.

        Raises:
            TooMuchError: There are too many groups, or it would take too long.
        """
        now = await self._sums(query, source)
        then = {} if before is None or query.order is not Order.CHANGE else await self._sums(earlier, before)

        def rank() -> list[Key]:
            ranked = by_cache(now) if query.order is Order.CACHE else by_change(now, then)
            return ranked[query.offset : query.offset + query.limit]

        # In a thread, as there may be many.
        return len(now), await asyncio.to_thread(rank)

    async def _sums(self, query: GroupQuery, source: Source) -> dict[Key, Sums]:
        if not isinstance(source, Rollups):
            return await self._read(query, source)
        sums = await self._of_rollups(query, source)
        at, without = source.tag, source.untagged
        if at is None or without is None:
            return sums
        other, every, tagged = without
        others = await self._of_rollups(other, tagged)
        for key, whole in (await self._of_rollups(other, every)).items():
            rest = tuple(one - less for one, less in zip(whole, others.get(key, (0,) * len(whole)), strict=True))
            if rest[0] > 0:
                sums[(*key[:at], None, *key[at:])] = rest
        return sums

    async def _of_rollups(self, query: GroupQuery, source: Rollups) -> dict[Key, Sums]:
        sums: dict[Key, Sums] = {}
        async for found in self._of_parts(query, source):
            for key, added in found.items():
                _add(sums, key, added)
        return sums

    async def _read(self, query: GroupQuery, source: Source) -> dict[Key, Sums]:
        count = next(name for name in ("refusals", "sessions", "interceptions") if name in source.sums)
        names = (count, *(name for name in SUMMED[query.order] if name in source.sums))
        wanted = {name: source.sums[name] for name in names}
        sums: dict[Key, Sums] = {}
        async for row in self._rows.read(source, lambda part: part.summing(wanted), most=MAX_RANKED, ranks=True):
            _add(sums, key_of(query, row["_id"]), tuple(_number(row[name]) for name in names))
            if len(sums) > MAX_RANKED:
                raise TooMuchError
        return sums


def by_cache(sums: Mapping[Key, Sums]) -> list[Key]:
    """Sort groups by the share of their input that was read from the cache, the highest first. Pure.

    Of equal ones that with the most input comes first. Those without input come last.
    """

    def place(key: Key) -> tuple[Any, ...]:
        _, read, *others = sums[key]
        tokens = read + sum(others)
        return (1, 0, 0) if tokens == 0 else (0, -_share(read, tokens), -tokens)

    return sorted(sums, key=lambda key: (*place(key), least_first(key)))


def by_change(now: Mapping[Key, Sums], before: Mapping[Key, Sums]) -> list[Key]:
    """Sort groups by how much more they are than before, as a share of that, the largest growth first. Pure.

    What is compared is the cost, or the number of calls where nothing of now costs anything. First come the groups that had
    nothing before, those with the most first; last those that have nothing now either.
    """
    figure = 1 if any(len(one) > 1 and one[1] for one in now.values()) else 0

    def place(key: Key) -> tuple[Any, ...]:
        mine = now[key][figure]
        earlier = before[key][figure] if key in before else 0
        if earlier:
            (above, below), (less, more) = mine.as_integer_ratio(), earlier.as_integer_ratio()
            return 1, -_share(above * more, below * less), -mine
        return (0, -mine, 0) if mine else (2, 0, 0)

    return sorted(now, key=lambda key: (*place(key), least_first(key)))


def _share(part: int, whole: int) -> int:
    """Return a number that orders shares, the same for equal ones: comparing fractions takes ten times as long.

    Two shares differ by 1 / (`whole` of one * `whole` of the other) at least; a `whole` has far fewer than 2^256.
    """
    return (part << _SHARE_BITS) // whole


def _add(sums: dict[Key, Sums], key: Key, added: Sums) -> None:
    known = sums.get(key)
    sums[key] = added if known is None else tuple(map(add, known, added))


def _number(value: Any) -> Any:
    return read_decimal(value) if isinstance(value, Decimal128) else value or 0
