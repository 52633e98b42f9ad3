"""Writes operations to the database, many at a time: first what makes documents, then what changes them, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pymongo.errors import BulkWriteError, OperationFailure

from storage.mongo.database import Collection, Database, DatabaseUnavailableError
from storage.mongo.errors import DUPLICATE_KEY, LOSS_CODES
from storage.recording.operations import Action, Operation

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
    rejected, existing = await _make(collection, [operation for operation in operations if operation.makes])
    ended = [operation for operation in existing if operation.action is Action.WHOLE]
    return rejected + await _change(collection, ended + [operation for operation in operations if not operation.makes])


async def _make(collection: Collection, operations: Sequence[Operation]) -> tuple[list[RejectedWrite], list[Operation]]:
    """Insert documents; return the rejected writes, and the operations whose document exists already."""
    if not operations:
        return [], []
    try:
        await collection.bulk_write([operation.write() for operation in operations], ordered=False)
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
        halves = [await _make(collection, chunk) for chunk in (operations[:half], operations[half:])]
        return halves[0][0] + halves[1][0], halves[0][1] + halves[1][1]
    return [], []


async def _change(collection: Collection, operations: Sequence[Operation]) -> list[RejectedWrite]:
    """Update documents, one after the other; return the rejected writes."""
    rejected: list[RejectedWrite] = []
    while operations:
        try:
            await collection.bulk_write([operation.write_again() for operation in operations], ordered=True)
        except BulkWriteError as error:
            index, code = next(_failures(error.details))
            rejected.append((operations[index], code))
            operations = operations[index + 1 :]
        except OperationFailure as error:
            if error.code not in _DOCUMENT_CODES:
                raise
            if len(operations) == 1:
                return [*rejected, (operations[0], error.code)]
            half = len(operations) // 2
            rejected += await _change(collection, operations[:half])
            operations = operations[half:]
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
