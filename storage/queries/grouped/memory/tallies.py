"""What each cell had in a bucket of time, as columns, and which groups of them come first. Pure: no I/O, no clock.

A cell is what the values of a rollup are, such as a user with one provider, model and client.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from decimal import Decimal
from threading import Lock
from typing import Any, Final, TypeAlias

from bson.decimal128 import Decimal128
from msgspec import Struct

from storage.aggregation.rollup import TOKENS
from storage.mongo.codec import read_decimal
from storage.queries.filters.grouped.dimensions import Order
from storage.queries.filters.grouped.groups import Key

ORDERS: Final = (Order.CALLS, Order.COST, Order.TOKENS, Order.FAILED)
"""What groups can be ranked by."""

FIGURES: Final = ("interceptions", "failed", "cost", *TOKENS)
"""The figures of a rollup that are read."""

MAX_GROUPS: Final = 40_000
"""Most groups whose figures are remembered: about 8 MB, and 14 where these are histograms."""

_DIGITS: Final = 12
"""Costs are whole numbers of 10^-12 US dollars (`storage.recording.prices.PRECISION`)."""

Cell: TypeAlias = tuple[Any, ...]
Groups: TypeAlias = dict[Key, Any]
"""What each group has the more of, the higher it stands."""


class Tally(Struct, frozen=True):
    """The rollups of one breakdown and bucket.

    Attributes:
        version: That of the bucket then, see `storage.queries.grouped.memory.versions`.
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
    """Numbers of cells: each gets the next one when it is seen for the first time.

    Args:
        names: The dimensions of which cells have values, in that order.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
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
        columns, get = self._columns, document.get
        cell = tuple([tuple(value) if isinstance(value := get(name), list) else value for name in self._cells.names])
        self._numbers.append(self._cells.number(cell))
        # What an index does not have is null.
        columns[Order.CALLS].append(get("interceptions") or 0)
        columns[Order.COST].append(_scaled(get("cost")))
        columns[Order.TOKENS].append(sum([get(name) or 0 for name in TOKENS]))
        columns[Order.FAILED].append(get("failed") or 0)

    def tally(self, version: bytes) -> Tally:
        """Make the tally."""
        return Tally(version, self._numbers, {order: _packed(found) for order, found in self._columns.items()})


class KnownGroups:
    """What groups have in versions of ranges, those that were asked for the latest. Threads may share it."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Groups] = OrderedDict()
        self._number = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """How many groups there are."""
        return self._number

    def get(self, question: Hashable) -> Groups | None:
        """Return what is known, which nobody may change."""
        with self._lock:
            if (known := self._known.get(question)) is not None:
                self._known.move_to_end(question)
            return known

    def add(self, question: Hashable, groups: Groups) -> None:
        """Remember groups; nobody may change them afterwards."""
        with self._lock:
            self._number += len(groups) - len(self._known.get(question, ()))
            self._known[question] = groups
            self._known.move_to_end(question)
            while self._number > MAX_GROUPS:
                self._number -= len(self._known.popitem(last=False)[1])


class Tallies(Struct, frozen=True):
    """Tallies of one breakdown.

    Attributes:
        cells: Their cells.
        settled: Those that seldom change.
        latest: The others.
        known: What groups of those have that seldom change.
    """

    cells: Cells
    settled: Sequence[Tally]
    latest: Sequence[Tally]
    known: KnownGroups

    def groups(self, order: Order, fields: Sequence[str], values: Mapping[str, Any]) -> Groups:
        """Add up one figure in groups.

        Args:
            order: Which figure.
            fields: The dimensions of the groups.
            values: What those of cells must be, each a value or `$in`, `$nin` and `$ne`.
        """
        versions = tuple(one.version for one in self.settled)
        question = (self.cells.names, order, tuple(fields), repr(sorted(values.items())), versions)
        settled = self.known.get(question)
        if settled is None:
            settled = self._of(self.settled, order, fields, values)
            self.known.add(question, settled)
        groups = dict(settled)
        for key, most in self._of(self.latest, order, fields, values).items():
            groups[key] = groups.get(key, 0) + most
        return groups

    def _of(self, tallies: Sequence[Tally], order: Order, fields: Sequence[str], values: Mapping[str, Any]) -> Groups:
        names, cells = self.cells.names, self.cells
        sums: list[Any] = [0] * len(cells)
        seen: set[int] = set()
        for one in tallies:
            seen.update(one.cells)
            for number, figure in zip(one.cells, one.columns[order], strict=True):
                sums[number] += figure
        conditions = [(names.index(name), _test(condition)) for name, condition in values.items()]
        positions = [names.index(name) for name in fields]
        groups: Groups = {}
        get = groups.get
        for number in seen:
            cell = cells[number]
            if all(test(cell[position]) for position, test in conditions):
                key = tuple([cell[position] for position in positions])
                groups[key] = get(key, 0) + sums[number]
        return groups


def first(groups: Groups, offset: int, limit: int) -> list[Key]:
    """Return the groups with the most, as MongoDB would sort them: of equal ones those with the least key come first.

    Args:
        groups: Each with what it has.
        offset: How many to leave out.
        limit: How many to return at most.
    """
    # Only those that can be among the first are sorted by their keys too.
    end = offset + limit
    least = sorted(groups.values(), reverse=True)[end - 1] if end < len(groups) else None
    chosen = groups if least is None else [key for key, most in groups.items() if most >= least]
    ordered = sorted(chosen, key=lambda key: (-groups[key], [(value is not None, value) for value in key]))
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
