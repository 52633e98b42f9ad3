"""The way of an operation into the database, whether that is there, slow or away.

One task alone writes. Operations wait while it writes a batch, and then go together in the next one: what is waited for
takes about one round trip, however many there are. A database that does not answer counts as away: operations go to the
journal at once, and the task keeps trying to bring the journal to the database, oldest first. When the database is back,
new operations and the journal take turns.

Any operation may be written twice, which does no harm (see `storage.recording.operations`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress

from bson.errors import BSONError

from storage.mongo.database import Database, DatabaseUnavailableError
from storage.recording.backlog import Backlog, RecordPolicy
from storage.recording.batch import Refusal, write_batch
from storage.recording.entry import Entry
from storage.recording.journal import Journal
from storage.recording.operations import Operation

COMMIT_SECONDS = 2.0
"""How long the database may take for what is waited for; half a second later it counts as away."""

REPLAY_SECONDS = 10.0
"""The same for what nobody waits for."""

FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.1, 2.0
"""The first and the longest pause between tries to reach a database that is away; each is twice the one before."""

_log = logging.getLogger(__name__)


class WritePath:
    """Takes operations, on one event loop. `open` before use, `close` after.

    Args:
        database: Where they belong.
        policy: Whether the journal may have what is waited for.
        journal: Where operations wait while the database is away; closed with the path. Without it they wait in memory.
    """

    def __init__(self, database: Database, *, policy: RecordPolicy, journal: Journal | None) -> None:
        self._database = database
        self._backlog = Backlog(policy=policy, journal=journal)
        self._in_batch = 0
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to write, with what an earlier process left in the journal."""
        self._task = asyncio.create_task(self._run())  # noqa: TID251 - outlives whatever it meets, and says so

    async def write(self, operation: Operation) -> None:
        """Take an operation and return when it is durable.

        Raises:
            RecordingUnavailableError: It is not.
        """
        answer = asyncio.get_running_loop().create_future()
        self._backlog.put(Entry(operation, answer))
        if refusal := await answer:
            raise refusal

    def put(self, operation: Operation, *, optional: bool = False) -> None:
        """Take an operation. An optional one is left out when there is too much else to write."""
        self._backlog.put(Entry(operation, optional=optional))

    async def flush(self, seconds: float) -> bool:
        """Wait until everything is in the database, at most some seconds, and say whether it is."""
        self._backlog.hurry()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._backlog.idle.wait()
        return self._backlog.idle.is_set()

    async def close(self, seconds: float) -> None:
        """Stop when everything is in the database or after some seconds; the journal has the rest."""
        if not self._backlog.away:
            await self.flush(seconds)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._backlog.close()

    @property
    def queued(self) -> int:
        """How many operations wait in memory, those being written included."""
        return self._backlog.queued + self._in_batch

    @property
    def spooled(self) -> int:
        """How many operations wait in the journal."""
        return self._backlog.spooled

    @property
    def healthy(self) -> bool:
        """Whether what is waited for would be taken now, as far as is known."""
        return self._backlog.accepts

    @property
    def trouble(self) -> str:
        """What is wrong, in a phrase for the operator; empty when nothing is."""
        return "; ".join(filter(None, ["the database is away" if self._backlog.away else "", self._backlog.trouble]))

    async def _run(self) -> None:
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                await self._step()
            except DatabaseUnavailableError as error:
                self._lose_database(str(error))
            except Exception as error:  # noqa: BLE001 - this task must outlive whatever it meets
                _log.exception("records cannot be written")
                self._lose_database(type(error).__name__)
            if not self._backlog.away:
                pause = FIRST_RETRY_SECONDS
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_RETRY_SECONDS)

    async def _step(self) -> None:
        if self._backlog.due:
            await self._backlog.gather()
            await self._commit()
            await self._replay()
        elif self._backlog.away:
            await self._probe()
        else:
            self._backlog.rest()
            await self._backlog.work.wait()

    async def _commit(self) -> None:
        batch = self._backlog.take()
        self._in_batch = len(batch)
        try:
            refusals = await self._write((entry.operation for entry in batch), COMMIT_SECONDS)
        except BaseException:
            self._backlog.put_back(batch)
            raise
        finally:
            self._in_batch = 0
        refused = {operation for operation, _ in refusals}
        for entry in batch:
            if entry.operation in refused:
                self._backlog.refuse(entry, "the database refuses the record")
            else:
                self._backlog.accept(entry)

    async def _replay(self) -> None:
        operations = _decoded(await self._backlog.read_journal())
        await self._write(operations, REPLAY_SECONDS if self._backlog.away else COMMIT_SECONDS)
        await self._backlog.discard_read()

    async def _probe(self) -> None:
        if not await self._database.ping():
            raise DatabaseUnavailableError("MongoDB does not answer")
        self._find_database()

    async def _write(self, operations: Iterable[Operation], seconds: float) -> list[Refusal]:
        batch = list(operations)
        if not batch:
            return []
        refusals = await write_batch(self._database.interceptions, batch, seconds=seconds)
        for operation, code in refusals:
            _log.error("MongoDB refuses the %s of interception %s: error %d", operation.action, operation.id, code)
        self._find_database()
        return refusals

    def _lose_database(self, reason: str) -> None:
        if not self._backlog.away:
            _log.warning("the database is away: %s", reason)
        self._backlog.away = True
        self._backlog.spill()

    def _find_database(self) -> None:
        if self._backlog.away:
            _log.info("the database is back; records in the spool: %d", self.spooled)
        self._backlog.away = False


def _decoded(records: Iterable[bytes]) -> Iterator[Operation]:
    for record in records:
        try:
            yield Operation.decode(record)
        except (BSONError, ValueError):
            _log.error("a record of the spool is not one of this version; it is left out")
