"""Segments of the search index: some thousand calls, in the order of their start. Pure: entries in, bytes out, and back.

A segment has a field for each digest, with the positions of the calls that have it, and columns: when the calls started, their
ids, and each figure. Numbers are as the machine holds them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from storage.mongo.codec import read_ms
from storage.mongo.documents.stored import Stored
from storage.search.entries import FIGURES, Entry

LARGE_CALLS: Final = 4_096
"""From so many calls on a segment is large."""

LARGE_DIGESTS: Final = 400_000
"""From so many digests on, those of each call counted, a segment is large. It has at most twice as many, of 18 bytes each."""

TIMES, IDS = "times", "ids"
COLUMNS: Final = (TIMES, IDS, *FIGURES)
"""The fields that are no digests."""

ID_BYTES: Final = 16

Fields: TypeAlias = Mapping[str, bytes]
"""Fields of a segment by their names."""


class Place(NamedTuple):
    """Where a call is in the list of calls: the newest has the greatest."""

    at: int
    id: bytes


class Segment(Stored, frozen=True, kw_only=True):
    """A segment without its fields.

    Attributes:
        id: A number of its own, which no other one ever gets.
        calls: How many it has.
        digests: How many its calls have, each call counted.
        first: When the earliest of its calls started.
        last: When the latest did.
        is_large: Whether it stays as it is, in several documents.
        gone: Positions of calls that were taken out.
    """

    id: int
    calls: int
    digests: int
    first: datetime
    last: datetime
    is_large: bool
    gone: tuple[int, ...] = ()


def is_large(calls: int, digests: int) -> bool:
    """Whether a segment of so many calls with so many digests is a large one."""
    return calls >= LARGE_CALLS or digests >= LARGE_DIGESTS


def build(number: int, entries: Iterable[Entry]) -> tuple[Segment, Fields]:
    """Make a segment of at least one entry and at most 65,536."""
    ordered = sorted(entries, key=lambda entry: (entry.at, entry.id))
    positions: dict[str, array[int]] = {}
    for position, entry in enumerate(ordered):
        for digest in entry.digests:
            if digest in positions:
                positions[digest].append(position)
            else:
                positions[digest] = array("H", (position,))
    fields = {digest: some.tobytes() for digest, some in positions.items()}
    fields[TIMES] = array("q", [entry.at for entry in ordered]).tobytes()
    fields[IDS] = b"".join([entry.id for entry in ordered])
    for index, name in enumerate(FIGURES):
        column = [entry.figures[index] for entry in ordered]
        fields[name] = array("d", [math.nan if figure is None else figure for figure in column]).tobytes()
    digests = sum([len(entry.digests) for entry in ordered])
    return Segment(
        id=number,
        calls=len(ordered),
        digests=digests,
        first=read_ms(ordered[0].at),
        last=read_ms(ordered[-1].at),
        is_large=is_large(len(ordered), digests),
    ), fields


def entries_of(segment: Segment, fields: Fields) -> list[Entry]:
    """Return the entries of a segment with all its fields, without those that are gone."""
    digests: list[list[str]] = [[] for _ in range(segment.calls)]
    for name in fields.keys() - set(COLUMNS):
        for position in array("H", fields[name]):
            digests[position].append(name)
    columns = [array("d", fields[name]) for name in FIGURES]
    gone = set(segment.gone)
    return [
        Entry(
            at=key.at,
            id=key.id,
            digests=frozenset(digests[position]),
            figures=tuple([None if math.isnan(column[position]) else column[position] for column in columns]),
        )
        for position, key in enumerate(keys_at(fields, range(segment.calls)))
        if position not in gone
    ]


def keys_at(fields: Fields, positions: Iterable[int]) -> Iterator[Place]:
    """The keys of the calls at these positions."""
    times = array("q", fields[TIMES])
    ids = fields[IDS]
    return (Place(times[position], ids[position * ID_BYTES : (position + 1) * ID_BYTES]) for position in positions)


def position_of(fields: Fields, id_: bytes) -> int | None:
    """Return where a call is; None where it is not."""
    ids = fields[IDS]
    at = ids.find(id_)
    while at % ID_BYTES and at >= 0:
        at = ids.find(id_, at + 1)
    return None if at < 0 else at // ID_BYTES
