"""A database of many interceptions, filled once: recorded, counted and grouped as a server does it."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import Any

from pymongo import AsyncMongoClient

from benchmarks.api.population import DAYS, FEWEST_USERS, Population
from runtime.process import now
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.sessions.session_job import SessionJob
from storage.mongo.database import Database
from storage.search.job import SearchJob

NAME = "aibridge"
OWNER, BUSIEST = "owner", "user-0001"
MAX_USERS = 3_000
_AT_ONCE = 2_000


async def fill(uri: str, records: int) -> None:
    """Make users and records, unless the database has as many already. Whatever else it has is dropped."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, uuidRepresentation="standard", tz_aware=True)
    database = Database.connect(uri, NAME)
    try:
        if await client[NAME]["benchmark"].find_one({"records": records}):
            return
        await client.drop_database(NAME)
        await database.prepare(retention=timedelta(days=2 * DAYS))
        identities = Identities(database, now=now, monotonic=monotonic)
        await identities.add_user(OWNER, role=Role.OWNER)
        names = (f"user-{one:04}" for one in range(1, 1 + max(FEWEST_USERS, min(MAX_USERS, records // 300))))
        users = [(await identities.add_user(name, role=Role.MEMBER)).id for name in names]
        recorded, began = 0, monotonic()
        for documents in Population(calls=records, users=users, until=now()).days():
            for first in range(0, len(documents), _AT_ONCE):
                await client[NAME]["interceptions"].insert_many(documents[first : first + _AT_ONCE], ordered=False)
            recorded += len(documents)
            print(f"recorded {recorded:,} of {records:,} in {monotonic() - began:.0f} s", flush=True)
        for job in (RollupJob(database, now=now), SessionJob(database), SearchJob(database)):
            began = monotonic()
            await job.add_pending()
            print(f"{type(job).__name__}: {monotonic() - began:.0f} s", flush=True)
        await client[NAME]["benchmark"].insert_one({"records": records})
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
