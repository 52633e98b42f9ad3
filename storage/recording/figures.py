"""Numbers of a call that its document does not have as such: what each is, as MongoDB works it out and as Python does. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from bson.decimal128 import Decimal128

from storage.mongo.codec import read_decimal

_INPUTS: Final = ("cache_read_input_tokens", "cache_write_input_tokens", "input_tokens")
_TOKENS: Final = (*_INPUTS, "output_tokens")

COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$eq": operator.eq,
}
"""How MongoDB's operators compare."""


class Figure(NamedTuple):
    """A number of a call; None where it is not known.

    Attributes:
        expression: As MongoDB works it out.
        of: As Python does, of a document.
    """

    expression: Any
    of: Callable[[Mapping[str, Any]], float | None]


def _summed(document: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return sum([int(usage[name] or 0) for usage in document.get("token_usages", ()) for name in names])


def _sum(names: tuple[str, ...]) -> dict[str, Any]:
    return {"$add": [{"$sum": f"$token_usages.{name}"} for name in names]}


def _cost(document: Mapping[str, Any]) -> float | None:
    usd = (document.get("cost") or {}).get("usd")
    return None if usd is None else float(read_decimal(usd) if isinstance(usd, Decimal128) else usd)


def _took(document: Mapping[str, Any]) -> float | None:
    ended = document.get("ended_at")
    return None if ended is None else round((ended - document["started_at"]).total_seconds() * 1000)


def _tokens(document: Mapping[str, Any]) -> float | None:
    return _summed(document, _TOKENS) if document.get("token_usages") else None


def _cache(document: Mapping[str, Any]) -> float | None:
    tokens = _summed(document, _INPUTS)
    return _summed(document, _INPUTS[:1]) / tokens if tokens else None


_HAS_USAGE = {"$gt": [{"$size": {"$ifNull": ["$token_usages", []]}}, 0]}

FIGURE_FIELDS: Final = ("cost.usd", "started_at", "ended_at", *(f"token_usages.{name}" for name in _TOKENS))
"""The fields that they are made of."""

FIGURES: Final[Mapping[str, Figure]] = {
    "cost": Figure({"$toDouble": "$cost.usd"}, _cost),
    "took": Figure({"$subtract": ["$ended_at", "$started_at"]}, _took),
    "tokens": Figure({"$cond": [_HAS_USAGE, _sum(_TOKENS), None]}, _tokens),
    "cache": Figure(
        {"$cond": [{"$gt": [_sum(_INPUTS), 0]}, {"$divide": [_sum(_INPUTS[:1]), _sum(_INPUTS)]}, None]}, _cache
    ),
}
"""By key: `cost` in US dollars, `took` in milliseconds, `tokens` of all kinds, and the share `cache` of the input that was read
from the cache."""


def compared(name: str, comparison: str, number: float) -> dict[str, Any]:
    """Return the expression that is true of documents whose figure is known and compares so."""
    expression = FIGURES[name].expression
    known = {"$gt": [expression, None]}
    return {"$and": [known, {comparison: [expression, number]}]}


def evaluate(document: Mapping[str, Any], expression: Mapping[str, Any]) -> bool:
    """Return what an expression of `compared` is of a document; `$and` and `$not` of such are known too.

    Raises:
        KeyError: It is another expression.
    """
    ((name, value),) = expression.items()
    if name == "$not":
        return not evaluate(document, value[0])
    if name == "$and":
        return all(evaluate(document, one) for one in value)
    figure = next((one for one in FIGURES.values() if one.expression == value[0]), None)
    if figure is None:
        raise KeyError(name)
    number = figure.of(document)
    return number is not None and (value[1] is None or COMPARISONS[name](number, value[1]))
