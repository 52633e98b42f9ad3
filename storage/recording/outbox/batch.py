"""Writes operations to the database, many at a time: first whole documents, then checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from storage.mongo.database import Collection, Database, DatabaseUnavailableError
from storage.mongo.errors import DUPLICATE_KEY, LOSS_CODES
from storage.recording.operations import PRESUMED, Action, Operation

# The command failed because of one of its documents, and does not say which: BadValue, FailedToParse, TypeMismatch,
# Overflow (nested too deep), InvalidBSON, BSONObjectTooLarge.
_DOCUMENT_CODES = {2, 9, 14, 15, 22, 10334}

# The server's state stopped a write: beside a loss MaxTimeMSExpired, WriteConflict, ExceededTimeLimit, Interrupted.
_STATE_CODES = LOSS_CODES | {50, 112, 262, 11601}

RejectedWrite = tuple[Operation, int]
"""An operation that the database will never take, and its error code."""


async def write_batch(database: Database, operations: Sequence[Operation], *, seconds: float) -> list[RejectedWrite]:
    """Write operations and wait until they are acknowledged, but not longer than `seconds` and half a second.

    One that is refused does not keep the others from being written.

    Raises:
        DatabaseUnavailableError: Not acknowledged. Any of them may have been written, or may yet be.
    """
    async with database.within(seconds, "take records"):
        return await _write(database.interceptions, operations)


async def _write(collection: Collection, operations: Sequence[Operation]) -> list[RejectedWrite]:
    """Make and replace documents, then apply the checkpoints of calls whose end is not among them, in their order."""
    ended = {operation.id for operation in operations if operation.action.ends}
    begun = {operation.id for operation in operations if operation.action is Action.START}
    starts = [operation for operation in operations if operation.action is Action.START and operation.id not in ended]
    ends = [operation for operation in operations if operation.action.ends]
    quick = [operation for operation in ends if operation.id in begun]
    slow = [operation for operation in ends if operation.id not in begun]
    checkpoints = [one for one in operations if one.action is Action.CHECKPOINT and one.id not in ended]

    rejected, existing = await _make(
        collection, [*starts, *quick], [operation.insertion for operation in (*starts, *quick)]
    )
    again = [operation for operation in existing if operation.action.ends]
    refused, existing = await _make(
        collection, [*again, *slow], [operation.replacement for operation in (*again, *slow)]
    )
    rejected += refused
    for operation in existing:
        if operation.action is Action.END:
            rejected += await _correct(collection, operation)
    return rejected + await _change(collection, checkpoints, [operation.change for operation in checkpoints])


async def _make(
    collection: Collection, operations: Sequence[Operation], writes: Sequence[InsertOne[Any] | ReplaceOne[Any]]
) -> tuple[list[RejectedWrite], list[Operation]]:
    """Make documents; return the rejected writes, and the operations whose document exists already."""
    if not operations:
        return [], []
    try:
        await collection.bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        failures = [(operations[index], code) for index, code in _failures(error.details)]
        rejected = [failure for failure in failures if failure[1] != DUPLICATE_KEY]
        return rejected, [operation for operation, code in failures if code == DUPLICATE_KEY]
    except OperationFailure as error:
        if error.code not in _DOCUMENT_CODES:
            raise
        if len(operations) == 1:
            return [(operations[0], error.code)], []
        half = len(operations) // 2
        first = await _make(collection, operations[:half], writes[:half])
        second = await _make(collection, operations[half:], writes[half:])
        return first[0] + second[0], first[1] + second[1]
    return [], []


async def _correct(collection: Collection, operation: Operation) -> list[RejectedWrite]:
    """Put a true end in the place of a presumed one, if that is there; return the write if it is rejected."""
    before = await collection.find_one({"_id": operation.id, **PRESUMED})
    return [] if before is None else await _change(collection, [operation], [operation.correction(before)])


async def _change(
    collection: Collection, operations: Sequence[Operation], writes: Sequence[UpdateOne]
) -> list[RejectedWrite]:
    """Update documents, one after the other; return the rejected writes."""
    rejected: list[RejectedWrite] = []
    while operations:
        try:
            await collection.bulk_write(writes, ordered=True)
        except BulkWriteError as error:
            index, code = next(_failures(error.details))
            rejected.append((operations[index], code))
            operations, writes = operations[index + 1 :], writes[index + 1 :]
        except OperationFailure as error:
            if error.code not in _DOCUMENT_CODES:
                raise
            if len(operations) == 1:
                return [*rejected, (operations[0], error.code)]
            half = len(operations) // 2
            rejected += await _change(collection, operations[:half], writes[:half])
            operations, writes = operations[half:], writes[half:]
        else:
            break
    return rejected


def _failures(details: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Find the writes that failed and their error codes.

    Raises:
        DatabaseUnavailableError: It was the server's state that stopped one.
    """
    for failure in [*details["writeConcernErrors"], *details["writeErrors"]]:
        if details["writeConcernErrors"] or failure["code"] in _STATE_CODES:
            raise DatabaseUnavailableError(f"MongoDB does not take records: error {failure['code']}")
        yield failure["index"], failure["code"]
