"""What there is to see of shared admission: how much is used, and what each process says of itself.

A process reports with every heartbeat. Its report is gone when its leases are over, or when it takes its leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nlargest
from typing import NamedTuple
from uuid import UUID

from pymongo import DESCENDING

from storage.database import Collection
from storage.ledger import SERVER, Document, Rate, RateLimit, Ruling, ledger_of_user, usage

LEDGERS_LOOKED_AT = 1000
"""Of how many ledgers, those that matter longest, usage is told."""


class SharedUsage(NamedTuple):
    """What all processes together use: slots; slots by user; what is left of a rate, by key."""

    slots: int
    users: Mapping[str, int]
    rates: Mapping[str, Rate]


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

    async def usage(self, rate: RateLimit | None, most: int) -> SharedUsage:
        """How much is used; of users and rate keys the `most` that use most, most first."""
        server = await self._look({"_id": SERVER}, None)
        others = await self._look({"_id": {"$ne": SERVER}, "shares": {"$exists": True}}, rate)
        users = {ledger["_id"]: ledger["slots"] for ledger in others if ledger["slots"]}
        rates = {
            one.pop("key"): Ruling(number=0, granted=0, free=0, now=ledger["now"], **one).rate(rate, 0)
            for ledger in others
            for one in ledger.get("rates") or ()
            if rate is not None and one["used"]
        }
        return SharedUsage(
            slots=sum(ledger["slots"] for ledger in server),
            users={
                user.removeprefix(ledger_of_user("")): slots
                for user, slots in nlargest(most, users.items(), key=lambda item: item[1])
            },
            rates=dict(nlargest(most, rates.items(), key=lambda item: -item[1].remaining)),
        )

    async def _look(self, which: Document, rate: RateLimit | None) -> Sequence[Document]:
        ledgers: list[Document] = [
            {"$match": which},
            {"$sort": {"expires_at": DESCENDING}},
            {"$limit": LEDGERS_LOOKED_AT},
        ]
        return await self._admissions.aggregate([*ledgers, {"$project": usage(rate)}]).to_list(None)
