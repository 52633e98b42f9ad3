"""Groups of the statistics as rows of CSV, for spreadsheets and tools that read tables. Pure. No prompts are in them.

A row is a group, or with several buckets a group in one of them. Every row has the same columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.dimensions import By, Subject
from storage.queries.filters.grouped.groups import Found

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
_OF_SUBJECT: Final[Mapping[Subject, Mapping[str, Figure]]] = MappingProxyType(
    {
        Subject.CALLS: {**_FIGURES, **_OF_CALLS},
        Subject.REFUSALS: {"refusals": _number("refusals")},
        Subject.SESSIONS: {"sessions": _number("sessions"), **_FIGURES},
    }
)
"""The columns of figures, and how each is read of totals."""


def flat_rows(
    subject: Subject, period: Period, by: Sequence[By], groups: Sequence[Found], names: Names, *, compare: bool
) -> Iterator[dict[str, Cell]]:
    """Yield the row of each group, or with several buckets of each group and bucket, by column. Without `by`, that is one.

    With `compare` and one bucket there are columns of the time range before too.
    """
    figures = _OF_SUBJECT[subject]
    for found in groups:
        named: dict[str, Cell] = {}
        for one, value in zip(by, found.key, strict=True):
            named |= _named(one, names.show(one.dimension, value))
        if period is not Period.ALL:
            for at in sorted(found.points):
                read = {name: figure(found.points[at]) for name, figure in figures.items()}
                yield {"at": format_time(at), **named, **read}
            continue
        row: dict[str, Cell] = {**named, **{name: figure(found.total) for name, figure in figures.items()}}
        if compare:
            before = found.previous or {}
            compared = [name for name in ("refusals", "sessions", "calls", "failed", "cost_usd") if name in figures]
            row |= {f"previous_{name}": figures[name](before) for name in compared}
        yield row


def csv_text(head: Sequence[str], rows: Sequence[Mapping[str, Cell]]) -> bytes:
    """Write rows as CSV (RFC 4180). Dollars are exact, and no text is taken for a formula."""
    return write_csv([head, *([row.get(name) for name in head] for row in rows)])


def columns(subject: Subject, period: Period, by: Sequence[By], *, compare: bool) -> list[str]:
    """Return the names of all columns, in order."""
    nobody = Found(tuple(None for _ in by), {}, {EPOCH: {}})
    return list(next(flat_rows(subject, period, by, [nobody], Names(), compare=compare)))


def _named(by: By, value: Any) -> dict[str, Cell]:
    """Return the columns of a dimension: people and tokens have names beside their ids."""
    name = str(by)
    if name not in {"user", "group", "token"}:
        return {name: value}
    group = value if isinstance(value, SeriesGroup) else SeriesGroup(None, "")
    named: dict[str, Cell] = {f"{name}_id": group.id, f"{name}_name": group.name}
    return named if name == "group" else named | {f"{name}_username": group.username or ""}
