"""Whether providers do their work: by each request that the latest calls sent to them, whoever answered in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from intercept.records import EndReason
from storage.mongo.database import Database
from storage.mongo.indexes import BY_TIME
from storage.queries.filters.selection import ENDED
from storage.queries.found import Attempts, LatestAttempts

MAX_CALLS: Final = 5_000
"""Calls that are looked at, the latest ones."""

_RATE_LIMITED: Final = 429
_SERVER_ERROR: Final = 500
_BROKEN: Final = (
    *(EndReason.UPSTREAM_UNREACHABLE, EndReason.UPSTREAM_TIMEOUT, EndReason.UPSTREAM_TRUNCATED),
    *(EndReason.UPSTREAM_STREAM_ERROR,),
)
_OF_CALL: Final = ("provider_name", "model", "started_at", "upstream_status", "end_reason")
_READ: Final = dict.fromkeys((*_OF_CALL, "tries.provider_name", "tries.status", "tries.error.type"), True)


async def read_attempts(database: Database, start: datetime, end: datetime) -> LatestAttempts:
    """Read the latest calls that started in [start, end) and have ended, at most `MAX_CALLS`.

    Raises:
        DatabaseUnavailableError: The database is unavailable, or takes too long.
    """
    ended = {"started_at": {"$gte": start, "$lt": end}, "status": {"$in": list(ENDED)}}
    by_model: dict[tuple[str, str], Attempts] = {}
    async with database.query():
        latest = database.interceptions.find(ended, _READ, sort=list(BY_TIME[:2]), hint=list(BY_TIME), limit=MAX_CALLS)
        calls = await latest.to_list(None)
    for call in calls:
        for provider, status, reason in _requests_of(call):
            has_failed = reason in _BROKEN or (status or 0) >= _SERVER_ERROR
            at, is_answer = call["started_at"], not has_failed and status is not None
            one = Attempts(
                1, status == _RATE_LIMITED, has_failed, at if is_answer else None, at if has_failed else None
            )
            by_model.setdefault((provider, call["model"]), Attempts()).add(one)
    return LatestAttempts(by_model, calls[-1]["started_at"] if len(calls) == MAX_CALLS else start)


def _requests_of(call: Mapping[str, Any]) -> Iterator[tuple[str, int | None, str | None]]:
    """Return where each request of a call went, and with what status and reason it ended; the last one as the call did."""
    for one in call.get("tries", ())[:-1]:
        yield one["provider_name"], one["status"], (one.get("error") or {}).get("type")
    yield call["provider_name"], call.get("upstream_status"), call.get("end_reason")
