"""Calls of a segment by their positions: those that are still there, those of a time, the newest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from storage.mongo.codec import write_ms
from storage.queries.paging import Position
from storage.search.conditions import Calls, all_calls, calls_of
from storage.search.segments import ID_BYTES, IDS, TIMES, Segment, numbers


class Key(NamedTuple):
    """Where a call is in the list: the newest has the greatest."""

    at: int
    id: bytes


def key_at(position: Position) -> Key:
    """Where a call is by its position in the list."""
    return Key(write_ms(position.at), position.id.bytes)


def key_of(document: Mapping[str, Any]) -> Key:
    """Where a call is by its document."""
    return Key(write_ms(document["started_at"]), document["_id"].bytes)


def without_gone(segment: Segment) -> Calls:
    """The calls of a segment that are in no other one."""
    if not segment.gone:
        return all_calls(segment.calls)
    gone = bytearray(segment.calls)
    for position in segment.gone:
        gone[position] = 1
    return calls_of(gone, negated=True)


def started_within(segment: Segment, times: bytes, start: int, end: int) -> Calls:
    """The calls that started in the time range."""
    return calls_of(bytes(start <= at < end for at in numbers(times, "q")[: segment.calls]))


def newest(parts: Mapping[int, bytes], found: bytes, number: int, before: Key | None) -> list[Key]:
    """The newest of the found calls of a segment, at most `number`, older than the call `before`."""
    times, ids = numbers(parts[TIMES], "q"), parts[IDS]
    keys: list[Key] = []
    position = found.rfind(1)
    while position >= 0 and len(keys) < number:
        key = Key(times[position], ids[position * ID_BYTES : (position + 1) * ID_BYTES])
        if before is None or key < before:
            keys.append(key)
        position = found.rfind(1, 0, position)
    return keys
