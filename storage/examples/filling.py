"""Writes what is invented: people first, then day by day their calls, made of the same parts as those that a server records."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from random import Random
from typing import Any, Final, TypeAlias
from uuid import UUID

from bson.decimal128 import Decimal128
from pymongo import InsertOne, ReplaceOne

from storage.aggregation.refusal_recorder import RefusalRecorder
from storage.costs.prices import Prices
from storage.examples.days import calls_of, refusals_of
from storage.examples.documents import ID, RANGE, Examples, ExampleState
from storage.examples.ids import example_id
from storage.examples.people import (
    company_of,
    group_documents,
    names_of,
    policy_documents,
    token_documents,
    user_documents,
)
from storage.examples.sessions import Call
from storage.mongo.database import Collection, Database, Session
from storage.mongo.indexes import ANY_CASE
from storage.recording.charged import charged
from storage.recording.documents import ending_fields, start_document

WRITE_SECONDS: Final = 30.0
"""How long the database may take for the calls of a day."""

_PROVIDERS: Final = {
    "anthropic": ("anthropic", "https://api.anthropic.com/"),
    "openai": ("openai", "https://api.openai.com/v1/"),
    "gemini": ("gemini", "https://generativelanguage.googleapis.com/"),
}
_TAKE: Final = "take what is invented"

_Writes: TypeAlias = tuple[Collection, Sequence[InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]]]]
"""Documents for a collection."""


class _LostError(Exception):
    """Another process does the work now."""


class Filling:
    """Fills a database.

    Documents and progress are written in one transaction, so nothing is written twice, or after a removal.
    """

    def __init__(self, database: Database, *, holder: UUID) -> None:
        self._database = database
        self._holder = holder
        self._prices: Prices | None = None

    async def add_day(self, examples: Examples) -> None:
        """Write the calls of the next day, with the first one people, and then its refusals.

        Refusals have no transaction: a process that is killed here leaves those of a day out.
        """
        day = first_day(examples) + timedelta(days=examples.days)
        calls, uses = await asyncio.to_thread(self._documents, examples, day)
        people = await self._people(examples) if examples.days == 0 else []
        done = {"days": examples.days + 1, "calls": examples.calls + len(calls)}
        latest = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in uses]
        database = self._database
        if await self._write(
            examples, done, [*people, (database.interceptions, _new(calls)), (database.token_uses, latest)]
        ):
            await self._refuse(examples, day)

    async def add_policies(self, examples: Examples) -> bool:
        """Write the policies, whose budget depends on what was spent, as the last; say whether it was this process's to do."""
        company, until = company_of(examples.seed), examples.until
        month = until.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        group_id = next(iter(company.groups.values()))
        spent: list[dict[str, Any]] = [
            {"$match": {"_id": dict(RANGE), "started_at": {"$gte": month}, "group_ids": group_id}},
            {"$group": {"_id": None, "usd": {"$sum": "$cost.usd"}}},
        ]
        async with self._database.within(WRITE_SECONDS, _TAKE):
            sums = await self._database.interceptions.aggregate(spent).to_list(1)
            groups = await self._database.groups.find({"_id": dict(RANGE)}).to_list(None)
        usd = sums[0]["usd"] if sums else 0
        dollars = int(usd.to_decimal()) if isinstance(usd, Decimal128) else 0
        policies = policy_documents(company, dollars, names_of(groups), until)
        ended = {"state": ExampleState.FILLED.value, "lease_until": None}
        return await self._write(examples, ended, [(self._database.policies, _new(policies))])

    async def _people(self, examples: Examples) -> list[_Writes]:
        """Create users, groups, and tokens that cannot be used. Existing users keep their names."""
        company, database = company_of(examples.seed), self._database
        begin = datetime.combine(first_day(examples), time(), UTC)
        users = user_documents(company, begin)
        real: dict[str, Any] = {"removed_at": None, "_id": {"$not": dict(RANGE)}}
        same = {**real, "username": {"$in": [one["username"] for one in users]}}
        async with database.within(WRITE_SECONDS, _TAKE):
            taken = {one["name"].lower() async for one in database.groups.find(real, {"name": True})}
            namesakes = {one["username"].lower() async for one in database.users.find(same, collation=ANY_CASE)}
        return [
            (database.groups, _new(group_documents(company, taken, begin))),
            (database.users, _new(one for one in users if one["username"] not in namesakes)),
            (database.tokens, _new(token_documents(company, begin))),
        ]

    async def _write(self, examples: Examples, done: Mapping[str, Any], writes: Sequence[_Writes]) -> bool:
        """Write all of this and how far the work is; nothing of it, and False, if it is not this process's any more."""
        ours = {"_id": ID, "state": ExampleState.FILLING.value, "holder": self._holder, "days": examples.days}

        async def write(session: Session | None) -> None:
            if await self._database.examples.find_one(ours, session=session) is None:
                raise _LostError
            for collection, changes in writes:
                if changes:
                    await collection.bulk_write(changes, ordered=False, session=session)
            # Last, so that a removal hardly has to wait.
            await self._database.examples.update_one(ours, {"$set": dict(done)}, session=session)

        try:
            async with self._database.within(WRITE_SECONDS, _TAKE):
                await self._database.together(write)
        except _LostError:
            return False
        return True

    def _documents(self, examples: Examples, day: date) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Make the documents of the calls of a day, and of the last uses of tokens."""
        company, until = company_of(examples.seed), examples.until
        self._prices = self._prices or Prices(_PROVIDERS)
        calls = calls_of(company, examples.seed, day, until)
        documents = list(_recorded(self._prices, calls, Random(f"{examples.seed} {day} ids")))
        latest = {call.start.api_key_id: call for call in calls}
        uses = [
            {
                "_id": token_id,
                "schema_version": 1,
                "user_id": call.start.initiator_id,
                "at": call.ending.ended_at,
                "client": call.start.client,
                "client_ip": "192.0.2.1",
            }
            for token_id, call in latest.items()
        ]
        return documents, uses

    async def _refuse(self, examples: Examples, day: date) -> None:
        at: list[datetime] = []
        recorder = RefusalRecorder(self._database, now=lambda: at[-1])
        until = examples.until
        for refused in refusals_of(company_of(examples.seed), examples.seed, day, until):
            at.append(refused.at)
            recorder.note(refused.refusal)
        await recorder.flush()


def first_day(examples: Examples) -> date:
    """The first day of the invented calls."""
    return examples.until.date() - timedelta(days=examples.total - 1)


def _recorded(prices: Prices, calls: Iterable[Call], random: Random) -> Iterable[dict[str, Any]]:
    """The documents of calls that have ended, in the state in which a server leaves them.

    Which call a tool result belongs to is known here, so nobody has to look for it.
    """
    instance, new_id = example_id(random), partial(example_id, random)
    documents: dict[UUID, dict[str, Any]] = {}
    waiting: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for start, ending, root, parent_id in calls:
        usages = ending.reading.token_usages
        cost = prices.cost(start.provider_name, start.model, usages, start.started_at) if usages else None
        document = start_document(start, instance_id=instance, new_id=new_id)
        document |= ending_fields(ending, new_id=new_id, cost=cost)
        document["charged"] = charged(start, ending, cost)
        document.pop("unlinked", None)
        if parent_id is not None:
            document |= {"parent_id": parent_id, "root_id": root or parent_id}
            waiting[parent_id] += document.get("tool_results", [])
        documents[start.id] = document
    for id_, results in waiting.items():
        given = {one["id"]: {"bytes": one["bytes"], "is_error": one["is_error"]} for one in results}
        for usage in documents[id_]["tool_usages"] if id_ in documents else ():
            if usage["provider_tool_call_id"] in given:
                usage["result"] = given[usage["provider_tool_call_id"]]
    return documents.values()


def _new(documents: Iterable[dict[str, Any]]) -> list[InsertOne[dict[str, Any]]]:
    return [InsertOne(one) for one in documents]
