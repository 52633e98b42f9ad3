"""Admission that is decided together by every process on one database.

A request waits a moment (`ANSWER_SECONDS`) at most for a decision. Without one the database counts as away: nobody asks it again
until it has answered a look in the background, and each process decides alone. What runs meanwhile is counted here too,
and written down when the database is back.

Slots are leased. A process renews its leases with every heartbeat; the slots of one that died are free when the last of
them is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pymongo
from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from storage.admission.ledger import SERVER, Ask, Document, RateLimit, Ruling, ledger_of_key, ledger_of_user, update
from storage.admission.reports import AdmissionReports, SharedUsage
from storage.admission.shared_ledger import Terms, Verdict
from storage.admission.shared_ledgers import SharedLedgers
from storage.mongo.database import Database, DatabaseUnavailableError, database_errors

ANSWER_SECONDS = 0.4
"""How long the database may take to decide."""

LEASE_SECONDS = 30.0
"""How long the slots of a process that says nothing more stay taken."""

HEARTBEAT_SECONDS = 10.0
"""From one renewal of the leases to the next."""

LOOK_SECONDS = 1.0
"""How long nobody asks a database that is away; then one look is taken, and so on."""

REPORT_SECONDS = 2.0
"""How long the database may take to tell what is used."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SharedLimits:
    """What all processes together may do; the same for each of them. 0 is off."""

    max_concurrency: int = 0
    user_max_concurrency: int = 0
    rate_limit: int = 0
    user_rate_limit: int = 0
    rate_window: timedelta = timedelta(seconds=1)


class Admissions:
    """The share of one process in the limits, on one event loop. `open` before use, `close` after.

    Args:
        database: Where the ledgers are.
        process: This process.
        limits: What is limited.
        lease: How long a lease lasts, in seconds.
        patience: How long the database may take to decide, in seconds.
        clock: Seconds that never go back.
        pause: Waits for seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        process: UUID,
        limits: SharedLimits,
        lease: float = LEASE_SECONDS,
        patience: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        window_ms = limits.rate_window // timedelta(milliseconds=1)
        lease_ms = int(lease * 1000)
        self._process = process
        self._admissions = database.admissions
        self._rate = RateLimit(limits.rate_limit, window_ms) if limits.rate_limit else None
        self._user_rate = RateLimit(limits.user_rate_limit, window_ms) if limits.user_rate_limit else None
        rates = {"rate": self._rate} if self._rate else {}
        user_rates = {"user_rate": self._user_rate} if self._user_rate else {}
        self._of_server = Terms(process, lease_ms, slots=limits.max_concurrency or None, slots_limit="concurrency")
        self._of_user = Terms(
            process,
            lease_ms,
            slots=limits.user_max_concurrency or None,
            slots_limit="user_concurrency",
            rates=rates | user_rates,
        )
        self._of_key = Terms(process, lease_ms, rates=rates)
        self._reports = AdmissionReports(database.admissions, process=process, lease_ms=lease_ms)
        self._report: Callable[[], Document] = dict
        self._patience = patience
        self._clock = clock
        self._pause = pause
        self._ledgers = SharedLedgers(self._decide)
        self._renewed_at = clock()
        self.away = False

    async def open(self, report: Callable[[], Document] = dict) -> None:
        """Publish a first heartbeat, unless the database is away. `run` does the rest.

        Args:
            report: What this process has to say of itself, as BSON can hold it; published with every heartbeat.
        """
        self._report = report
        await self._renew()

    async def close(self) -> None:
        """Withdraw, once `run` has ended. What was given back is free for the others, what was not will be when its lease is over."""
        await self._renew()
        with contextlib.suppress(DatabaseUnavailableError):
            async with self._answer_of_database():
                await self._reports.withdraw()

    async def take_slot(self) -> Verdict:
        """Take one of the server's slots."""
        return await self._ledgers.get(SERVER, self._of_server).ask()

    async def count_request(self, key: str, user_key: str | None) -> Verdict:
        """Count a request for the rates of `key` and of the user, and take one of the user's slots: all or nothing."""
        keys = () if self._rate is None else (key,)
        if user_key is not None and (self._of_user.slots is not None or self._user_rate is not None):
            name = ledger_of_user(user_key)
            return await self._ledgers.get(name, self._of_user).ask(
                *keys, *(() if self._user_rate is None else (name,))
            )
        if keys:
            return await self._ledgers.get(ledger_of_key(key), self._of_key).ask(key)
        return Verdict()

    async def usage(self, most: int) -> SharedUsage:
        """Tell what all processes together use; of users and rate keys the `most` that use most, most first.

        Raises:
            DatabaseUnavailableError: It cannot be told now.
        """
        with database_errors(), pymongo.timeout(REPORT_SECONDS):
            return await self._reports.usage(self._rate, self._user_rate, most)

    async def reports(self) -> list[Document]:
        """Tell what the other processes said of themselves with their last heartbeats.

        Raises:
            DatabaseUnavailableError: It cannot be told now.
        """
        with database_errors(), pymongo.timeout(REPORT_SECONDS):
            return await self._reports.of_others()

    async def _decide(self, asks: Mapping[str, Ask]) -> Mapping[str, Ruling]:
        if self.away:
            raise DatabaseUnavailableError("MongoDB was unavailable a moment ago")
        updates = [UpdateOne({"_id": name}, update(ask), upsert=True) for name, ask in asks.items()]
        own = {"shares": {"$elemMatch": {"process": self._process}}}
        async with self._answer_of_database():
            await self._admissions.bulk_write(updates, ordered=False)
            ledgers = await self._admissions.find({"_id": {"$in": list(asks)}}, own).to_list(None)
        rulings = {ledger["_id"]: Ruling.of(ledger["shares"][0]["ruling"]) for ledger in ledgers if "shares" in ledger}
        # An update that was given up may have been made after all, in between.
        return {name: ruling for name, ruling in rulings.items() if ruling.number == asks[name].number}

    async def run(self) -> None:
        """Renew leases, until cancelled."""
        while True:
            await self._pause(LOOK_SECONDS)
            if self.away or self._clock() - self._renewed_at >= HEARTBEAT_SECONDS:
                await self._renew()

    async def _renew(self) -> None:
        try:
            async with self._answer_of_database():
                await self._reports.publish(self._report())
        except DatabaseUnavailableError:
            return
        if self.away:
            self.away = False
            _log.info("the database is available: limits are shared again")
        self._renewed_at = self._clock()
        await self._ledgers.renew()

    @contextlib.asynccontextmanager
    async def _answer_of_database(self) -> AsyncIterator[None]:
        """Bound the wait; an answer that does not come means that the database is away.

        The driver's own bound ends its thread, but counts from when it has one.
        """
        try:
            async with asyncio.timeout(self._patience):
                with database_errors(), pymongo.timeout(self._patience):
                    yield
        except (DatabaseUnavailableError, PyMongoError, TimeoutError) as error:
            reason = str(error) if isinstance(error, DatabaseUnavailableError) else type(error).__name__
            if not self.away:
                self.away = True
                _log.warning("limits are process-local until the database is available: %s", reason)
            raise DatabaseUnavailableError(reason) from error
