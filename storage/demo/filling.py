"""Fills the database of the demo company: accounts by the operations that make real ones, calls as a server records them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from operator import itemgetter
from random import Random
from time import monotonic
from typing import Any, Final, NamedTuple
from uuid import UUID

from intercept.refusals import Refusal
from limits.policies.compiled import Level
from limits.policies.policy import Budget, Models, PolicyLimits, Rate, SharedLimits, SharedPolicy
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.token_uses import TokenUses
from storage.accounts.users import Identity, Role, User
from storage.demo.company import BUDGETED_TEAM, DOMAIN, LIMITED_TEAM, RESTRICTED_TEAM, company
from storage.demo.sessions import InventedCall, InventedPerson, calls_of, new_id, refusals_of
from storage.derived.refusal_recorder import RefusalRecorder
from storage.mongo.database import Database
from storage.policies.store import PolicyStore
from storage.prices.own_prices import OwnPrice
from storage.prices.pricing import Prices
from storage.prices.store import PriceStore
from storage.recording.documents import ended_document, start_document

WRITE_SECONDS: Final = 30.0
"""How long the database may take for the calls of a day."""

PROVIDERS: Final = {
    "anthropic": ("anthropic", "https://api.anthropic.com/"),
    "openai": ("openai", "https://api.openai.com/v1/"),
    "gemini": ("gemini", "https://generativelanguage.googleapis.com/"),
}
"""What of each provider its list prices are found by."""

_SEED: Final = 1
_TAKE: Final = "take the demo company"


class _Day(NamedTuple):
    documents: list[dict[str, Any]]
    calls: list[InventedCall]
    refused: list[tuple[datetime, Refusal]]


class Filling:
    """Fills a database that is empty but for its indexes.

    Args:
        until: When the last calls end.
        days: How many days there are, that one included.
    """

    def __init__(self, database: Database, *, until: datetime, days: int) -> None:
        self._database = database
        self._until = until
        self._first = until.date() - timedelta(days=days - 1)
        self._random = Random(_SEED)
        self._company = company()
        self._prices = Prices(PROVIDERS)
        self._begin = begin = datetime.combine(self._first, time(), UTC)
        self._identities = Identities(database, now=lambda: begin, monotonic=monotonic)
        self._groups = Groups(database, self._identities, now=lambda: begin)
        self._at = begin
        self._refusals = RefusalRecorder(database, now=lambda: self._at)
        self._uses = TokenUses(database, now=lambda: self._at, monotonic=monotonic)
        self._people: list[InventedPerson] = []
        self._users: dict[str, User] = {}
        self._last: dict[str, InventedCall] = {}
        self._spent = Decimal(0)

    async def add_people(self) -> None:
        """Make groups, users and their tokens, which nobody knows, and an own price."""
        roles = {self._company.auditor: Role.AUDITOR, self._company.reader: Role.READER}
        for name, team in self._company.teams.items():
            group = await self._groups.add(name, display_name=name.capitalize())
            users = [
                await self._identities.add_user(
                    f"{full_name.partition(' ')[0].lower()}@{DOMAIN}",
                    role=roles.get(full_name, Role.MEMBER),
                    name=full_name,
                )
                for full_name in team.people
            ]
            await self._groups.add_members(name, [user.username for user in users])
            for user in users:
                token, _ = await self._identities.create_token(user.username, name="laptop")
                self._people.append(InventedPerson(user.id, name, group.id, token.id))
                self._users[token.id] = user
        price = OwnPrice("openai", "gpt-5-mini", self._begin, Decimal("0.20"), Decimal("1.60"))
        await PriceStore(self._database, now=lambda: self._at).change(lambda _: [price])
        self._prices.set_own([price])

    async def add_day(self, number: int) -> int:
        """Write the calls and refusals of a day, the first of which is 1; return how many calls there are."""
        day = await asyncio.to_thread(self._make, self._first + timedelta(days=number - 1))
        if day.documents:
            async with self._database.within(WRITE_SECONDS, _TAKE):
                await self._database.interceptions.insert_many(day.documents, ordered=False)
        for self._at, refusal in day.refused:
            self._refusals.note(refusal)
        await self._refusals.flush()
        self._last |= {call.start.api_key_id: call for call in day.calls}
        return len(day.calls)

    async def add_policies(self) -> None:
        """Make policies, one with a budget of which most is spent, and say when each token was used last."""
        policies = PolicyStore(self._database, self._identities, self._groups, now=lambda: self._until)
        budget = Budget(max(round(float(self._spent) / 0.93, 2), 1), "month")
        for team, policy in {
            BUDGETED_TEAM: SharedPolicy(limits=SharedLimits(together=PolicyLimits(budget=budget))),
            LIMITED_TEAM: SharedPolicy(
                limits=SharedLimits(each_member=PolicyLimits(rate=Rate(60, "1m"), concurrency=8))
            ),
            RESTRICTED_TEAM: SharedPolicy(models=Models(deny=[self._company.restricted])),
        }.items():
            await policies.change(Level.GROUP, team, partial(_replaced, policy))
        for token_id, call in self._last.items():
            self._at = call.ending.ended_at
            identity = Identity(user=self._users[token_id], token_id=token_id)
            self._uses.note(identity, partial(_client_of, call))
        await self._uses.flush()

    def _make(self, day: date) -> _Day:
        company, people, random, until = self._company, self._people, self._random, self._until
        calls = calls_of(company, people, random, day, until)
        documents = list(self._documents(calls))
        return _Day(documents, calls, sorted(refusals_of(company, people, random, day, until), key=itemgetter(0)))

    def _documents(self, calls: Iterable[InventedCall]) -> Iterable[dict[str, Any]]:
        """Make the documents of calls that have ended.

        Which call the result of a tool belongs to is known here, so nobody has to look for it.
        """
        month = self._until.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        instance = new_id(self._random)
        documents: dict[UUID, dict[str, Any]] = {}
        waiting: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
        teams = {person.id: person.team for person in self._people}
        for start, ending, root, parent_id in calls:
            usages = ending.reading.token_usages
            cost = self._prices.cost(start.provider_name, start.model, usages, start.started_at) if usages else None
            document = start_document(start, instance_id=instance)
            document = ended_document(document, ending, cost=cost)
            if parent_id is not None:
                document |= {"parent_id": parent_id, "root_id": root or parent_id}
                waiting[parent_id] += document.get("tool_results", [])
            if cost is not None and start.started_at >= month and teams[start.initiator_id] == BUDGETED_TEAM:
                self._spent += cost.usd
            documents[start.id] = document
        for id_, results in waiting.items():
            given = {one["id"]: {"bytes": one["bytes"], "is_error": one["is_error"]} for one in results}
            for usage in documents[id_]["tool_usages"] if id_ in documents else ():
                if usage["provider_tool_call_id"] in given:
                    usage["result"] = given[usage["provider_tool_call_id"]]
        return documents.values()


def _replaced(by: SharedPolicy, _before: object) -> SharedPolicy:
    return by


def _client_of(call: InventedCall) -> tuple[str, str]:
    return call.start.client, "192.0.2.1"
