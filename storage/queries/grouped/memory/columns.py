"""Rollups of buckets as columns, and the ranking of groups of them. Pure: no I/O, no clock.

A combination is the values of a rollup's dimensions, such as a user with one provider, model and client.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

from bson.decimal128 import Decimal128
from msgspec import Struct

from storage.aggregation.rollup import TOKENS
from storage.mongo.codec import read_decimal
from storage.queries.filters.grouped.dimensions import Order
from storage.queries.filters.grouped.groups import Key, least_first
from storage.queries.grouped.memory.group_cache import GroupCache, Groups
from storage.queries.grouped.memory.versions import digest, digest_of

ORDERS: Final = (Order.CALLS, Order.COST, Order.TOKENS, Order.FAILED)
"""What groups can be ranked by."""

FIGURES: Final = ("interceptions", "failed", "cost", *TOKENS)
"""The values of a rollup that are read."""

_DIGITS: Final = 12
"""Costs are whole numbers of 10^-12 US dollars (`storage.costs.prices.PRECISION`)."""

Combination: TypeAlias = tuple[Any, ...]


class BucketColumns(Struct, frozen=True):
    """The rollups of one breakdown and bucket.

    Attributes:
        version: That of the bucket then, see `storage.queries.grouped.memory.versions`.
        combinations: The numbers of their combinations.
        columns: For each order, their values.
    """

    version: bytes
    combinations: array[int]
    columns: Mapping[Order, Sequence[Any]]

    def __len__(self) -> int:
        return len(self.combinations)


class Combinations:
    """Numbers of combinations, of dimensions of these names: each gets the next number when it is first seen."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._numbers: dict[Combination, int] = {}
        self._combinations: list[Combination] = []
        self._values: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self._combinations)

    def __getitem__(self, number: int) -> Combination:
        return self._combinations[number]

    def number(self, combination: Combination) -> int:
        """Return the number of a combination."""
        found = self._numbers.get(combination)
        if found is None:
            # Users and names are in many combinations, and in memory once.
            share = self._values.setdefault
            combination = tuple(
                [share(value, value) if isinstance(value, (UUID, str)) else value for value in combination]
            )
            found = self._numbers[combination] = len(self._combinations)
            self._combinations.append(combination)
        return found


class ColumnRows:
    """Collects the rollups of one bucket."""

    def __init__(self, combinations: Combinations) -> None:
        self._combinations = combinations
        self._numbers = array("L")
        self._columns: dict[Order, list[Any]] = {order: [] for order in ORDERS}

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, document: Mapping[str, Any]) -> None:
        """Add a rollup."""
        columns, get = self._columns, document.get
        combination = tuple(
            [tuple(value) if isinstance(value := get(name), list) else value for name in self._combinations.names]
        )
        self._numbers.append(self._combinations.number(combination))
        # What an index does not have is null.
        columns[Order.CALLS].append(get("interceptions") or 0)
        columns[Order.COST].append(_scaled(get("cost")))
        columns[Order.TOKENS].append(sum([get(name) or 0 for name in TOKENS]))
        columns[Order.FAILED].append(get("failed") or 0)

    def make(self, version: bytes) -> BucketColumns:
        """Make the columns."""
        return BucketColumns(version, self._numbers, {order: _packed(found) for order, found in self._columns.items()})


class RollupColumns(Struct, frozen=True):
    """The columns of one breakdown.

    Attributes:
        settled: Buckets that seldom change.
        latest: The others.
        cache: The cached groups of the settled ones.
    """

    combinations: Combinations
    settled: Sequence[BucketColumns]
    latest: Sequence[BucketColumns]
    cache: GroupCache

    def groups(self, order: Order, fields: Sequence[str], values: Mapping[str, Any]) -> Groups:
        """Sum one value by group, of what meets the conditions: each is a value or `$in`, `$nin` and `$ne`."""
        versions = b"".join(one.version for one in self.settled)
        cache_key = (self.combinations.names, order, tuple(fields), digest_of(values), digest(versions))
        settled = self.cache.get(cache_key)
        if settled is None:
            settled = self._of(self.settled, order, fields, values)
            self.cache.add(cache_key, settled)
        groups = dict(settled)
        for key, most in self._of(self.latest, order, fields, values).items():
            groups[key] = groups.get(key, 0) + most
        return groups

    def _of(
        self, buckets: Sequence[BucketColumns], order: Order, fields: Sequence[str], values: Mapping[str, Any]
    ) -> Groups:
        names, combinations = self.combinations.names, self.combinations
        totals: list[Any] = [0] * len(combinations)
        seen: set[int] = set()
        for one in buckets:
            seen.update(one.combinations)
            for number, figure in zip(one.combinations, one.columns[order], strict=True):
                totals[number] += figure
        conditions = [(names.index(name), _test(condition)) for name, condition in values.items()]
        positions = [names.index(name) for name in fields]
        groups: Groups = {}
        get = groups.get
        for number in seen:
            combination = combinations[number]
            if all(test(combination[position]) for position, test in conditions):
                key = tuple([combination[position] for position in positions])
                groups[key] = get(key, 0) + totals[number]
        return groups


def first(groups: Groups, offset: int, limit: int) -> list[Key]:
    """Return the groups with the most, as MongoDB would sort them: of equal ones that with the least key first."""
    # Only those that can be among the first are sorted by their keys too.
    end = offset + limit
    least = sorted(groups.values(), reverse=True)[end - 1] if end < len(groups) else None
    chosen = groups if least is None else [key for key, most in groups.items() if most >= least]
    ordered = sorted(chosen, key=lambda key: (-groups[key], least_first(key)))
    return ordered[offset:end]


def _test(condition: Any) -> Callable[[Any], bool]:
    if not isinstance(condition, Mapping):
        return lambda value: bool(value == condition)
    wanted = frozenset(condition["$in"]) if "$in" in condition else None
    refused = {*condition.get("$nin", ()), *([condition["$ne"]] if "$ne" in condition else [])}
    return lambda value: (wanted is None or value in wanted) and value not in refused


def _packed(figures: list[Any]) -> Sequence[Any]:
    try:
        return array("q", figures)
    except (OverflowError, TypeError):
        return figures


def _scaled(cost: Decimal128 | None) -> int | Decimal:
    if cost is None:
        return 0
    scaled = read_decimal(cost).scaleb(_DIGITS)
    return int(scaled) if scaled == scaled.to_integral_value() else scaled
