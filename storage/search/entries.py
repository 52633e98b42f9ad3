"""What the search index has of a call: digests of its words and of its values, and its figures. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from storage.live.filter_eval import values_of
from storage.mongo.codec import write_ms
from storage.queries.filters.keys import KEYS
from storage.queries.filters.texts import TEXT_FIELDS, texts_of, words_of
from storage.recording.figures import FIGURE_FIELDS, FIGURES

MAX_WORDS: Final = 5_000
"""Most different words of a call that are indexed, the first ones."""

REMEMBERED: Final = 50_000
"""Digests that are remembered: of words that come again and again."""

FIELDS: Final = tuple(dict.fromkeys(field for key in KEYS.values() for field in key.fields if field != "request_ids"))
"""The fields whose values are indexed. Ids of requests have an index of their own, in which each is found."""

ENTRY_FIELDS: Final = (
    *(field for field in FIELDS if field.split(".")[0] not in TEXT_FIELDS),
    *TEXT_FIELDS,
    *FIGURE_FIELDS,
    "tags",
)
"""The fields that an entry is made of."""

_PATHS: Final = tuple((field, tuple(field.split("."))) for field in FIELDS)
_UUID_BYTES: Final = 16


class Entry(Struct, frozen=True):
    """A call in the index: when it started, in milliseconds, its digests, and its figures in the order of `FIGURES`."""

    at: int
    id: bytes
    digests: frozenset[int]
    figures: tuple[float | None, ...]


@lru_cache(REMEMBERED)
def word_digest(word: str) -> int:
    """Return 64 bits that stand for a word."""
    return _digest("w", word)


@lru_cache(REMEMBERED)
def value_digest(field: str, value: Any) -> int:
    """Return 64 bits that stand for a value of a field."""
    return _digest(field, str(value))


def entry_of(document: Mapping[str, Any]) -> Entry:
    """Make the entry of a call that has ended."""
    words: dict[str, None] = {}
    for text in texts_of(document):
        words |= dict.fromkeys(words_of(text.text))
        if len(words) >= MAX_WORDS:
            break
    digests = set(map(word_digest, list(words)[:MAX_WORDS]))
    for field, path in _PATHS:
        if (found := document.get(path[0])) is None:
            continue
        for value in (found,) if len(path) == 1 and not isinstance(found, list) else values_of(found, path[1:]):
            if isinstance(value, bytes) and len(value) == _UUID_BYTES:
                digests.add(value_digest(field, UUID(bytes=bytes(value))))
            elif value is not None:
                digests.add(value_digest(field, value))
                if field == "upstream_status":  # its class too, see `StatusClass`
                    digests.add(value_digest(field, f"{value // 100}xx"))
    digests.update([value_digest(f"tags.{name}", value) for name, value in document.get("tags", {}).items()])
    figures = tuple([figure.of(document) for figure in FIGURES.values()])
    id_ = document["_id"]
    raw = id_.bytes if isinstance(id_, UUID) else bytes(id_)
    return Entry(write_ms(document["started_at"]), raw, frozenset(digests), figures)


def _digest(kind: str, text: str) -> int:
    written = f"{kind}\0{text}".encode(errors="surrogatepass")
    return int.from_bytes(blake2b(written, digest_size=8).digest(), "big")
