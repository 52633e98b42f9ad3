"""The errors of the driver, and their meaning."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

# The server's state: unreachable members, no access, no majority, not primary, shutting down, out of disk. MongoDB's
# error_codes.yml has them all.
LOSS_CODES = {
    *(6, 7, 13, 18, 64, 89, 91, 100, 134, 189, 9001),
    *(10107, 11600, 11602, 13435, 13436, 14031),
}

# MaxTimeMSExpired, SnapshotTooOld, SnapshotUnavailable (an index has just been changed), ExceededTimeLimit, Interrupted.
_OUTAGE_CODES = LOSS_CODES | {50, 239, 246, 262, 11601}


DUPLICATE_KEY = 11000

INDEX_DIFFERS = 85  # IndexOptionsConflict


class DatabaseUnavailableError(Exception):
    """The database does not answer, or refuses the login. The text is one sentence without credentials."""


class DatabaseRefusalError(DatabaseUnavailableError):
    """The database answers, but refuses an operation of a background job for an unexpected reason."""


@contextlib.contextmanager
def database_errors() -> Iterator[None]:
    """Turn what the driver raises while the database is unavailable into `DatabaseUnavailableError`; the rest passes."""
    try:
        yield
    except PyMongoError as error:
        if not is_outage(error):
            raise
        raise unavailable(error) from error


def unavailable(error: PyMongoError) -> DatabaseUnavailableError:
    """Say that the database is unavailable, and why."""
    return DatabaseUnavailableError(f"MongoDB is unavailable: {reason(error)}")


def is_outage(error: PyMongoError) -> bool:
    """Whether the same may succeed later: the database is unavailable, or has too much to do."""
    if isinstance(error, BulkWriteError):
        return not _OUTAGE_CODES.isdisjoint(_codes(error))
    if isinstance(error, OperationFailure):
        retryable = error.has_error_label("RetryableWriteError") or error.has_error_label("TransientTransactionError")
        return retryable or isinstance(error, (ExecutionTimeout, WTimeoutError)) or error.code in _OUTAGE_CODES
    return isinstance(error, (ConnectionFailure, ConfigurationError))


def is_loss(error: PyMongoError) -> bool:
    """Whether an outage concerns everyone. A database that says itself that a query took too long is available."""
    if isinstance(error, BulkWriteError):
        return not LOSS_CODES.isdisjoint(_codes(error))
    if isinstance(error, OperationFailure):
        return isinstance(error, WTimeoutError) or error.code in LOSS_CODES
    return isinstance(error, (ConnectionFailure, ConfigurationError))


def is_of_content(error: Exception) -> bool:
    """Whether a batch may succeed without some of its documents, and not if the same is tried again."""
    if not isinstance(error, PyMongoError):
        return True
    return isinstance(error, OperationFailure) and not is_outage(error) and not error.timeout


def _codes(error: BulkWriteError) -> set[int]:
    """Return why some of many writes failed."""
    details = error.details or {}
    return {one["code"] for name in ("writeErrors", "writeConcernErrors") for one in details.get(name, ())}


def reason(error: Exception) -> str:
    """Return the driver's text without its appendices, and without anything that could be a credential."""
    text = re.split(r" \(configured timeouts|, Timeout:|, full error:", str(error))[0]
    return re.sub(r"[^/\s]*@", "", text)
