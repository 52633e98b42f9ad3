"""A database of many interceptions, filled once: recorded, counted and grouped as a server would have done it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from pymongo import AsyncMongoClient

from assembly import now
from benchmarks.population import DAYS, FEWEST_USERS, Population
from storage.database import Database
from storage.grouping import Grouping
from storage.identities import Identities
from storage.rollups import Rollups
from storage.users import Role

NAME = "aibridge"
MOST_USERS = 3_000
OWNER, BUSIEST = "owner", "user-0001"
_AT_ONCE = 2_000


async def fill(uri: str, records: int) -> None:
    """Make users and records, unless the database has as many already; what is there otherwise is dropped."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, uuidRepresentation="standard", tz_aware=True)
    database = Database.connect(uri, NAME)
    try:
        if await client[NAME]["benchmark"].count_documents({"_id": "filled", "records": records}):
            return
        await client.drop_database(NAME)
        await _record(client, await _add_users(database, max(FEWEST_USERS, min(MOST_USERS, records // 300))), records)
        await _timed("indexes", lambda: database.prepare(retention=timedelta(days=2 * DAYS)))
        await _timed("counted", Rollups(database, now=now).count_pending)
        await _timed("grouped", Grouping(database).group_pending)
        await client[NAME]["benchmark"].insert_one({"_id": "filled", "records": records})
    finally:
        database.close()
        await client.close()


async def new_token(uri: str, username: str) -> str:
    """Make a token for a user."""
    database = Database.connect(uri, NAME)
    try:
        _, text = await Identities(database, now=now, monotonic=monotonic).create_token(username)
        return text
    finally:
        database.close()


async def _add_users(database: Database, number: int) -> list[UUID]:
    identities = Identities(database, now=now, monotonic=monotonic)
    await identities.add_user(OWNER, role=Role.OWNER)
    names = (f"user-{one:04}" for one in range(1, number + 1))
    return [(await identities.add_user(name, role=Role.MEMBER)).id for name in names]


async def _record(client: AsyncMongoClient[dict[str, Any]], users: list[UUID], records: int) -> None:
    began, done = monotonic(), 0
    for documents in Population(calls=records, users=users, until=now()).days():
        for first in range(0, len(documents), _AT_ONCE):
            await client[NAME]["interceptions"].insert_many(documents[first : first + _AT_ONCE], ordered=False)
        done += len(documents)
        print(f"\rrecorded {done:,} in {monotonic() - began:.0f} s", end="", flush=True)
    print()


async def _timed(what: str, work: Callable[[], Awaitable[Any]]) -> None:
    began = monotonic()
    await work()
    print(f"{what}: {monotonic() - began:.0f} s", flush=True)
