"""Groups of the statistics as rows of CSV, for spreadsheets and tools that read tables. Pure. No prompts are in them.

A row is a group, or with several buckets a group in one of them. Every row has the same columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from intercept.times import format_time
from resources.fields import micro_dollars
from resources.names import Names, SeriesGroup
from resources.recorded.export_formats import write_csv
from resources.recorded.prompt_cache import Cache
from storage.derived.histograms import quantiles
from storage.derived.rollup import KINDS, TOKENS
from storage.mongo.codec import EPOCH
from storage.queries.questions.calendar import Period
from storage.queries.questions.groups import Answer, AnswerGroup
from storage.queries.questions.question import By, Counted, Question

Cell = str | int | float | bool | Decimal | None
Figure = Callable[[Mapping[str, Any]], Cell]


def _number(name: str) -> Figure:
    return lambda totals: int(totals.get(name, 0))


def _usd(name: str) -> Figure:
    return lambda totals: Decimal(totals.get(name, 0)) if totals.get("priced") else None


def _micro_usd(totals: Mapping[str, Any]) -> Cell:
    return micro_dollars(Decimal(totals.get("cost", 0))) if totals.get("priced") else None


def _unknown_usd(totals: Mapping[str, Any]) -> Cell:
    if not totals.get("priced"):
        return None
    return Decimal(totals.get("cost", 0)) - sum((totals.get(name, Decimal()) for name in KINDS), Decimal())


def _quantile(name: str, share: float) -> Figure:
    def read(totals: Mapping[str, Any]) -> Cell:
        found = quantiles(totals.get(name, 0), (share,))
        return found[0] if found else None

    return read


_FIGURES: Final[Mapping[str, Figure]] = MappingProxyType(
    {
        "calls": _number("interceptions"),
        "failed": _number("failed"),
        **{name: _number(name) for name in TOKENS},
        "cost_usd": _usd("cost"),
        "cost_micro_usd": _micro_usd,
        "unpriced_calls": _number("unpriced"),
        "calls_without_usage": _number("no_usage"),
        "cache_rate": lambda totals: Cache.of_totals(totals).rate,
        "cache_saved_usd": _usd("saved"),
        "cache_lost_usd": _usd("lost"),
        "cache_lost_tokens": _number("lost_tokens"),
    }
)
_OF_CALLS: Final[Mapping[str, Figure]] = MappingProxyType(
    {
        **dict(zip(("input_usd", "output_usd", "cache_read_usd", "cache_write_usd"), map(_usd, KINDS), strict=True)),
        "unknown_usd": _unknown_usd,
        "duration_p50_ms": _quantile("durations", 0.5),
        "duration_p95_ms": _quantile("durations", 0.95),
        "first_byte_p50_ms": _quantile("first_bytes", 0.5),
        "first_byte_p95_ms": _quantile("first_bytes", 0.95),
        "bridge_p95_ms": _quantile("bridges", 0.95),
        "tokens_per_second_p50": _quantile("speeds", 0.5),
    }
)
_OF_SUBJECT: Final[Mapping[Counted, Mapping[str, Figure]]] = MappingProxyType(
    {
        Counted.CALLS: {**_FIGURES, **_OF_CALLS},
        Counted.REFUSALS: {"refusals": _number("refusals")},
        Counted.SESSIONS: {"sessions": _number("sessions"), **_FIGURES},
    }
)
"""The columns of figures, and how each is read of totals."""


def csv_of(question: Question, answer: Answer, names: Names) -> bytes:
    """Write the groups of an answer as CSV (RFC 4180). Dollars are exact, and no text is taken for a formula.

    With several buckets a row is of a group and a bucket. Without dimensions all is one group. With `compare` and one bucket
    there are columns of the time range before too.
    """
    nobody = AnswerGroup(tuple(None for _ in question.by), {}, {EPOCH: {}})
    head = list(next(_rows(question, nobody, Names())))
    groups = answer.groups if question.by else [answer.total]
    rows = (row for group in groups for row in _rows(question, group, names))
    return write_csv([head, *([row.get(name) for name in head] for row in rows)])


def _rows(question: Question, group: AnswerGroup, names: Names) -> Iterator[dict[str, Cell]]:
    """Yield the rows of a group by column."""
    figures = _OF_SUBJECT[question.of]
    named: dict[str, Cell] = {}
    for one, value in zip(question.by, group.key, strict=True):
        named |= _named(one, names.show(one.dimension, value))
    if question.period is not Period.ALL:
        for at in sorted(group.points):
            yield {
                "at": format_time(at),
                **named,
                **{name: figure(group.points[at]) for name, figure in figures.items()},
            }
        return
    row = {**named, **{name: figure(group.total) for name, figure in figures.items()}}
    if question.compare:
        before = group.previous or {}
        compared = [name for name in ("refusals", "sessions", "calls", "failed", "cost_usd") if name in figures]
        row |= {f"previous_{name}": figures[name](before) for name in compared}
    yield row


def _named(by: By, value: Any) -> dict[str, Cell]:
    """Return the columns of a dimension: people and tokens have names beside their ids."""
    name = str(by)
    if name not in {"user", "group", "token"}:
        return {name: value}
    group = value if isinstance(value, SeriesGroup) else SeriesGroup(None, "")
    named: dict[str, Cell] = {f"{name}_id": group.id, f"{name}_name": group.name}
    return named if name == "group" else named | {f"{name}_username": group.username or ""}
