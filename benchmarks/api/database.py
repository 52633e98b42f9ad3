"""A database of many interceptions, filled once: recorded, counted and grouped as a server does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random
from time import monotonic
from typing import Any
from uuid import UUID

from pymongo import AsyncMongoClient
from pymongo.errors import BulkWriteError

from benchmarks.api.population import DAYS, FEWEST_USERS, MODELS, Population, Zipf
from intercept.refusals import Refusal, Rule
from runtime.process import now
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.aggregation.refusal_recorder import RefusalRecorder
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.sessions.session_job import SessionJob
from storage.mongo.database import Database
from storage.search.job import SearchJob

NAME = "aibridge"
MAX_USERS = 3_000
OWNER, BUSIEST = "owner", "user-0001"
CALLS_A_REFUSAL = 20
_REFUSED = ((Rule.USER_RATE, 429), (Rule.USER_TOKENS, 429), (Rule.POLICY_BUDGET, 429), (Rule.MODEL_NOT_ALLOWED, 403))
_AT_ONCE = 2_000
_DUPLICATE = 11000


async def fill(uri: str, records: int) -> None:
    """Make users and records, unless the database has as many already; another number of them is dropped.

    It may be stopped at any time; the next run continues.
    """
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri, uuidRepresentation="standard", tz_aware=True)
    database = Database.connect(uri, NAME)
    try:
        plan = await client[NAME]["benchmark"].find_one({"_id": "plan", "records": records})
        if plan is None:
            plan = await _begin(client, database, records)
        if not plan.get("refused"):
            await _refuse(database, plan)
            await client[NAME]["benchmark"].update_one({"_id": "plan"}, {"$set": {"refused": True}})
        if plan.get("filled"):
            return
        await _record(client, plan)
        await _timed("indexes", lambda: database.prepare(retention=timedelta(days=2 * DAYS)))
        for what, mark, job in (
            ("counted", "uncounted", RollupJob(database, now=now)),
            ("grouped", "ungrouped", SessionJob(database)),
            ("indexed", "unindexed", SearchJob(database)),
        ):
            progress = Progress(what, await client[NAME]["interceptions"].count_documents({mark: {"$exists": True}}))
            await job.add_pending(progress.add)
            print()
        await client[NAME]["benchmark"].update_one({"_id": "plan"}, {"$set": {"filled": True}})
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


async def _begin(client: AsyncMongoClient[dict[str, Any]], database: Database, records: int) -> dict[str, Any]:
    """Make users, and note the plan and its progress, so that the same documents can be made again."""
    await client.drop_database(NAME)
    users = await _add_users(database, max(FEWEST_USERS, min(MAX_USERS, records // 300)))
    plan = {"_id": "plan", "records": records, "users": users, "until": now(), "days": 0}
    await client[NAME]["benchmark"].insert_one(plan)
    return plan


async def _record(client: AsyncMongoClient[dict[str, Any]], plan: dict[str, Any]) -> None:
    if plan["days"] == DAYS:
        return
    progress = Progress("recorded", plan["records"])
    population = Population(calls=plan["records"], users=plan["users"], until=plan["until"])
    for day, documents in enumerate(population.days(), start=1):
        if day > plan["days"]:
            for first in range(0, len(documents), _AT_ONCE):
                await _insert(client, documents[first : first + _AT_ONCE])
            await client[NAME]["benchmark"].update_one({"_id": "plan"}, {"$set": {"days": day}})
        progress.add(len(documents))
    print()


async def _refuse(database: Database, plan: dict[str, Any]) -> None:
    """Count refusals, one for `CALLS_A_REFUSAL` calls, as a server does it."""
    number = plan["records"] // CALLS_A_REFUSAL
    await database.refusals.delete_many({})
    await database.refusal_totals.delete_many({})
    random, user, model = Random(2), Zipf(len(plan["users"])), Zipf(len(MODELS))
    times = sorted(plan["until"] - timedelta(days=random.uniform(0, DAYS)) for _ in range(number))
    at = iter(times)
    recorder = RefusalRecorder(database, now=lambda: next(at))
    progress = Progress("refused", number)
    for index in range(number):
        provider, name = MODELS[model.draw(random)]
        initiator = plan["users"][user.draw(random)]
        rule, status = random.choice(_REFUSED)
        recorder.note(
            Refusal(
                rule=rule,
                status=status,
                initiator_id=initiator,
                api_key_id=initiator.hex[-10:],
                provider=provider,
                route="/v1/messages",
                model=name,
            )
        )
        if index % _AT_ONCE == _AT_ONCE - 1 or index == number - 1:
            await recorder.flush()
            progress.add(index % _AT_ONCE + 1)
    print()


async def _insert(client: AsyncMongoClient[dict[str, Any]], documents: list[dict[str, Any]]) -> None:
    """Insert the documents that are not there yet."""
    try:
        await client[NAME]["interceptions"].insert_many(documents, ordered=False)
    except BulkWriteError as error:
        if any(one["code"] != _DUPLICATE for one in error.details["writeErrors"]):
            raise


class Progress:
    """Prints the progress of something, and how long the rest will take."""

    def __init__(self, what: str, whole: int) -> None:
        self._what = what
        self._whole = whole
        self._done = 0
        self._began = monotonic()

    def add(self, number: int) -> None:
        """Note that so many more are done."""
        self._done += number
        seconds = monotonic() - self._began
        left = seconds / max(self._done, 1) * max(self._whole - self._done, 0)
        line = f"{self._what} {self._done:,} of {self._whole:,} in {seconds:.0f} s, {left:.0f} s left"
        print(f"\r{line:<70}", end="", flush=True)


async def _timed(what: str, work: Callable[[], Awaitable[Any]]) -> None:
    began = monotonic()
    await work()
    print(f"{what}: {monotonic() - began:.0f} s", flush=True)
