"""Writes the outbox to the database, which may be quick, slow or unavailable.

One task alone writes. Operations that arrive while it writes a batch are the next batch: each waits for about one
round trip, however many there are. A database that does not answer in time counts as unavailable: from then on
everything goes to the spool, and the task keeps trying. When the database is back, the task writes a batch from memory
and one from the spool alternately.

Any operation may be written twice, which does no harm (see `storage.recording.operations`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator

from bson.errors import BSONError

from storage.mongo.database import Database, DatabaseUnavailableError
from storage.recording.operations import Operation
from storage.recording.outbox.batch import RejectedWrite, write_batch
from storage.recording.outbox.outbox import Outbox, State
from storage.recording.outbox.tail import BATCH_RECORDS

COMMIT_SECONDS = 2.0
"""How long the database may take for operations that callers wait for; half a second later it counts as unavailable."""

REPLAY_SECONDS = 10.0
"""How long the database may take for operations that nobody waits for."""

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 2.0
"""The first and the longest pause between tries to reach a database; each is twice the one before."""

_log = logging.getLogger(__name__)


class Writer:
    """The task that writes an outbox, from now on until `close`. What an earlier process left in the spool is written, too."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self._task = asyncio.create_task(self._run())  # noqa: TID251 - outlives whatever it meets, and says so

    async def close(self, seconds: float) -> None:
        """Stop when everything is in the database or after some seconds; the spool has the rest, and is closed."""
        if self._outbox.state is State.WRITING:
            await self._outbox.flush(seconds)
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._outbox.close()

    async def _run(self) -> None:
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                await self._step()
            except DatabaseUnavailableError as error:
                self._mark_unavailable(str(error))
            except Exception as error:  # noqa: BLE001 - this task must outlive whatever it meets
                _log.exception("records cannot be written")
                self._mark_unavailable(type(error).__name__)
            if self._outbox.state is State.WRITING:
                pause = FIRST_RETRY_SECONDS
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_RETRY_SECONDS)

    async def _step(self) -> None:
        if self._outbox.state is State.WRITING:
            await self._outbox.wait_for_writes()
        await self._write_tail()
        await self._write_file()
        if self._outbox.state is State.SPOOLING:
            if not await self._database.health.check():
                raise DatabaseUnavailableError("MongoDB does not answer")
            self._mark_available()

    async def _write_tail(self) -> None:
        rejected = await self._write(self._outbox.next_batch(), COMMIT_SECONDS)
        self._outbox.acknowledge({operation for operation, _ in rejected})

    async def _write_file(self) -> None:
        """Write the oldest file that is in the spool alone; between its batches, what is in memory."""
        if (found := await self._outbox.read()) is None:
            return
        file, records = found
        for first in range(0, len(records), BATCH_RECORDS):
            seconds = COMMIT_SECONDS if self._outbox.state is State.WRITING else REPLAY_SECONDS
            await self._write(list(_decoded(records[first : first + BATCH_RECORDS])), seconds)
            await self._write_tail()
        self._outbox.acknowledge_file(file)

    async def _write(self, operations: list[Operation], seconds: float) -> list[RejectedWrite]:
        if not operations:
            return []
        rejected = await write_batch(self._database, operations, seconds=seconds)
        for operation, code in rejected:
            _log.error("MongoDB refuses the %s of interception %s: error %d", operation.action, operation.id, code)
        self._mark_available()
        return rejected

    def _mark_unavailable(self, reason: str) -> None:
        if self._outbox.state is State.WRITING:
            _log.warning("records wait: %s", reason)
        self._outbox.mark_unavailable()

    def _mark_available(self) -> None:
        if self._outbox.state is State.SPOOLING:
            _log.info("the database is back; records in the spool: %d", self._outbox.spooled)
            self._outbox.mark_available()


def _decoded(records: Iterable[bytes]) -> Iterator[Operation]:
    for record in records:
        try:
            yield Operation.decode(record)
        except (BSONError, ValueError):
            _log.error("a record of the spool is not one of this version; it is left out")
