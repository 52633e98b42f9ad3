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

_Write = InsertOne[Any] | ReplaceOne[Any] | UpdateOne

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
    """Make and replace documents, then apply the last checkpoint of each call whose end is not among them."""
    ended = {operation.id for operation in operations if operation.action.ends}
    begun = {operation.id for operation in operations if operation.action is Action.START}
    starts = [operation for operation in operations if operation.action is Action.START and operation.id not in ended]
    ends = [operation for operation in operations if operation.action.ends]
    quick = [operation for operation in ends if operation.id in begun]
    slow = [operation for operation in ends if operation.id not in begun]
    checkpoints = {one.id: one for one in operations if one.action is Action.CHECKPOINT and one.id not in ended}

    rejected, existing = await _send(collection, [(one, one.insertion) for one in (*starts, *quick)])
    again = [operation for operation in existing if operation.action.ends]
    refused, existing = await _send(collection, [(one, one.replacement) for one in (*again, *slow)])
    rejected += refused
    changes = [(operation, operation.change) for operation in checkpoints.values()]
    for operation in existing:
        if operation.action is Action.END:
            before = await collection.find_one({"_id": operation.id, **PRESUMED})
            if before is not None:
                changes.append((operation, operation.correction(before)))
    refused, _ = await _send(collection, changes)
    return rejected + refused


async def _send(
    collection: Collection, writes: Sequence[tuple[Operation, _Write]]
) -> tuple[list[RejectedWrite], list[Operation]]:
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
