"""Evaluates filters of `storage.queries.filters.search_language` on documents in memory. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson.decimal128 import Decimal128

from storage.mongo.codec import read_decimal
from storage.queries.filters.keys import COMPARISONS

TEXTS = "$texts"
"""Under this name a filter has what the texts of a call must say: an object with `said_in` and `match`. MongoDB knows no such.

A document may have there what was read by `said_in` before."""


def matches(document: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """Return whether MongoDB would find the document by these conditions.

    Args:
        document: As the driver reads it.
        conditions: What each field must be: a value, one of several (`$in`) or none of them (`$nin`), or what compares so with
            a number or a time (`$gte`), or does not (`$not`). A list in the document needs one element that is so. Also `$and`
            and `$or`.

    Raises:
        KeyError: A condition has another operator.
    """
    return all(_holds(document, field, condition) for field, condition in conditions.items())


def _holds(document: Mapping[str, Any], field: str, condition: Any) -> bool:
    if field == "$and":
        return all(matches(document, one) for one in condition)
    if field == "$or":
        return any(matches(document, one) for one in condition)
    if field == TEXTS:
        found: bool = condition.match(document[TEXTS] if TEXTS in document else condition.said_in(document))
        return found
    values = values_of(document, field.split("."))
    if not isinstance(condition, Mapping):
        return condition in values
    return all(_compares(values, name, bound) for name, bound in condition.items())


def _compares(values: list[Any], name: str, bound: Any) -> bool:
    if name == "$not":
        return not any(_compares(values, *one) for one in bound.items())
    if name in {"$in", "$nin"}:
        return any(value in bound for value in values) == (name == "$in")
    compare = COMPARISONS[name]
    return any(value is not None and compare(_plain(value), _plain(bound)) for value in values)


def _plain(value: Any) -> Any:
    return read_decimal(value) if isinstance(value, Decimal128) else value


def values_of(value: Any, path: Sequence[str]) -> list[Any]:
    """The values of a field, of each element of lists on the way; None where it is not there."""
    for at, name in enumerate(path):
        if isinstance(value, list):
            return [one for element in value for one in values_of(element, path[at:])]
        if value is None:
            break
        if not isinstance(value, dict):
            return []
        value = value.get(name)
    return [one for element in value for one in values_of(element, ())] if isinstance(value, list) else [value]
