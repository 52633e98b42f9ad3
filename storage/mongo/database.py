"""The database: how it is reached, what it is asked to keep in order, and what its absence is called."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Self, TypeAlias, TypeVar

import pymongo
from bson.binary import UuidRepresentation
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorCollection
from pymongo import IndexModel
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidName,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from storage.mongo.indexes import INDEXES, OBSOLETE

Collection: TypeAlias = AsyncIOMotorCollection[dict[str, Any]]
Session: TypeAlias = AsyncIOMotorClientSession
T = TypeVar("T")

NAMED_CONFLICTS = 10
"""How many usernames are named at most that differ in case alone from others."""

PING_SECONDS = 1.0
"""How long the database may take to say that it is there."""

INDEX_SECONDS = 3_600.0
"""How long one index may take that is made of many records."""

CHANGE_TRIES = 5
"""How often a change is begun at most while others are in its way."""

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

_LONG_SECONDS = 5.0
# Before the second try twice as long, and twice that before each further one. A change takes some 4 ms.
_CHANGE_PAUSE_SECONDS = 0.004
_RETENTION_INDEX = "retention"
_RETAINED = {"interceptions": "started_at", "sessions": "last_active_at", "refusals": "at"}
_LONGEST_RETENTION_SECONDS = 2**31 - 1

_INDEX_MISSING = {26, 27}  # NamespaceNotFound, IndexNotFound
_INDEX_DIFFERS = 85  # IndexOptionsConflict

# Unauthorized, AuthenticationFailed, WriteConcernFailed, UnsatisfiableWriteConcern, PrimarySteppedDown, SnapshotTooOld,
# SnapshotUnavailable (an index has just been changed), out of disk.
_OUTAGE_CODES = {13, 18, 64, 100, 189, 239, 246, 14031}


# IllegalOperation, OperationNotSupportedInTransaction
NO_TRANSACTIONS = frozenset({20, 263})
"""What a MongoDB says that is not a replica set when it is asked for a transaction."""

_log = logging.getLogger(__name__)


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


def with_plain_ids(collection: Collection) -> Collection:
    """Return the same collection with ids as BSON holds them, `Binary`: to be read and written again, and not looked at.

    A `UUID` takes the driver 1.1 us to read and 0.7 us to write, a `Binary` 0.3 and 0.06.
    """
    plain = collection.codec_options.with_options(uuid_representation=UuidRepresentation.UNSPECIFIED)
    return collection.with_options(codec_options=plain)


class Database:
    """One MongoDB database and its collections. `connect` makes it."""

    def __init__(self, client: AsyncIOMotorClient[dict[str, Any]], name: str) -> None:
        self._client = client
        self._database = client[name]
        self._is_replicated: bool | None = None

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
        """One document per interception, see `storage.recording.documents`."""
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
    def sign_in_sessions(self) -> Collection:
        """One document per browser that is signed in, see `storage.accounts.sign_in_sessions`; `_id` is the public part of its cookie."""
        return self._database["sign_in_sessions"]

    @property
    def sign_in_codes(self) -> Collection:
        """One document per code that signs in once; `_id` is its SHA-256."""
        return self._database["sign_in_codes"]

    @property
    def audit(self) -> Collection:
        """One document per change of a user or token, see `storage.accounts.audit`, and entries of `storage.accounts.access_trail`."""
        return self._database["audit"]

    @property
    def instances(self) -> Collection:
        """One document per running server."""
        return self._database["instances"]

    @property
    def admissions(self) -> Collection:
        """Ledgers of who was admitted, see `storage.admission.ledger`, and reports, see `storage.admission.reports`."""
        return self._database["admissions"]

    @property
    def limit_ledgers(self) -> Collection:
        """What servers of a cluster use of each limit, and their heartbeats, see `storage.admission.ledger_store`."""
        return self._database["limit_ledgers"]

    @property
    def is_sharded(self) -> bool:
        """Whether it is reached through routers: then times are theirs, and each has a clock of its own."""
        topology: Any = self._client.topology_description
        return bool(topology.topology_type_name == "Sharded")

    @property
    def rollups(self) -> Collection:
        """One document per cell, see `storage.aggregation.rollup`, and what `storage.aggregation.rollup_job` keeps for itself."""
        return self._database["rollups"]

    @property
    def sessions(self) -> Collection:
        """One document per session, see `storage.queries.sessions`."""
        return self._database["sessions"]

    @property
    def refusals(self) -> Collection:
        """Rows about requests that were refused, see `storage.aggregation.refusal_recorder`."""
        return self._database["refusals"]

    @property
    def refusal_totals(self) -> Collection:
        """How many requests were refused, by rule, user and time range."""
        return self._database["refusal_totals"]

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Do what is done with this session as one: all of it when the block ends, nothing when it raises.

        Raises:
            PyMongoError: By `database_errors` an outage, also when another transaction was in the way: either is to be
                tried again. When it comes of the commit, all of it may be done all the same. A single server, not a
                replica set, refuses: `NO_TRANSACTIONS`.
        """
        async with await self._client.start_session() as session, session.start_transaction():
            yield session

    async def together(self, change: Callable[[Session | None], Awaitable[T]]) -> T:
        """Do all that `change` does with its session as one, from the beginning where another change was in the way.

        On a single server there are no transactions: the session is None there, and each write counts at once.

        Raises:
            PyMongoError: As `transaction` does; an outage also after `CHANGE_TRIES` in vain.
        """
        if not await self._has_replicas():
            return await change(None)
        tries = 1
        while True:
            try:
                async with self.transaction() as session:
                    return await change(session)
            except OperationFailure as error:
                if tries == CHANGE_TRIES or not error.has_error_label("TransientTransactionError"):
                    raise
            await asyncio.sleep(_CHANGE_PAUSE_SECONDS * 2**tries)
            tries += 1

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session | None]:
        """Read with this session, one query after the other, what there was at one moment. None on a single server."""
        if await self._has_replicas():
            async with await self._client.start_session(snapshot=True) as session:
                yield session
        else:
            yield None

    async def _has_replicas(self) -> bool:
        if self._is_replicated is None:
            hello = await self._client.admin.command("hello")
            self._is_replicated = "setName" in hello or hello.get("msg") == "isdbgrid"
        return self._is_replicated

    async def prepare(self, *, retention: timedelta | None) -> None:
        """Make every index that is missing; what is older than `retention` is removed from now on.

        Any number of servers may do this at the same time, and again.

        Args:
            retention: Counted from the start of an interception, the last activity of a session and a refusal, in whole seconds, at
                least one; None keeps for ever.

        Raises:
            DatabaseUnavailableError: The database is away.
        """
        with database_errors():
            await self._client.admin.command("ping")  # one that is away is noticed sooner than an index is made
            with pymongo.timeout(INDEX_SECONDS), _patience():
                await self._make_indexes(retention)

    async def _make_indexes(self, retention: timedelta | None) -> None:
        for name in INDEXES.keys() - {"users"}:
            await self._make(name)
        await self.prepare_users()
        for name, field in _RETAINED.items():
            collection = self._database[name]
            await (
                _drop(collection, _RETENTION_INDEX) if retention is None else _keep_for(retention, collection, field)
            )

    async def _make(self, name: str) -> None:
        await self._database[name].create_indexes(list(INDEXES[name]))
        for index in OBSOLETE.get(name, ()):
            await _drop(self._database[name], index)

    async def prepare_users(self) -> None:
        """Make the index that gives each username once, whatever its case.

        Earlier versions told usernames apart by case. Where there are some that differ in nothing else, they stay as they
        are, each found by its exact name, and a warning names them.
        """
        try:
            await self._make("users")
        except DuplicateKeyError:
            same: list[dict[str, Any]] = [
                {"$match": {"removed_at": None}},
                {"$group": {"_id": {"$toLower": "$username"}, "names": {"$push": "$username"}}},
                {"$match": {"names.1": {"$exists": True}}},
                {"$sort": {"_id": 1}},
                {"$limit": NAMED_CONFLICTS},
            ]
            async for found in self.users.aggregate(same):
                names = " and ".join(sorted(found["names"]))
                _log.warning(
                    "usernames differ in case alone: %s; remove all of them but one (users remove NAME)", names
                )

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


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Say to who waits what it is that takes long."""
    late = asyncio.get_running_loop().call_later(
        _LONG_SECONDS, _log.info, "creating indexes; calls are served afterwards"
    )
    try:
        yield
    finally:
        late.cancel()


async def _drop(collection: Collection, index: str) -> None:
    """Drop an index, if it is there."""
    try:
        await collection.drop_index(index)
    except OperationFailure as error:
        if error.code not in _INDEX_MISSING:
            raise


async def _keep_for(retention: timedelta, collection: Collection, field: str) -> None:
    seconds = min(max(math.ceil(retention.total_seconds()), 1), _LONGEST_RETENTION_SECONDS)
    index = IndexModel(field, name=_RETENTION_INDEX, expireAfterSeconds=seconds)
    try:
        await collection.create_indexes([index])
    except OperationFailure as error:
        if error.code != _INDEX_DIFFERS:
            raise
        change = {"name": _RETENTION_INDEX, "expireAfterSeconds": seconds}
        await collection.database.command({"collMod": collection.name, "index": change})


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
