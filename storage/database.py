"""The database: how it is reached, what it is asked to keep in order, and what its absence is called."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Self, TypeAlias

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidName,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

Collection: TypeAlias = AsyncIOMotorCollection[dict[str, Any]]
Keys: TypeAlias = tuple[tuple[str, int], ...]

PING_SECONDS = 1.0
"""How long the database may take to say that it is there."""

OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "appname": "aibridge",
        "tz_aware": True,
        "uuidRepresentation": "standard",
        "w": "majority",
        "journal": True,
        "readPreference": "primary",
        "retryWrites": True,
        "serverSelectionTimeoutMS": 2_000,
        "connectTimeoutMS": 2_000,
        "socketTimeoutMS": 10_000,
    }
)
"""What every connection has, whatever its URI says: acknowledged means on disk, and an absent server is soon noticed."""

# A list is sorted by the first two keys. The others let a count, or a page of something rare, be answered from the
# index alone.
_NEWEST_FIRST: Keys = (("started_at", DESCENDING), ("_id", DESCENDING))
_FILTERED = ("status", "initiator_id", "provider", "provider_name", "model", "client")
_COVERED: Keys = tuple((name, ASCENDING) for name in _FILTERED)

BY_TIME: Keys = (*_NEWEST_FIRST, *_COVERED)
BY_INITIATOR: Keys = (
    ("initiator_id", ASCENDING),
    *_NEWEST_FIRST,
    *(key for key in _COVERED if key[0] != "initiator_id"),
)
BY_MODEL: Keys = (("model", ASCENDING), *_NEWEST_FIRST, ("status", ASCENDING), ("initiator_id", ASCENDING))
BY_SESSION: Keys = (("client_session_id", ASCENDING), *_NEWEST_FIRST, ("status", ASCENDING))
BY_REQUEST: Keys = (("request_ids", ASCENDING), *_NEWEST_FIRST)

BY_TOOL_CALL: Keys = (("initiator_id", ASCENDING), ("tool_call_ids", ASCENDING), *_NEWEST_FIRST)
UNLINKED: Keys = (("unlinked.due", ASCENDING), ("started_at", ASCENDING))

INDEXES: Mapping[str, tuple[IndexModel, ...]] = MappingProxyType(
    {
        "interceptions": (
            IndexModel(BY_TIME, name="by_time"),
            IndexModel(BY_INITIATOR, name="by_initiator"),
            IndexModel(BY_MODEL, name="by_model"),
            IndexModel(BY_SESSION, name="by_session"),
            IndexModel(BY_REQUEST, name="by_request"),
            IndexModel(BY_TOOL_CALL, name="by_tool_call", partialFilterExpression={"tool_call_ids": {"$exists": True}}),
            IndexModel(UNLINKED, name="unlinked", partialFilterExpression={"unlinked.due": {"$exists": True}}),
            IndexModel("instance_id", name="in_flight", partialFilterExpression={"status": "in_flight"}),
        ),
        "users": (
            IndexModel("username", name="living_username", unique=True, partialFilterExpression={"removed_at": None}),
        ),
        "tokens": (IndexModel((("user_id", ASCENDING), ("created_at", ASCENDING)), name="by_user"),),
        "admissions": (IndexModel("expires_at", name="expiry", expireAfterSeconds=0),),
    }
)
"""Every index there is, by collection, aside from the one that ends retention."""

_RETENTION_INDEX = "retention"
_LONGEST_RETENTION_SECONDS = 2**31 - 1

_INDEX_MISSING = {26, 27}  # NamespaceNotFound, IndexNotFound
_INDEX_DIFFERS = 85  # IndexOptionsConflict

# Unauthorized, AuthenticationFailed, WriteConcernFailed, UnsatisfiableWriteConcern, PrimarySteppedDown, out of disk.
_OUTAGE_CODES = {13, 18, 64, 100, 189, 14031}


class DatabaseUnavailableError(Exception):
    """The database does not answer or does not let us in. Its text is one sentence without credentials."""


@contextlib.contextmanager
def database_errors() -> Iterator[None]:
    """Turn what the driver raises while the database is away into `DatabaseUnavailableError`; the rest passes."""
    try:
        yield
    except PyMongoError as error:
        if not _is_outage(error):
            raise
        raise DatabaseUnavailableError(f"MongoDB is unavailable: {_reason(error)}") from error


class Database:
    """One MongoDB database and its collections. `connect` makes it."""

    def __init__(self, client: AsyncIOMotorClient[dict[str, Any]], name: str) -> None:
        self._client = client
        self._database = client[name]

    @classmethod
    def connect(cls, uri: str, name: str) -> Self:
        """Make a database of `uri`. Connections are opened when they are needed.

        Raises:
            DatabaseUnavailableError: The URI or the name is not one.
        """
        client = _client(uri)
        try:
            return cls(client, name)
        except InvalidName as error:
            client.close()
            raise DatabaseUnavailableError(f'mongodb-database "{name}" is not a valid name: {error}') from None

    @property
    def interceptions(self) -> Collection:
        """One document per interception, see `storage.documents`."""
        return self._database["interceptions"]

    @property
    def users(self) -> Collection:
        """One document per user, removed ones included."""
        return self._database["users"]

    @property
    def tokens(self) -> Collection:
        """One document per token; `_id` is its public part."""
        return self._database["tokens"]

    @property
    def instances(self) -> Collection:
        """One document per running server."""
        return self._database["instances"]

    @property
    def admissions(self) -> Collection:
        """Ledgers of who was admitted, see `storage.ledger`, and reports, see `storage.admission_reports`."""
        return self._database["admissions"]

    async def prepare(self, *, retention: timedelta | None) -> None:
        """Make every index that is missing; interceptions older than `retention` are removed from now on.

        Any number of servers may do this at the same time, and again.

        Args:
            retention: Counted from the start of an interception, in whole seconds, at least one; None keeps for ever.

        Raises:
            DatabaseUnavailableError: The database is away.
        """
        with database_errors():
            for collection, indexes in INDEXES.items():
                await self._database[collection].create_indexes(list(indexes))
            await (self._forget_nothing() if retention is None else self._forget_after(retention))

    async def ping(self) -> bool:
        """Say whether the database takes writes, within `PING_SECONDS`."""
        try:
            async with asyncio.timeout(PING_SECONDS):
                return bool((await self._client.admin.command("hello"))["isWritablePrimary"])
        except (PyMongoError, TimeoutError):
            return False

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    async def _forget_nothing(self) -> None:
        try:
            await self.interceptions.drop_index(_RETENTION_INDEX)
        except OperationFailure as error:
            if error.code not in _INDEX_MISSING:
                raise

    async def _forget_after(self, retention: timedelta) -> None:
        seconds = min(max(math.ceil(retention.total_seconds()), 1), _LONGEST_RETENTION_SECONDS)
        index = IndexModel("started_at", name=_RETENTION_INDEX, expireAfterSeconds=seconds)
        try:
            await self.interceptions.create_indexes([index])
        except OperationFailure as error:
            if error.code != _INDEX_DIFFERS:
                raise
            change = {"name": _RETENTION_INDEX, "expireAfterSeconds": seconds}
            await self._database.command({"collMod": self.interceptions.name, "index": change})


def _client(uri: str) -> AsyncIOMotorClient[dict[str, Any]]:
    """Make a client, or say what is wrong with the URI. The driver's own text may quote a password."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # an option that is ignored
            return AsyncIOMotorClient(uri, **OPTIONS)
    except UserWarning as warning:
        reason = f"has an option that cannot be used: {str(warning).removesuffix(' Refer to docstring.')}"
    except (InvalidURI, ValueError):
        reason = (
            "is not valid: it looks like mongodb://user:password@host:27017/?option=value, with special characters in "
            "user and password percent-encoded"
        )
    except (ConfigurationError, OSError) as error:
        reason = f"cannot be used: {_reason(error)}"
    raise DatabaseUnavailableError(f"mongodb-uri {reason}")


def _is_outage(error: PyMongoError) -> bool:
    if isinstance(error, OperationFailure):
        retryable = error.has_error_label("RetryableWriteError") or error.has_error_label("TransientTransactionError")
        return retryable or isinstance(error, (ExecutionTimeout, WTimeoutError)) or error.code in _OUTAGE_CODES
    return isinstance(error, (ConnectionFailure, ConfigurationError))


def _reason(error: Exception) -> str:
    """Return the driver's text without its appendices, and without anything that could be a credential."""
    text = re.split(r" \(configured timeouts|, Timeout:|, full error:", str(error))[0]
    return re.sub(r"[^/\s]*@", "", text)
