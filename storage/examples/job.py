"""The job that fills a database with the invented company, and removes it. One process at a time has it, by a lease."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

from pymongo import ReturnDocument

from storage.aggregation.job import ExactlyOnceJob
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.sessions.session_job import SessionJob
from storage.examples.documents import ACTIVE, ID, RANGE, Examples, ExampleState, read_examples
from storage.examples.filling import Filling
from storage.examples.removal import STEP_SECONDS, Removal
from storage.mongo.clocks import Now, Pause
from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.errors import DatabaseRefusalError
from storage.mongo.indexes import UNCOUNTED, UNGROUPED, UNINDEXED
from storage.search.job import SearchJob

IDLE_SECONDS: Final = 2.0
"""Time between two checks for work."""

STEP_PAUSE_SECONDS: Final = 0.01
"""From one step to the next, so that calls come first."""

LEASE_SECONDS: Final = 60.0
"""How long a process has the work after its last step."""

_MARKS: Final = (("uncounted", UNCOUNTED), ("ungrouped", UNGROUPED), ("unindexed", UNINDEXED))

_log = logging.getLogger(__name__)


class ExampleJob:
    """Fills and removes the invented company of a database, as requested."""

    def __init__(self, database: Database, *, holder: UUID, now: Now, pause: Pause = asyncio.sleep) -> None:
        self._database = database
        self._holder = holder
        self._now = now
        self._pause = pause
        self._filling = Filling(database, holder=holder)
        self._removal = Removal(database, now=now)
        self._aggregation_jobs: tuple[ExactlyOnceJob, ...] = (
            RollupJob(database, now=now),
            SessionJob(database),
            SearchJob(database),
        )

    async def run(self) -> None:
        """Do requested work, until cancelled."""
        while True:
            await self._database.health.wait_until_back()
            seconds = IDLE_SECONDS
            try:
                if await self.step():
                    seconds = STEP_PAUSE_SECONDS
            except DatabaseUnavailableError as error:
                if isinstance(error, DatabaseRefusalError):
                    _log.warning("the invented company waits: %s", error)
            await self._pause(seconds)

    async def step(self) -> bool:
        """Do a step of the work, if there is any; say whether there may be more. Raises `DatabaseUnavailableError`."""
        examples = await self._claim()
        if examples.state is ExampleState.FILLING:
            await self._fill(examples)
        elif examples.state is ExampleState.REMOVING and not await self._removal.step():
            async with self._database.within(STEP_SECONDS):
                await self._database.examples.delete_one(
                    {"_id": ID, "state": examples.state.value, "holder": self._holder}
                )
            _log.info("the invented company is removed")
        return examples.state is not ExampleState.NONE

    async def _claim(self) -> Examples:
        """Take or keep the work; return `ExampleState.NONE` where there is none for this process.

        The removal of what is filled begins before retention takes the first of its calls.
        """
        now = self._now()
        free = {"$or": [{"holder": self._holder}, {"lease_until": None}, {"lease_until": {"$lt": now}}]}
        over = {"state": ExampleState.FILLED.value, "expires_at": {"$lte": now}}
        state = {"$cond": [{"$eq": ["$state", over["state"]]}, ExampleState.REMOVING.value, "$state"]}
        lease = {"holder": self._holder, "lease_until": now + timedelta(seconds=LEASE_SECONDS)}
        async with self._database.within(STEP_SECONDS):
            document = await self._database.examples.find_one_and_update(
                {"_id": ID, "$or": [{"state": {"$in": ACTIVE}, **free}, over]},
                [{"$set": {"state": state, **lease}}],
                return_document=ReturnDocument.AFTER,
            )
        return read_examples(document)

    async def _fill(self, examples: Examples) -> None:
        if examples.days < examples.total:
            await self._filling.add_day(examples)
            return
        for job in self._aggregation_jobs:
            await job.add_pending()
        if await self._is_behind():
            return
        if await self._filling.add_policies(examples):
            _log.info("the invented company is there: calls=%d", examples.calls)

    async def _is_behind(self) -> bool:
        async with self._database.within(STEP_SECONDS):
            for mark, index in _MARKS:
                waiting = {mark: {"$exists": True}, "_id": dict(RANGE)}
                if await self._database.interceptions.find_one(waiting, {"_id": True}, hint=list(index)) is not None:
                    return True
        return False
