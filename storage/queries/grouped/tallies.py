"""What each user had with each model in a bucket of time, as columns, and which groups of it come first. Pure: no I/O, no clock."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias

from bson.decimal128 import Decimal128
from msgspec import Struct

from storage.aggregation.rollup import DIMENSIONS, TOKENS, Breakdown
from storage.mongo.codec import read_decimal
from storage.queries.filters.grouped.dimensions import Order
from storage.queries.filters.grouped.groups import Key

CELL: Final = DIMENSIONS[Breakdown.USER_COMBINATION]
"""What the values of a cell are: a user with one provider, model and client."""

ORDERS: Final = (Order.CALLS, Order.COST, Order.TOKENS, Order.FAILED)
"""What groups can be ranked by."""

FIELDS: Final = (*CELL, "interceptions", "failed", "cost", *TOKENS)
"""The fields of a rollup that are read."""

_DIGITS: Final = 12
"""Costs are whole numbers of 10^-12 US dollars (`storage.recording.prices.PRECISION`)."""

Cell: TypeAlias = tuple[Any, ...]


class Tally(Struct, frozen=True):
    """The rollups of users of one bucket.

    Attributes:
        version: The rollup of everyone in this bucket, as it was then.
        cells: Numbers of their cells.
        columns: For each order, the figures of these.
    """

    version: bytes
    cells: array[int]
    columns: Mapping[Order, Sequence[Any]]

    def __len__(self) -> int:
        """How many rollups they are."""
        return len(self.cells)


class Cells:
    """Numbers of cells: each gets the next one when it is seen for the first time."""

    def __init__(self) -> None:
        self._numbers: dict[Cell, int] = {}
        self._cells: list[Cell] = []

    def __len__(self) -> int:
        """How many there are."""
        return len(self._cells)

    def __getitem__(self, number: int) -> Cell:
        """Return the cell of a number."""
        return self._cells[number]

    def number(self, cell: Cell) -> int:
        """Return the number of a cell."""
        found = self._numbers.setdefault(cell, len(self._cells))
        if found == len(self._cells):
            self._cells.append(cell)
        return found


class TallyRows:
    """Gathers the rollups of one bucket.

    Args:
        cells: Where their cells have numbers.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._numbers = array("L")
        self._columns: dict[Order, list[Any]] = {order: [] for order in ORDERS}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._numbers)

    def add(self, document: Mapping[str, Any]) -> None:
        """Add a rollup."""
        self._numbers.append(self._cells.number(tuple(map(document.get, CELL))))
        columns, get = self._columns, document.get
        # What an index does not have is null.
        columns[Order.CALLS].append(get("interceptions") or 0)
        columns[Order.COST].append(_scaled(get("cost")))
        columns[Order.TOKENS].append(sum([get(name) or 0 for name in TOKENS]))
        columns[Order.FAILED].append(get("failed") or 0)

    def tally(self, version: bytes) -> Tally:
        """Make the tally."""
        return Tally(version, self._numbers, {order: _packed(found) for order, found in self._columns.items()})


class Sums:
    """Adds up one figure of tallies.

    Args:
        cells: Their cells.
        order: Which figure.
    """

    def __init__(self, cells: Cells, order: Order) -> None:
        self._cells = cells
        self._order = order
        self._sums: list[Any] = [0] * len(cells)
        self._seen: set[int] = set()

    def add(self, one: Tally) -> None:
        """Add a tally."""
        sums = self._sums
        self._seen.update(one.cells)
        for cell, number in zip(one.cells, one.columns[self._order], strict=True):
            sums[cell] += number

    def ranked(
        self, fields: Sequence[str], values: Mapping[str, Any], offset: int, limit: int
    ) -> tuple[int, list[Key]]:
        """Return how many groups there are, and those with the most, as MongoDB would sort them: of equal ones those with the least key come first.

        Args:
            fields: The dimensions of the groups.
            values: What those of cells must be, each a value or `$in`, `$nin` and `$ne`.
            offset: How many groups to leave out.
            limit: How many to return at most.
        """
        conditions = [(CELL.index(name), _test(condition)) for name, condition in values.items()]
        positions = [CELL.index(name) for name in fields]
        groups: dict[Key, Any] = {}
        get, cells, sums = groups.get, self._cells, self._sums
        for number in self._seen:
            cell = cells[number]
            if all(test(cell[position]) for position, test in conditions):
                key = tuple([cell[position] for position in positions])
                groups[key] = get(key, 0) + sums[number]
        # Only those that can be among the first are sorted by their keys too.
        end = offset + limit
        least = sorted(groups.values(), reverse=True)[end - 1] if end < len(groups) else None
        chosen = groups if least is None else [key for key, most in groups.items() if most >= least]
        ordered = sorted(chosen, key=lambda key: (-groups[key], [(value is not None, value) for value in key]))
        return len(groups), ordered[offset:end]


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
