"""Segments of the search index: some thousand calls, in the order of their start. Pure: entries in, bytes out, and back.

A segment is kept in parts, so that a search reads few of them. Digests are spread over buckets by their first bits; the
part of a bucket has its digests in order, and for each the positions of the calls that have it. Other parts have the
ids of the calls, when they started, and each figure. Numbers are little-endian.
"""

from __future__ import annotations

import math
import sys
import time
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from storage.recording.figures import COMPARISONS, FIGURES
from storage.search.entries import Entry

MAX_CALLS: Final = 16_384
"""Most calls of a segment: a position has 16 bits."""

IDS, TIMES, FIRST_FIGURE = 1_001, 1_002, 1_010
"""The parts beside the buckets, which have the numbers below 512."""

OTHER_PARTS: Final = (IDS, TIMES, *range(FIRST_FIGURE, FIRST_FIGURE + len(FIGURES)))
"""All of them."""

ID_BYTES: Final = 16

_DIGEST_BITS: Final = 64
_BITS: Final = ((64, 0), (512, 3), (4_096, 5), (MAX_CALLS, 8))
"""Up to so many calls, the buckets are numbered by so many bits."""

_POSITION_BYTES: Final = 2
_GONE: Final = 0xFFFF
"""Stands for the position of a call that is gone."""

_YIELD_EACH: Final = 64


class Segment(Struct, frozen=True, kw_only=True):
    """A segment without its parts.

    Attributes:
        number: Its own, which no other one ever gets.
        calls: How many it has.
        bits: Of a digest, those that are its bucket.
        first: When the earliest of its calls started, in milliseconds.
        last: When the latest did.
        gone: Positions of calls that are in another segment now, or changed.
        is_full: Whether it was too large to be merged with others.
    """

    number: int
    calls: int
    bits: int
    first: int
    last: int
    gone: tuple[int, ...] = ()
    is_full: bool = False

    def bucket(self, digest: int) -> int:
        """Return the number of the part that has a digest."""
        return (1 << self.bits) + (digest >> (_DIGEST_BITS - self.bits) if self.bits else 0)

    def end(self, bucket: int) -> int:
        """Return what all digests of a bucket are below."""
        return (bucket + 1 - (1 << self.bits)) << (_DIGEST_BITS - self.bits)

    @property
    def buckets(self) -> range:
        """The numbers of all buckets."""
        return range(1 << self.bits, 2 << self.bits)

    @property
    def level(self) -> int:
        """How large it is, from 0; segments of a level are merged when there are several."""
        return next(level for level, (calls, _) in enumerate(_BITS) if self.calls <= calls)


class Source(NamedTuple):
    """A segment with its parts by number."""

    segment: Segment
    parts: Mapping[int, bytes]

    @property
    def digests(self) -> int:
        """How many digests it has."""
        return sum([numbers(part[:4], "I")[0] for bucket in self.segment.buckets if (part := self.parts.get(bucket))])


def build(number: int, entries: Iterable[Entry]) -> tuple[Segment, dict[int, bytes]]:
    """Make a segment of at least one entry, and its parts by number; a bucket without digests has no part."""
    ordered = sorted(entries, key=lambda entry: (entry.at, entry.id))
    positions: dict[int, array[int]] = {}
    for position, entry in enumerate(ordered):
        for digest in entry.digests:
            if digest in positions:
                positions[digest].append(position)
            else:
                positions[digest] = array("H", (position,))
    columns = [[entry.figures[index] for entry in ordered] for index in range(len(FIGURES))]
    return _made(number, [entry.at for entry in ordered], [entry.id for entry in ordered], columns, positions)


def merge(number: int, sources: Sequence[Source]) -> tuple[Segment, dict[int, bytes]] | None:
    """Make one segment of several, with all their parts, without the calls that are gone; None if nothing is left.

    It takes about a second for `MAX_CALLS`, and lets other threads run in between.
    """
    calls = sorted(call for index, source in enumerate(sources) for call in _calls(index, source))
    if not calls:
        return None
    moved = [array("H", [_GONE]) * source.segment.calls for source in sources]
    for position, (_, _, index, before) in enumerate(calls):
        moved[index][before] = position
    positions: dict[int, array[int]] = {}
    for source, new in zip(sources, moved, strict=True):
        for bucket in source.segment.buckets:
            _add_postings(positions, source.parts.get(bucket), new)
            time.sleep(0)  # lets the event loop have the interpreter
    columns = [_column(FIRST_FIGURE + index, len(calls), sources, moved) for index in range(len(FIGURES))]
    return _made(number, [call[0] for call in calls], [call[1] for call in calls], columns, positions)


def _calls(index: int, source: Source) -> Iterable[tuple[int, bytes, int, int]]:
    """The calls of a segment that are not gone: when each started, its id, and where it is."""
    gone = set(source.segment.gone)
    times, ids = numbers(source.parts[TIMES], "q"), source.parts[IDS]
    for position in range(source.segment.calls):
        if position not in gone:
            yield times[position], ids[position * ID_BYTES : (position + 1) * ID_BYTES], index, position


def _add_postings(positions: dict[int, array[int]], bucket: bytes | None, new: array[int]) -> None:
    """Add what a bucket has, at the new positions."""
    if bucket is None:
        return
    digests, ends, old = _postings(bucket)
    moved = array("H", [new[position] for position in old])
    has_gone = _GONE in moved
    begin = 0
    for digest, end in zip(digests, ends, strict=True):
        kept = moved[begin:end]
        begin = end
        if has_gone:
            kept = array("H", [position for position in kept if position != _GONE])
        if digest in positions:
            positions[digest] += kept
        elif kept:
            positions[digest] = kept


def _column(part: int, calls: int, sources: Sequence[Source], moved: Sequence[array[int]]) -> list[float | None]:
    column: list[float | None] = [None] * calls
    for source, new in zip(sources, moved, strict=True):
        values = numbers(source.parts[part], "d")
        for before, position in enumerate(new):
            if position != _GONE:
                column[position] = values[before]
    return column


def find(part: bytes, digest: int) -> array[int]:
    """Return the positions that a bucket has for a digest, in whatever order."""
    (count,) = numbers(part[:4], "I")
    ends = 8 + 8 * count
    digests = numbers(part[8:ends], "Q")
    index = bisect_left(digests, digest)
    if index == count or digests[index] != digest:
        return array("H")
    offsets = numbers(part[ends : ends + 4 * (count + 1)], "I")
    begin = ends + 4 * (count + 1)
    return numbers(part[begin + offsets[index] : begin + offsets[index + 1]], "H")


def numbers(part: bytes, kind: str) -> array[Any]:
    """Read the numbers of a column: `q` whole ones, `d` others, of which one that is not known is NaN."""
    found = array(kind, part)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def compared(part: bytes, operator: str, number: float) -> list[bool]:
    """Return for each call whether its figure, which has to be known, compares so."""
    compare = COMPARISONS[operator]
    return [compare(value, number) for value in numbers(part, "d")]  # NaN compares with nothing


def position_of(ids: bytes, id_: bytes) -> int | None:
    """Return where a call is; None where it is not."""
    at = ids.find(id_)
    while at % ID_BYTES and at >= 0:
        at = ids.find(id_, at + 1)
    return None if at < 0 else at // ID_BYTES


def choose_merge(segments: Iterable[Segment], fan: int) -> list[Segment]:
    """Return segments that are to become one: the oldest of a level, of which there are `fan`; none if that is not so."""
    by_level: dict[int, list[Segment]] = {}
    for segment in sorted((one for one in segments if not one.is_full), key=lambda one: one.number):
        by_level.setdefault(segment.level, []).append(segment)
    for level in sorted(by_level):
        if level == len(_BITS) - 1 or len(by_level[level]) < fan:
            continue
        chosen: list[Segment] = []
        for segment in by_level[level]:
            if sum(one.calls for one in chosen) + segment.calls > MAX_CALLS or len(chosen) == fan:
                break
            chosen.append(segment)
        return chosen
    return []


def _made(
    number: int,
    times: Sequence[int],
    ids: Sequence[bytes],
    columns: Sequence[Sequence[float | None]],
    positions: Mapping[int, array[int]],
) -> tuple[Segment, dict[int, bytes]]:
    bits = next(bits for calls, bits in _BITS if len(times) <= calls)
    segment = Segment(number=number, calls=len(times), bits=bits, first=times[0], last=times[-1])
    parts = {IDS: b"".join(ids), TIMES: _written("q", times)}
    for index, column in enumerate(columns):
        parts[FIRST_FIGURE + index] = _written("d", [math.nan if value is None else value for value in column])
    digests = sorted(positions)
    begin = 0
    for bucket in segment.buckets:
        end = bisect_left(digests, segment.end(bucket), begin)
        if end > begin:
            parts[bucket] = _bucket(digests[begin:end], positions)
        begin = end
        if bucket % _YIELD_EACH == 0:
            time.sleep(0)
    return segment, parts


def _bucket(digests: Sequence[int], positions: Mapping[int, array[int]]) -> bytes:
    flat, offsets = array("H"), [0]
    for digest in digests:
        flat += positions[digest]
        offsets.append(_POSITION_BYTES * len(flat))
    head = _written("I", [len(digests), 0])
    return b"".join((head, _written("Q", digests), _written("I", offsets), _written("H", flat)))


def _postings(part: bytes) -> tuple[array[int], list[int], array[int]]:
    """Return the digests of a bucket, where the positions of each end, and the positions of all."""
    (count,) = numbers(part[:4], "I")
    ends = 8 + 8 * count
    begin = ends + 4 * (count + 1)
    offsets = numbers(part[ends:begin], "I")
    return numbers(part[8:ends], "Q"), [end // _POSITION_BYTES for end in offsets[1:]], numbers(part[begin:], "H")


def _written(kind: str, values: Iterable[float]) -> bytes:
    made = array(kind, values)
    if sys.byteorder == "big":
        made.byteswap()
    return made.tobytes()
