"""Rollups by how calls ended, which tools they called and how they are tagged. Pure: no I/O, no clock.

There are more of these than of others, so they are of hours and days alone, and each has few dimensions beside its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from storage.derived.rollup import (
    DIMENSIONS,
    OF_OUTCOMES,
    OF_TAGS,
    OF_TOOLS,
    OUTCOME,
    TAG,
    Breakdown,
    Bucket,
    RollupKey,
    RollupTotals,
    Totals,
    days_of,
    summed,
)


class Detail(NamedTuple):
    """What calls of a minute have in common.

    Attributes:
        at: The minute in which they started.
        values: Of the breakdown `USER_COMBINATION`.
        outcome: How they ended: end reason, status of the provider, type of the error, and whether they are streams.
        tools: The different tools that each called.
        tags: Names and values.
    """

    at: datetime
    values: tuple[Any, ...]
    outcome: tuple[str, int | None, str | None, bool | None]
    tools: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


def rollups_of_details(parts: Iterable[tuple[Detail, Totals]]) -> RollupTotals:
    """Return every rollup of `DETAILS` to which calls contribute; a key may occur more than once."""
    alike = summed((detail._replace(at=Bucket.HOUR.floor(detail.at)), totals) for detail, totals in parts)
    hours = summed((key, totals) for detail, totals in alike.items() for key in _keys(detail))
    return hours | days_of(hours)


def _positions(breakdown: Breakdown, own: tuple[str, ...]) -> tuple[int, ...]:
    names = (*DIMENSIONS[Breakdown.USER_COMBINATION], *own)
    return tuple(names.index(name) for name in DIMENSIONS[breakdown])


_OUTCOMES = {one: _positions(one, OUTCOME) for one in sorted(OF_OUTCOMES)}
_TOOLS = {one: _positions(one, ("tool",)) for one in sorted(OF_TOOLS)}
_TAGS = {one: _positions(one, TAG) for one in sorted(OF_TAGS)}


def _keys(detail: Detail) -> Iterator[RollupKey]:
    tools = ((tool,) for tool in detail.tools or (None,))
    for positions, owns in ((_OUTCOMES, (detail.outcome,)), (_TOOLS, tools), (_TAGS, detail.tags)):
        for own in owns:
            known = (*detail.values, *own)
            for breakdown, indexes in positions.items():
                yield RollupKey(breakdown, Bucket.HOUR, detail.at, tuple([known[index] for index in indexes]))
