"""The search `q` of lists: `storage/queries/filters/search_language.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from storage.queries.filters.keys import KEYS
from storage.queries.filters.search_language import SEARCH_KEYS, parse_search
from storage.queries.filters.words import InvalidSearchError

_SOMEBODY = UUID(int=1)
# The name of a tag is part of the name of a field.
_TAG = re.compile(r"tags\.[A-Za-z0-9_-]{1,40}")

SEEDS = [
    b'me model:gpt-5 provider:openai status:failed client:"Claude Code"',
    b'started_after:"2026-01-31T12:00:00Z" started_before:"2026-02-01T00:00:00.0009+02:00"',
    b"request_id:req_1 session_id:a provider_name:b initiator:c",
    b'"a b" :c d: e:f:g "h',
    b"-model:a,b cost:>1 took:<500ms cache:<50% tokens:>=1k http:429,5xx end:upstream_timeout streaming:true since:24h",
    b'tag:project=apollo,env=ci -tag:a=b word "two words" -third',
]
WORDS = [
    *(f"{key}:".encode() for key in SEARCH_KEYS),
    *(
        b'"2026-01-31T12:00:00Z"',
        b"completed",
        b"in_flight",
        b'"',
        b":",
        b" ",
        b"$ne",
        b"-",
        b",",
        b">1",
        b"24h",
        b"{",
        b"\0",
        b"9999-12-31T23:59:59.9999Z",
    ),
]


def check(data: bytes) -> None:
    """A search is refused in words, or makes a filter in which nothing that was written acts as an operator."""
    with suppress(InvalidSearchError):
        found = parse_search(data.decode("utf-8", "replace"))
        terms = [term.found([_SOMEBODY]) if term.key == "user" else term for term in found.terms]
        wanted = replace(found, terms=tuple(terms)).filter()
        assert {name for name in _names(wanted) if not _TAG.fullmatch(name)} <= _NAMES


def _names(conditions: Any) -> Iterator[str]:
    if isinstance(conditions, dict):
        for name, value in conditions.items():
            yield name
            yield from _names(value)
    elif isinstance(conditions, list):
        for one in conditions:
            yield from _names(one)


_NAMES = {field for key in KEYS.values() for field in key.fields} | {
    "started_at",
    "$gte",
    "$lte",
    "$in",
    "$nin",
    "$and",
    "$or",
    "$not",
    "$gt",
    "$lt",
    "$eq",
}
