"""Writes what is invented: people first, then day by day their calls, made of the same parts as those that a server records."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from bson.decimal128 import Decimal128
from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from storage.aggregation.refusal_recorder import RefusalRecorder
from storage.examples.days import calls_of, refusals_of
from storage.examples.documents import RANGE, Examples
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
from storage.mongo.database import Collection, Database
from storage.recording.documents import ending_fields, start_document
from storage.recording.prices import Prices

WRITE_SECONDS: Final = 30.0
"""How long the database may take for the calls of a day."""

_PROVIDERS: Final = {
    "anthropic": ("anthropic", "https://api.anthropic.com/"),
    "openai": ("openai", "https://api.openai.com/v1/"),
    "gemini": ("gemini", "https://generativelanguage.googleapis.com/"),
}
_DUPLICATE_KEY: Final = 11000


class Filling:
    """Fills a database. Whatever is done again changes nothing.

    Args:
        database: Where it is written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._prices: Prices | None = None

    async def add_people(self, examples: Examples) -> None:
        """Write users, groups, and tokens that nobody can use."""
        company, at = company_of(examples.seed), first_day(examples)
        begin = datetime.combine(at, time(), UTC)
        async with self._database.within(WRITE_SECONDS, "take what is invented"):
            real = {"removed_at": None, "_id": {"$not": dict(RANGE)}}
            taken = {one["name"].lower() async for one in self._database.groups.find(real, {"name": True})}
            await _insert(self._database.groups, group_documents(company, taken, begin))
            await _insert(self._database.users, user_documents(company, begin))
            await _insert(self._database.tokens, token_documents(company, begin))

    async def add_day(self, examples: Examples) -> int:
        """Write the calls and refusals of the next day; return how many calls there are."""
        day = first_day(examples) + timedelta(days=examples.days)
        documents, uses = await asyncio.to_thread(self._documents, examples, day)
        async with self._database.within(WRITE_SECONDS, "take what is invented"):
            await _insert(self._database.interceptions, documents)
            if uses:
                latest = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in uses]
                await self._database.token_uses.bulk_write(latest, ordered=False)
        await self._refuse(examples, day)
        return len(documents)

    async def add_policies(self, examples: Examples) -> None:
        """Write the policies, whose budget depends on what was spent."""
        company, until = company_of(examples.seed), examples.until
        month = until.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        group_id = next(iter(company.groups.values()))
        spent: list[dict[str, Any]] = [
            {"$match": {"_id": dict(RANGE), "started_at": {"$gte": month}, "group_ids": group_id}},
            {"$group": {"_id": None, "usd": {"$sum": "$cost.usd"}}},
        ]
        async with self._database.within(WRITE_SECONDS, "take what is invented"):
            sums = await self._database.interceptions.aggregate(spent).to_list(1)
            groups = await self._database.groups.find({"_id": dict(RANGE)}).to_list(None)
            usd = sums[0]["usd"] if sums else 0
            dollars = int(usd.to_decimal()) if isinstance(usd, Decimal128) else 0
            await _insert(self._database.policies, policy_documents(company, dollars, names_of(groups), until))

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
    """The day on which what is invented begins."""
    return examples.until.date() - timedelta(days=examples.total - 1)


def _recorded(prices: Prices, calls: Iterable[Call], random: Random) -> Iterable[dict[str, Any]]:
    """The documents of calls that have ended, in the state in which a server leaves them.

    Which call a tool result belongs to is known here, so nobody has to look for it.
    """
    instance = example_id(random)

    def new_id() -> UUID:
        return example_id(random)

    documents: dict[UUID, dict[str, Any]] = {}
    waiting: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for start, ending, root, answers in calls:
        usages = ending.reading.token_usages
        cost = prices.cost(start.provider_name, start.model, usages, start.started_at) if usages else None
        document = start_document(start, instance_id=instance, new_id=new_id)
        document |= ending_fields(ending, new_id=new_id, cost=cost)
        document.pop("unlinked", None)
        if answers is not None:
            document |= {"parent_id": answers, "root_id": root or answers}
            waiting[answers] += document.get("tool_results", [])
        documents[start.id] = document
    for id_, results in waiting.items():
        given = {one["id"]: {"bytes": one["bytes"], "is_error": one["is_error"]} for one in results}
        for usage in documents[id_]["tool_usages"] if id_ in documents else ():
            if usage["provider_tool_call_id"] in given:
                usage["result"] = given[usage["provider_tool_call_id"]]
    return documents.values()


async def _insert(collection: Collection, documents: list[dict[str, Any]]) -> None:
    """Write documents; those that are there stay."""
    if not documents:
        return
    try:
        await collection.bulk_write([InsertOne(one) for one in documents], ordered=False)
    except BulkWriteError as error:
        if any(one["code"] != _DUPLICATE_KEY for one in (error.details or {}).get("writeErrors", [])):
            raise
