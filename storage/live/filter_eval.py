"""Whether a document is one that a filter of `storage.queries.filters.interceptions` finds, told without asking the database. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$in": lambda value, several: value in several,
    "$gte": operator.ge,
    "$lte": operator.le,
}


def matches(document: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """Return whether MongoDB would find the document by these conditions.

    Args:
        document: As the driver reads it.
        conditions: What each field must be: a value, one of several (`$in`), or a time not before and not after others
            (`$gte`, `$lte`). A list in the document needs one element that is so.

    Raises:
        KeyError: A condition has another operator.
    """
    return all(_satisfies(document.get(field), condition) for field, condition in conditions.items())


def _satisfies(value: Any, condition: Any) -> bool:
    if isinstance(value, list):
        return any(_satisfies(element, condition) for element in value)
    if not isinstance(condition, Mapping):
        return bool(value == condition)
    return value is not None and all(_COMPARISONS[name](value, bound) for name, bound in condition.items())
