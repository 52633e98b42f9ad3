"""The search `q` of lists: `storage/queries/filters/interceptions.py`."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from storage.queries.filters.interceptions import InvalidSearchError, Search, parse_search

_SOMEBODY = UUID(int=1)

SEEDS = [
    b'me model:gpt-5 provider:openai status:failed client:"Claude Code"',
    b'started_after:"2026-01-31T12:00:00Z" started_before:"2026-02-01T00:00:00.0009+02:00"',
    b"request_id:req_1 session_id:a provider_name:b initiator:c",
    b'"a b" :c d: e:f:g "h',
]
WORDS = [
    *(f"{key}:".encode() for key in Search.__struct_fields__),
    *(
        b'"2026-01-31T12:00:00Z"',
        b"completed",
        b"in_flight",
        b'"',
        b":",
        b" ",
        b"$ne",
        b"{",
        b"\0",
        b"9999-12-31T23:59:59.9999Z",
    ),
]


def check(data: bytes) -> None:
    """A search is refused in words, or makes a filter in which nothing that was written acts as an operator."""
    with suppress(InvalidSearchError):
        found = parse_search(data.decode("utf-8", "replace"))
        wanted = found.filter(initiator_id=_SOMEBODY if found.initiator is not None else None)
        started, status = wanted.pop("started_at", {}), wanted.get("status", "")
        assert set(started) <= {"$gte", "$lte"}
        assert all(isinstance(time, datetime) for time in started.values())
        if isinstance(status, dict):
            del wanted["status"]
            assert status == {"$in": ["completed", "failed"]}
        assert all(isinstance(value, str | UUID) for value in wanted.values())
        assert set(wanted) <= {*Search.__struct_fields__, "initiator_id", "client_session_id", "request_ids"}
