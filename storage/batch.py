"""Writes operations to the database, many at a time and in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pymongo
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from storage.database import Collection, DatabaseUnavailableError, database_errors
from storage.operations import Operation

# The command failed because of one of its documents, and does not say which: BadValue, FailedToParse, TypeMismatch,
# Overflow (nested too deep), InvalidBSON, BSONObjectTooLarge.
_DOCUMENT_CODES = {2, 9, 14, 15, 22, 10334}

# A write failed because of the server's state: not primary, stepping down, shutting down, interrupted, out of time, out of
# disk, access or write concern changed. MongoDB's error_codes.yml has them all.
_STATE_CODES = {
    *(6, 7, 13, 18, 50, 64, 89, 91, 100, 112, 134, 189, 262, 9001),
    *(10107, 11600, 11601, 11602, 13435, 13436, 14031),
}

_SLACK_SECONDS = 0.5

Refusal = tuple[Operation, int]
"""An operation that the database will never take, and its error code."""


async def write_batch(collection: Collection, operations: Sequence[Operation], *, seconds: float) -> list[Refusal]:
    """Write operations and wait until they are acknowledged, but not longer than `seconds` and half a second.

    One that is refused does not keep the others from being written.

    Raises:
        DatabaseUnavailableError: Not acknowledged. Any of them may have been written, or may yet be.
    """
    try:
        # The driver's own bound ends the thread that waits. It begins only when there is a free one, hence the other.
        async with asyncio.timeout(seconds + _SLACK_SECONDS):
            with database_errors(), pymongo.timeout(seconds):
                return await _write(collection, operations)
    except (PyMongoError, TimeoutError) as error:
        raise DatabaseUnavailableError(f"MongoDB does not take records: {type(error).__name__}") from error


async def _write(collection: Collection, operations: Sequence[Operation]) -> list[Refusal]:
    refusals: list[Refusal] = []
    while operations:
        try:
            await collection.bulk_write([operation.update() for operation in operations], ordered=True)
        except BulkWriteError as error:
            index, code = _refused(error.details)
            refusals.append((operations[index], code))
            operations = operations[index + 1 :]
        except OperationFailure as error:
            if error.code not in _DOCUMENT_CODES:
                raise
            if len(operations) == 1:
                return [*refusals, (operations[0], error.code)]
            half = len(operations) // 2
            refusals += await _write(collection, operations[:half])
            operations = operations[half:]
        else:
            break
    return refusals


def _refused(details: Mapping[str, Any]) -> tuple[int, int]:
    """Find the write that an ordered bulk stopped at and its error code.

    Raises:
        DatabaseUnavailableError: It was the server's state that stopped it.
    """
    failures = [*details["writeConcernErrors"], *details["writeErrors"]]
    failure = failures[0]
    if details["writeConcernErrors"] or failure["code"] in _STATE_CODES:
        raise DatabaseUnavailableError(f"MongoDB does not take records: error {failure['code']}")
    return failure["index"], failure["code"]
