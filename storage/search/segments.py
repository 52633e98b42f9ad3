"""Segments of the search index: some thousand calls, in the order of their start. Pure: calls in, bytes out, and back.

Of a call the index has digests of its words and of its values, and its figures. A segment has a field for each digest, with the
positions of the calls that have it, and columns: when the calls started, their ids, and each figure. Numbers are as the machine
holds them.
"""

from __future__ import annotations

import math
from array import array
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from string import ascii_letters, digits
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from bson.decimal128 import Decimal128
from msgspec import Struct

from storage.mongo.codec import read_decimal, read_ms, write_ms
from storage.mongo.documents.stored import Stored
from storage.queries.filters.keys import KEYS
from storage.queries.filters.texts import texts_of, words_of

MAX_WORDS: Final = 5_000
"""Most different words of a call that are indexed, the first ones."""

FIGURES: Final = {name: key.fields[0].split(".") for name, key in KEYS.items() if key.figure}
"""Where the figures that are indexed stand, by their keys."""

FIELDS: Final = {
    field: field.split(".") for key in KEYS.values() if not key.figure for field in key.fields if field != "request_ids"
}
"""The fields whose values are indexed. Ids of requests have an index of their own, in which each is found."""

DIGEST_CHARACTERS: Final = ascii_letters + digits + "-_"
"""The characters that a digest is made of."""

_REMEMBERED: Final = 50_000
_DIGEST_BYTES: Final = 6
_UUID_BYTES: Final = 16


class SearchEntry(Struct, frozen=True):
    """A call in the index: when it started, in milliseconds, its id, its digests, and its figures in the order of `FIGURES`."""

    at: int
    id: bytes
    digests: frozenset[str]
    figures: tuple[float | None, ...]


@lru_cache(_REMEMBERED)
def word_digest(word: str) -> str:
    """Return eight characters that stand for a word."""
    return _digest("w", word)


@lru_cache(_REMEMBERED)
def value_digest(field: str, value: Any) -> str:
    """Return eight characters that stand for a value of a field. An id may be bytes."""
    is_id = isinstance(value, bytes) and len(value) == _UUID_BYTES
    return _digest(field, str(UUID(bytes=value) if is_id else value))


def entry_of(document: Mapping[str, Any]) -> SearchEntry:
    """Make the entry of a call that has ended."""
    words: dict[str, None] = {}
    for text in texts_of(document):
        words |= dict.fromkeys(words_of(text.text))
        if len(words) >= MAX_WORDS:
            break
    found = set(map(word_digest, list(words)[:MAX_WORDS]))
    for field, path in FIELDS.items():
        first = document.get(path[0])
        for value in _values_of(first, path[1:]) if isinstance(first, (dict, list)) else (first,):
            if value is not None:
                found.add(value_digest(field, bytes(value) if isinstance(value, bytes) else value))
                if field == "upstream_status":  # its class too, see `StatusClass`
                    found.add(value_digest(field, f"{value // 100}xx"))
    found.update([value_digest(f"tags.{name}", value) for name, value in document.get("tags", {}).items()])
    figures = tuple([_number(_values_of(document, path)[0]) for path in FIGURES.values()])
    return SearchEntry(write_ms(document["started_at"]), id_bytes(document["_id"]), frozenset(found), figures)


def id_bytes(id_: UUID | bytes) -> bytes:
    """Return the bytes of an id, also as BSON holds it."""
    return id_.bytes if isinstance(id_, UUID) else bytes(id_)


def _values_of(value: Any, path: Sequence[str]) -> list[Any]:
    """The values of a field, of each element of lists on the way; None where it is not there."""
    for at, name in enumerate(path):
        if isinstance(value, list):
            return [one for element in value for one in _values_of(element, path[at:])]
        if value is None:
            break
        if not isinstance(value, dict):
            return []
        value = value.get(name)
    return [one for element in value for one in _values_of(element, ())] if isinstance(value, list) else [value]


def _number(figure: Decimal128 | float | None) -> float | None:
    return None if figure is None else float(read_decimal(figure) if isinstance(figure, Decimal128) else figure)


def _digest(kind: str, text: str) -> str:
    written = f"{kind}\0{text}".encode(errors="surrogatepass")
    return urlsafe_b64encode(blake2b(written, digest_size=_DIGEST_BYTES).digest()).decode()


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


def build(number: int, entries: Iterable[SearchEntry]) -> tuple[Segment, Fields]:
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


def entries_of(segment: Segment, fields: Fields) -> list[SearchEntry]:
    """Return the entries of a segment with all its fields, without those that are gone."""
    digests: list[list[str]] = [[] for _ in range(segment.calls)]
    for name in fields.keys() - set(COLUMNS):
        for position in array("H", fields[name]):
            digests[position].append(name)
    columns = [array("d", fields[name]) for name in FIGURES]
    gone = set(segment.gone)
    return [
        SearchEntry(
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
