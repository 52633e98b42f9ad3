"""What there is to see of shared admission: how much is used, and what each process says of itself.

A process reports with every heartbeat. Its report is gone when its leases are over, or when it takes its leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest, nsmallest
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

from pymongo import DESCENDING

from storage.admission.ledger import SERVER, Document, Rate, RateLimit, Used, ledger_of_user, usage
from storage.mongo.database import Collection

LEDGERS_LOOKED_AT = 1000
"""Of how many ledgers, those that matter longest, usage is told."""


class SharedUsage(NamedTuple):
    """What all processes together use: slots; slots by user; what is left of a rate, by key and by user."""

    slots: int
    users: Mapping[str, int]
    rates: Mapping[str, Rate]
    user_rates: Mapping[str, Rate]


class AdmissionReports:
    """Reports and usage in a collection of ledgers. What the driver raises is passed on.

    Args:
        admissions: The collection.
        process: Whose reports are published.
        lease_ms: How long a report is believed, in milliseconds.
    """

    def __init__(self, admissions: Collection, *, process: UUID, lease_ms: int) -> None:
        self._admissions = admissions
        self._id = f"process:{process}"
        self._lease_ms = lease_ms

    async def publish(self, report: Document) -> None:
        """Replace this process's report."""
        said = {"report": {"$literal": report}, "expires_at": {"$add": ["$$NOW", self._lease_ms]}}
        await self._admissions.update_one({"_id": self._id}, [{"$set": said}], upsert=True)

    async def withdraw(self) -> None:
        """Take this process's report away."""
        await self._admissions.delete_one({"_id": self._id})

    async def of_others(self) -> list[Document]:
        """What the other living processes said last."""
        living = {"_id": {"$regex": "^process:", "$ne": self._id}, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
        return [document["report"] async for document in self._admissions.find(living)]

    async def usage(self, rate: RateLimit | None, user_rate: RateLimit | None, most: int) -> SharedUsage:
        """How much is used; of users and rate keys the `most` that use most, most first."""
        server = await self._look({"_id": SERVER}, usage(None))
        others = await self._look({"_id": {"$ne": SERVER}, "shares": {"$exists": True}}, usage(rate, user_rate))
        users = {_user(ledger["_id"]): ledger["slots"] for ledger in others if ledger["slots"]}
        of_users = _rates(others, "user_rates", user_rate)
        return SharedUsage(
            slots=sum(ledger["slots"] for ledger in server),
            users=dict(nlargest(most, users.items(), key=itemgetter(1))),
            rates=_least_left(_rates(others, "rates", rate), most),
            user_rates=_least_left({_user(key): left for key, left in of_users.items()}, most),
        )

    async def _look(self, which: Document, projection: Document) -> Sequence[Document]:
        ledgers: list[Document] = [
            {"$match": which},
            {"$sort": {"expires_at": DESCENDING}},
            {"$limit": LEDGERS_LOOKED_AT},
        ]
        return await self._admissions.aggregate([*ledgers, {"$project": projection}]).to_list(None)


def _user(ledger: str) -> str:
    return ledger.removeprefix(ledger_of_user(""))


def _rates(ledgers: Iterable[Document], name: str, limit: RateLimit | None) -> dict[str, Rate]:
    """What is left of each rate that is used at all, by key."""
    return {
        one["key"]: Used(one["used"], one["next_at"], one.get("last_at")).rate(limit, ledger["now"])
        for ledger in ledgers
        for one in ledger.get(name) or ()
        if limit is not None and one["used"]
    }


def _least_left(rates: Mapping[str, Rate], most: int) -> dict[str, Rate]:
    return dict(nsmallest(most, rates.items(), key=lambda item: item[1].remaining))
