"""Reads what groups add up to."""

from __future__ import annotations

from collections.abc import Sequence

from storage.derived.rollup import add
from storage.queries.filters.grouped import calendar
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.grouped.groups import Found, Key
from storage.queries.grouped.row_reader import RowReader
from storage.queries.grouped.sources.source import Source
from storage.queries.grouped.totals import id_of, key_of, totals


async def read_totals(
    rows: RowReader, query: GroupQuery, source: Source, keys: Sequence[Key] | None
) -> dict[Key, Found]:
    """Read the totals of groups, and over time where that is requested; None is all as one group."""
    clock = calendar.offsets(query.start, query.end, query.zone) if query.period is not Period.ALL else []
    id_ = id_of(query)
    if clock:
        id_["at"] = calendar.label(query.period, clock, "$at")
    if source.histograms:
        id_["part"] = source.part
    pushed = {name: {"$push": f"${name}"} for name in source.histograms}
    grouped = {"$group": {"_id": id_, **source.sums, **pushed}}
    found: dict[Key, Found] = {}
    wanted = None if keys is None else set(keys)
    async for row in rows.read(source, lambda part: [*part.stages(keys), grouped], keys):
        key = key_of(query, row["_id"])
        if wanted is not None and key not in wanted:
            continue
        histograms = {name: source.histogram(row.pop(name)) for name in source.histograms}
        figures = {**totals(row), **histograms}
        group = found.setdefault(key, Found(key, {}, {}))
        add(group.total, figures)
        if clock:
            add(group.points.setdefault(calendar.time_of(query.period, row["_id"]["at"], query.zone), {}), figures)
    return found
