"""Sorts groups: by a sum, by what two sums say, or by the duration of their slowest calls. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappush, heappushpop
from typing import Any, Final, TypeAlias

from storage.derived.histograms import longest, quantiles
from storage.queries.filters.grouped.dimensions import Order
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Key, least_first

Sums: TypeAlias = tuple[Any, ...]
"""Of a group: the number of what is counted, and what an order needs (`Source.ranked_by`); or its durations alone."""

_SHARE_BITS: Final = 512


def page(query: GroupQuery, now: Mapping[Key, Sums], before: Mapping[Key, Sums]) -> list[Key]:
    """Return the requested groups, in order. `before` has the groups of the time range before."""
    match query.order:
        case Order.P95:
            durations = {key: one for key, (one,) in now.items()}
            return by_durations(durations, query.offset, query.limit)
        case Order.CACHE:
            ranked = by_cache(now)
        case Order.CHANGE:
            ranked = by_change(now, before)
        case _:
            ranked = sorted(now, key=lambda key: (-now[key][1], least_first(key)))
    return ranked[query.offset : query.offset + query.limit]


def by_cache(sums: Mapping[Key, Sums]) -> list[Key]:
    """Sort groups by the share of their input that was read from the cache, the highest first.

    Of equal ones that with the most input comes first. Those without input come last.
    """

    def place(key: Key) -> tuple[Any, ...]:
        _, read, *others = sums[key]
        tokens = read + sum(others)
        return (1, 0, 0) if tokens == 0 else (0, -_share(read, tokens), -tokens)

    return sorted(sums, key=lambda key: (*place(key), least_first(key)))


def by_change(now: Mapping[Key, Sums], before: Mapping[Key, Sums]) -> list[Key]:
    """Sort groups by how much more they are than before, as a share of that, the largest growth first.

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


def by_durations(durations: Mapping[Key, int], offset: int, limit: int) -> list[Key]:
    """Return the groups whose 95th percentile is longest, by their histograms."""
    end = offset + limit
    exact: dict[Key, float] = {}
    least: list[float] = []
    # No percentile is beyond the longest call: most groups cannot be among the first.
    bounds = {key: longest(histogram) for key, histogram in durations.items()}
    for key in sorted(durations, key=bounds.__getitem__, reverse=True):
        if len(least) == end and bounds[key] < least[0]:
            break
        exact[key] = (quantiles(durations[key], (0.95,)) or [0.0])[0]
        (heappush if len(least) < end else heappushpop)(least, exact[key])
    return sorted(exact, key=lambda key: (-exact[key], str(key)))[offset:end]


def _share(part: int, whole: int) -> int:
    """Return a number that orders shares, the same for equal ones: comparing fractions takes ten times as long.

    Two shares differ by 1 / (`whole` of one * `whole` of the other) at least; a `whole` has far fewer than 2^256.
    """
    return (part << _SHARE_BITS) // whole
