"""Whether a document is one that a filter of `storage.queries.search` finds, told without asking the database. Pure."""

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
    """Say whether MongoDB would find the document by these conditions.

    Args:
        document: As the driver reads it.
        conditions: What each field must be: a value, one of several (`$in`), or a time not before and not after others
            (`$gte`, `$lte`). A list in the document needs one element that is so.

    Raises:
        KeyError: A condition has another operator.
    """
    return all(_is_as_asked(document.get(field), asked) for field, asked in conditions.items())


def _is_as_asked(value: Any, asked: Any) -> bool:
    if isinstance(value, list):
        return any(_is_as_asked(element, asked) for element in value)
    if not isinstance(asked, Mapping):
        return bool(value == asked)
    return value is not None and all(_COMPARISONS[name](value, bound) for name, bound in asked.items())
