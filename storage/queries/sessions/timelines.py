"""Reading all calls of a session in short: when each ran, which tools it called, and how these ended.

Every function raises `DatabaseUnavailableError`, also after `QUERY_SECONDS`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pymongo import ASCENDING, DESCENDING

from storage.mongo.database import Database
from storage.mongo.indexes import OF_SESSION, REFUSALS_BY_INITIATOR, SESSIONS_BY_INITIATOR
from storage.queries.paging import Paging, Position
from storage.queries.sessions.session_list import OF_SEVERAL

MAX_CALLS = 1_000
"""Calls of a session that are read, the first ones."""

MAX_REFUSALS = 100
"""Rows of refusals that are read beside them, the first ones."""

_SHORT = dict.fromkeys(
    (
        *("api_key_id", "started_at", "first_byte_at", "ended_at", "status", "end_reason", "model", "provider_name"),
        *("agent.id", "agent.parent_id", "agent.hints.agent_type", "attempt", "attempts", "retry_of", "cost.usd"),
        *("tool_usages.tool", "tool_usages.checksum", "tool_usages.result"),
    ),
    True,
)


class SessionCalls(NamedTuple):
    """The calls of a session in short, oldest first; and whether there are `more` behind them."""

    calls: list[dict[str, Any]]
    more: bool


class Neighbours(NamedTuple):
    """The sessions of the same user that with several calls that started before and after one; None where there is none."""

    earlier_id: UUID | None
    later_id: UUID | None


async def session_calls(database: Database, id_: UUID) -> SessionCalls:
    """Read the calls of a session; the caller may see it."""
    async with database.query():
        firsts = await _find(database, {"session_id": id_, "root_id": None})
        roots = [call["_id"] for call in firsts]
        others = await _find(database, {"session_id": id_, "root_id": {"$in": roots}}) if roots else []
    calls = sorted([*firsts, *others], key=lambda call: (call["started_at"], call["_id"]))
    return SessionCalls(calls[:MAX_CALLS], len(calls) > MAX_CALLS)


async def refusals_of(
    database: Database, initiator_id: UUID, api_key_ids: list[str], start: datetime, end: datetime
) -> list[dict[str, Any]]:
    """Read what was refused of a user's requests with some tokens, from a time until another, oldest first."""
    wanted = {
        "initiator_id": initiator_id,
        "at": {"$gte": start, "$lte": end},
        "api_key_id": {"$in": api_key_ids},
        "shadow": {"$ne": True},
    }
    async with database.query():
        cursor = database.refusals.find(wanted, sort=[("at", ASCENDING)], limit=MAX_REFUSALS)
        return await cursor.hint(list(REFUSALS_BY_INITIATOR)).to_list(MAX_REFUSALS)


async def neighbours_of(database: Database, session: dict[str, Any]) -> Neighbours:
    """Find the sessions of the same user that started before and after one."""
    async with database.query():
        earlier = await _next(database, session, Paging("session", "started_at", DESCENDING))
        return Neighbours(earlier, await _next(database, session, Paging("session", "started_at", ASCENDING)))


async def _find(database: Database, conditions: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = database.interceptions.find(conditions, _SHORT, sort=[("started_at", ASCENDING), ("_id", ASCENDING)])
    return await cursor.hint(list(OF_SESSION)).limit(MAX_CALLS + 1).to_list(MAX_CALLS + 1)


async def _next(database: Database, session: dict[str, Any], paging: Paging) -> UUID | None:
    found = await database.sessions.find_one(
        {
            "initiator_id": session["initiator_id"],
            **paging.behind(Position(session["started_at"], session["_id"])),
            **OF_SEVERAL,
        },
        {"_id": True},
        sort=paging.order,
        hint=list(SESSIONS_BY_INITIATOR),
    )
    return None if found is None else found["_id"]
