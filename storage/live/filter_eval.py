"""Evaluates filters of `storage.queries.filters.search_language` on documents in memory. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from storage.recording.figures import evaluate

TEXTS = "$texts"
"""Under this name a filter has what the texts of a call must say: an object with `said_in` and `match`. MongoDB knows no such.

A document may have there what was read by `said_in` before."""

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$in": lambda value, several: value in several,
    "$gte": operator.ge,
    "$lte": operator.le,
}


def matches(document: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """Return whether MongoDB would find the document by these conditions.

    Args:
        document: As the driver reads it.
        conditions: What each field must be: a value, one of several (`$in`) or none of them (`$nin`), or a time not
            before and not after others (`$gte`, `$lte`). A list in the document needs one element that is so. Also
            `$and`, `$or`, and `$expr` of `storage.recording.figures`.

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
    if field == "$expr":
        return evaluate(document, condition)
    values = list(values_of(document, field.split(".")))
    if not isinstance(condition, Mapping):
        return condition in values
    return all(_compares(values, name, bound) for name, bound in condition.items())


def _compares(values: list[Any], name: str, bound: Any) -> bool:
    if name == "$nin":
        return not any(value in bound for value in values)
    compare = _COMPARISONS[name]
    return any(value is not None and compare(value, bound) for value in values)


def values_of(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """The values of a field, of each element of lists on the way; None where it is not there."""
    if isinstance(value, list):
        for element in value:
            yield from values_of(element, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        yield from values_of(value.get(path[0]), path[1:])
    elif value is None:
        yield None
