"""Totals of groups from rows of MongoDB. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson.decimal128 import Decimal128

from storage.derived.rollup import NO_GROUP, Totals
from storage.mongo.codec import read_decimal
from storage.queries.filters.grouped.grouping import MAX_POINTS, GroupQuery
from storage.queries.filters.grouped.groups import Found, Key, TooManyPointsError
from storage.queries.grouped.sources.source import ENDS


def id_of(query: GroupQuery) -> dict[str, Any]:
    """Have MongoDB group rows by the values of a group."""
    return {f"k{position}": f"$k{position}" for position in range(len(query.by))}


def key_of(query: GroupQuery, id_: Mapping[str, Any]) -> Key:
    """Return the values of a group by what MongoDB grouped."""
    values = (id_.get(f"k{position}") for position in range(len(query.by)))
    return tuple(None if value == NO_GROUP else value for value in values)


def check_points(keys: Sequence[Key], total: Found) -> None:
    """Raise TooManyPointsError where groups over time are too many."""
    if len(keys) * len(total.points) > MAX_POINTS:
        raise TooManyPointsError


def totals(row: Mapping[str, Any]) -> Totals:
    """Read the sums of a row."""
    found: Totals = {}
    for name, value in row.items():
        if name == "_id" or value is None:
            continue
        number = read_decimal(value) if isinstance(value, Decimal128) else value
        if number:
            found[f"ends.{ENDS[name]}" if name in ENDS else name] = number
    return found
