"""A database of many interceptions, filled once: recorded, counted and grouped as a server does it.

The calls are those of the demo company, with many more people. The same seed makes the same calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, cycle, islice
from random import Random
from time import monotonic
from typing import Any
from uuid import UUID

from msgspec.structs import replace
from pymongo import AsyncMongoClient

from intercept.records import UserPrompt
from runtime.process import now
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.demo.company import company
from storage.demo.filling import PROVIDERS
from storage.demo.sessions import InventedCall, InventedPerson, calls_of
from storage.derived.job import DerivedJob
from storage.mongo.database import Database
from storage.prices.pricing import Prices
from storage.recording.documents import ended_document, start_document
from storage.search.writing import add_entries, remove_entries

NAME = "aibridge"
OWNER, MEMBER = "owner", "user-0001"
DAYS = 60
CALLS_A_PERSON = 600
FEWEST_PEOPLE, MOST_PEOPLE = 40, 3_000
RARE_WORDS = 30_000
"""Different words in prompts beside the company's; the first are frequent, most come a few times in a million calls."""

_AT_ONCE = 2_000
_INSTANCE = UUID(int=0)
_WEIGHTS = list(accumulate(1 / rank for rank in range(1, RARE_WORDS + 1)))


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
        number = max(FEWEST_PEOPLE, min(MOST_PEOPLE, records // CALLS_A_PERSON))
        names = (f"user-{one:04}" for one in range(1, number + 1))
        users = [(await identities.add_user(name, role=Role.MEMBER)).id for name in names]
        began, made = monotonic(), islice(documents(users, now()), records)
        recorded = 0
        while together := list(islice(made, _AT_ONCE)):
            await client[NAME]["interceptions"].insert_many(together, ordered=False)
            recorded += len(together)
            print(f"recorded {recorded:,} of {records:,} in {monotonic() - began:.0f} s", flush=True)
        began = monotonic()
        await DerivedJob(database, add_entries, remove_entries, now=now).catch_up()
        print(f"derived in {monotonic() - began:.0f} s", flush=True)
        await client[NAME]["benchmark"].insert_one({"records": records})
    finally:
        database.close()
        await client.close()


def documents(users: Sequence[UUID], until: datetime) -> Iterator[dict[str, Any]]:
    """Make the documents of the calls of so many people in `DAYS` days, in the order of their starts."""
    random, prices, teams = Random(1), Prices(PROVIDERS), cycle(enumerate(company().teams, start=1))
    people = [
        InventedPerson(id=user, team=team, group_id=UUID(int=group), token_id=user.hex[-10:])
        for user, (group, team) in zip(users, teams, strict=False)
    ]
    for day in range(DAYS):
        date = (until - timedelta(days=DAYS - 1 - day)).date()
        for call in calls_of(company(), people, random, date, until):
            yield _document(call, random, prices)


def _document(call: InventedCall, random: Random, prices: Prices) -> dict[str, Any]:
    start, ending, usages = call.start, call.ending, call.ending.reading.token_usages
    if start.user_prompt is not None:
        words = " ".join(f"word{one}" for one in random.choices(range(RARE_WORDS), cum_weights=_WEIGHTS, k=8))
        start = replace(start, user_prompt=UserPrompt(prompt=f"{start.user_prompt.prompt} {words}"))
    cost = prices.cost(start.provider_name, start.model, usages, start.started_at) if usages else None
    started = start_document(start, instance_id=_INSTANCE)
    document = ended_document(started, ending, cost=cost)
    if call.parent_id is not None:
        document |= {"parent_id": call.parent_id, "root_id": call.root or call.parent_id}
    return document


async def new_token(uri: str, username: str) -> str:
    """Make a token for a user."""
    database = Database.connect(uri, NAME)
    try:
        _, text = await Identities(database, now=now, monotonic=monotonic).create_token(username)
        return text
    finally:
        database.close()
