"""Writes outboxes to the database, which may be quick, slow or unavailable: that of this process, and what others left.

One task alone writes. Operations that arrive while it writes a batch are the next batch: each waits for about one
round trip, however many there are. A database that does not answer in time counts as unavailable: from then on
everything goes to the spool, and the task keeps trying, with a sync of the spool between two tries. When the database is
back, the task writes a batch from memory and one from the spool alternately.

Any operation may be written twice, which does no harm (see `storage.recording.operations`).

A server of one process keeps its spool in the folder itself. Of several processes each takes the numbered folder below
it with the lowest number that is free. What a process that is gone left behind is brought to the database by the next
one that takes the same folder, or by any that looks around. Folders stay when they are empty: to remove one that another
process is just about to lock would give it a spool that is nowhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bson.errors import BSONError
from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from storage.mongo.clocks import Pause
from storage.mongo.database import Collection, Database, DatabaseUnavailableError
from storage.mongo.errors import DUPLICATE_KEY, LOSS_CODES
from storage.recording.operations import PRESUMED, RecordAction, RecordOperation
from storage.recording.outbox.outbox import BATCH_RECORDS, Outbox, OutboxState
from storage.recording.outbox.spool import SUFFIX, Spool, SpoolOpenError

# The command failed because of one of its documents, and does not say which: BadValue, FailedToParse, TypeMismatch,
# Overflow (nested too deep), InvalidBSON, BSONObjectTooLarge.
_DOCUMENT_CODES = {2, 9, 14, 15, 22, 10334}

# The server's state stopped a write: beside a loss MaxTimeMSExpired, WriteConflict, ExceededTimeLimit, Interrupted.
_STATE_CODES = LOSS_CODES | {50, 112, 262, 11601}

_Write = InsertOne[Any] | ReplaceOne[Any] | UpdateOne

RejectedWrite = tuple[RecordOperation, int]
"""An operation that the database will never take, and its error code."""


async def write_batch(
    database: Database, operations: Sequence[RecordOperation], *, seconds: float
) -> list[RejectedWrite]:
    """Write operations and wait until they are acknowledged, but not longer than `seconds` and half a second.

    One that is refused does not keep the others from being written.

    Raises:
        DatabaseUnavailableError: Not acknowledged. Any of them may have been written, or may yet be.
    """
    async with database.within(seconds, "take records"):
        return await _write(database.interceptions, operations)


async def _write(collection: Collection, operations: Sequence[RecordOperation]) -> list[RejectedWrite]:
    """Make and replace documents, then apply the last checkpoint of each call whose end is not among them."""
    ended = {operation.id for operation in operations if operation.action.ends}
    begun = {operation.id for operation in operations if operation.action is RecordAction.START}
    starts = [
        operation for operation in operations if operation.action is RecordAction.START and operation.id not in ended
    ]
    ends = [operation for operation in operations if operation.action.ends]
    quick = [operation for operation in ends if operation.id in begun]
    slow = [operation for operation in ends if operation.id not in begun]
    checkpoints = {one.id: one for one in operations if one.action is RecordAction.CHECKPOINT and one.id not in ended}

    rejected, existing = await _send(collection, [(one, one.insertion) for one in (*starts, *quick)])
    again = [operation for operation in existing if operation.action.ends]
    refused, existing = await _send(collection, [(one, one.replacement) for one in (*again, *slow)])
    rejected += refused
    changes = [(operation, operation.change) for operation in checkpoints.values()]
    for operation in existing:
        if operation.action is RecordAction.END:
            before = await collection.find_one({"_id": operation.id, **PRESUMED})
            if before is not None:
                changes.append((operation, operation.correction(before)))
    refused, _ = await _send(collection, changes)
    return rejected + refused


async def _send(
    collection: Collection, writes: Sequence[tuple[RecordOperation, _Write]]
) -> tuple[list[RejectedWrite], list[RecordOperation]]:
    """Send writes in any order; return those that are rejected, and the operations whose document exists already."""
    if not writes:
        return [], []
    try:
        await collection.bulk_write([write for _, write in writes], ordered=False)
    except BulkWriteError as error:
        failures = [(writes[index][0], code) for index, code in _failures(error.details)]
        rejected = [failure for failure in failures if failure[1] != DUPLICATE_KEY]
        return rejected, [operation for operation, code in failures if code == DUPLICATE_KEY]
    except OperationFailure as error:
        if error.code not in _DOCUMENT_CODES:
            raise
        if len(writes) == 1:
            return [(writes[0][0], error.code)], []
        half = len(writes) // 2
        first, second = await _send(collection, writes[:half]), await _send(collection, writes[half:])
        return first[0] + second[0], first[1] + second[1]
    return [], []


def _failures(details: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Find the writes that failed and their error codes.

    Raises:
        DatabaseUnavailableError: It was the server's state that stopped one.
    """
    for failure in [*details["writeConcernErrors"], *details["writeErrors"]]:
        if details["writeConcernErrors"] or failure["code"] in _STATE_CODES:
            raise DatabaseUnavailableError(f"MongoDB does not take records: error {failure['code']}")
        yield failure["index"], failure["code"]


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
        if self._outbox.state is OutboxState.WRITING:
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
            if self._outbox.state is OutboxState.WRITING:
                pause = FIRST_RETRY_SECONDS
                continue
            await self._outbox.sync()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_RETRY_SECONDS)

    async def _step(self) -> None:
        if self._outbox.state is OutboxState.WRITING:
            await self._outbox.wait_for_writes()
        await self._write_tail()
        await self._write_file()
        if self._outbox.state is OutboxState.SPOOLING:
            if not await self._database.health.check():
                raise DatabaseUnavailableError("MongoDB does not answer")
            self._mark_available()

    async def _write_tail(self) -> None:
        rejected = await self._write(self._outbox.next_batch(), COMMIT_SECONDS)
        self._outbox.acknowledge({operation for operation, _ in rejected})

    async def _write_file(self) -> None:
        """Write the oldest file that is in the spool alone; between its batches, what is in memory."""
        if (found := await self._outbox.spool.read()) is None:
            return
        file, records = found
        for first in range(0, len(records), BATCH_RECORDS):
            seconds = COMMIT_SECONDS if self._outbox.state is OutboxState.WRITING else REPLAY_SECONDS
            await self._write(list(_decoded(records[first : first + BATCH_RECORDS])), seconds)
            await self._write_tail()
        self._outbox.spool.finish(file)

    async def _write(self, operations: list[RecordOperation], seconds: float) -> list[RejectedWrite]:
        if not operations:
            return []
        rejected = await write_batch(self._database, operations, seconds=seconds)
        for operation, code in rejected:
            _log.error("MongoDB refuses the %s of interception %s: error %d", operation.action, operation.id, code)
        self._mark_available()
        return rejected

    def _mark_unavailable(self, reason: str) -> None:
        if self._outbox.state is OutboxState.WRITING:
            _log.warning("records wait: %s", reason)
        self._outbox.mark_unavailable()

    def _mark_available(self) -> None:
        if self._outbox.state is OutboxState.SPOOLING:
            _log.info("the database is back; records in the spool: %d", self._outbox.spool.records)
            self._outbox.mark_available()


def _decoded(records: Iterable[bytes]) -> Iterator[RecordOperation]:
    for record in records:
        try:
            yield RecordOperation.decode(record)
        except (BSONError, ValueError):
            _log.error("a record of the spool is not one of this version; it is left out")


SCAN_SECONDS = 30.0
"""From one scan for records that other processes left to the next."""


async def adopt(folder: Path, database: Database, *, pause: Pause = asyncio.sleep) -> None:
    """Write the records that exited processes left in or below a folder to the database, every `SCAN_SECONDS`, until cancelled.

    Any number of processes may do this at the same time.
    """
    while True:
        for spool_folder in _with_records(folder):
            await _write_to_database(spool_folder, database)
        await pause(SCAN_SECONDS)


def _with_records(folder: Path) -> list[Path]:
    return [one for one in (folder, *folder.glob("[0-9]*/")) if any(one.glob("*" + SUFFIX))]


async def _write_to_database(folder: Path, database: Database) -> None:
    """Write a spool to the database and wait for that, unless a process has it."""
    try:
        spool = await asyncio.to_thread(Spool, folder)  # it reads every file
    except SpoolOpenError:
        return
    except OSError as error:
        _log.warning("records in %s cannot be read: %s", folder, error.strerror)
        return
    _log.info("records that a process left behind: %d, in %s", spool.records, folder)
    outbox = Outbox(spool)
    writer = Writer(database, outbox)
    try:
        while not await outbox.flush(SCAN_SECONDS):
            pass
    finally:
        await writer.close(0)
