"""What the search index has of a call: digests of its words and of its values, and its figures. Pure."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from string import ascii_letters, digits
from typing import Any, Final
from uuid import UUID

from bson.decimal128 import Decimal128
from msgspec import Struct

from storage.live.filter_eval import values_of
from storage.mongo.codec import read_decimal, write_ms
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


class Entry(Struct, frozen=True):
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


def entry_of(document: Mapping[str, Any]) -> Entry:
    """Make the entry of a call that has ended."""
    words: dict[str, None] = {}
    for text in texts_of(document):
        words |= dict.fromkeys(words_of(text.text))
        if len(words) >= MAX_WORDS:
            break
    found = set(map(word_digest, list(words)[:MAX_WORDS]))
    for field, path in FIELDS.items():
        first = document.get(path[0])
        for value in values_of(first, path[1:]) if isinstance(first, (dict, list)) else (first,):
            if value is not None:
                found.add(value_digest(field, bytes(value) if isinstance(value, bytes) else value))
                if field == "upstream_status":  # its class too, see `StatusClass`
                    found.add(value_digest(field, f"{value // 100}xx"))
    found.update([value_digest(f"tags.{name}", value) for name, value in document.get("tags", {}).items()])
    figures = tuple([_number(values_of(document, path)[0]) for path in FIGURES.values()])
    return Entry(write_ms(document["started_at"]), id_bytes(document["_id"]), frozenset(found), figures)


def id_bytes(id_: UUID | bytes) -> bytes:
    """Return the bytes of an id, also as BSON holds it."""
    return id_.bytes if isinstance(id_, UUID) else bytes(id_)


def _number(figure: Decimal128 | float | None) -> float | None:
    return None if figure is None else float(read_decimal(figure) if isinstance(figure, Decimal128) else figure)


def _digest(kind: str, text: str) -> str:
    written = f"{kind}\0{text}".encode(errors="surrogatepass")
    return urlsafe_b64encode(blake2b(written, digest_size=_DIGEST_BYTES).digest()).decode()
