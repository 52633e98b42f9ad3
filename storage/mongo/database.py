"""The database: the options of its connections, its collections, and bounds on the time it may take."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Self, TypeAlias, TypeVar

import pymongo
from bson.binary import UuidRepresentation
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorCollection
from pymongo.collation import Collation
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    InvalidName,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
)

from storage.mongo.errors import (
    DatabaseRefusalError,
    DatabaseUnavailableError,
    database_errors,
    is_loss,
    is_outage,
    reason,
    unavailable,
)
from storage.mongo.health import DatabaseHealth
from storage.mongo.indexes import make_indexes, make_indexes_of

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


def open_client(uri: str) -> AsyncIOMotorClient[dict[str, Any]]:
    """Make a client; connections are opened when they are needed.

    Raises:
        DatabaseUnavailableError: The URI cannot be used. The text does not quote it: it may have a password.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # an option that is ignored
            return AsyncIOMotorClient(uri, **OPTIONS)
    except UserWarning as warning:
        problem = f"has an option that cannot be used: {str(warning).removesuffix(' Refer to docstring.')}"
    except (InvalidURI, ValueError):
        problem = (
            "is not valid: it looks like mongodb://user:password@host:27017/?option=value, with special characters in "
            "user and password percent-encoded"
        )
    except (ConfigurationError, OSError) as error:
        problem = f"cannot be used: {reason(error)}"
    raise DatabaseUnavailableError(f"mongodb-uri {problem}")


__all__ = [
    "OPTIONS",
    "Collection",
    "Database",
    "DatabaseUnavailableError",
    "Session",
    "command",
    "database_errors",
    "page_of",
    "with_plain_ids",
]

Collection: TypeAlias = AsyncIOMotorCollection[dict[str, Any]]
Session: TypeAlias = AsyncIOMotorClientSession
T = TypeVar("T")

PING_SECONDS = 1.0
"""How long the database may take to answer a ping."""

SLACK_SECONDS = 0.5
"""How much longer than its bound a response is waited for: the driver's bound begins only when a thread is free."""

SINGLE_SERVER = """\
this MongoDB is a single server, and the bridge needs a replica set; one member is enough. Start it again as one:
  mongod --replSet rs0 (with its other options)
and say so once:
  mongosh --eval 'rs.initiate()'"""

QUERY_SECONDS = 8.0
"""How long the database may take for one list, name or sum of the API."""

CHANGE_TRIES = 8
"""How often a change is begun at most while others are in its way."""

# Before the second try twice as long, and twice that before each further one. A change takes some 4 ms.
_CHANGE_PAUSE_SECONDS = 0.004


def with_plain_ids(collection: Collection) -> Collection:
    """Return the same collection with ids as `Binary`, for documents that are only read and written back.

    A `UUID` takes the driver 1.1 us to read and 0.7 us to write, a `Binary` 0.3 and 0.06.
    """
    plain = collection.codec_options.with_options(uuid_representation=UuidRepresentation.UNSPECIFIED)
    return collection.with_options(codec_options=plain)


async def command(collection: Collection, name: str, **arguments: Any) -> dict[str, Any]:
    """Send a command about a collection, once more if the connection broke: the driver itself does not for commands."""
    options = collection.codec_options
    send = partial(collection.database.command, name, collection.name, codec_options=options, **arguments)
    answer: dict[str, Any]
    try:
        answer = await send()
    except AutoReconnect:
        answer = await send()
    return answer


async def page_of(
    collection: Collection,
    meant: Mapping[str, Any],
    order: Sequence[tuple[str, int]],
    limit: int,
    offset: int,
    *,
    collation: Collation | None = None,
) -> tuple[int, list[dict[str, Any]]]:
    """Count what matches, and read some of it in order. A limit of 0 is none. Whatever the driver raises passes."""
    count = await collection.count_documents(meant)
    found = collection.find(meant, sort=list(order), skip=offset, limit=limit, collation=collation)
    return count, await found.to_list(None)


class Database:
    """One MongoDB database and its collections. `connect` makes it, and `health` is whether it is available."""

    interceptions: Collection  # one document per interception, see `storage.recording.documents`
    users: Collection  # one document per user, removed ones included
    groups: Collection  # one document per group, removed ones included. Users say which they are in
    tokens: Collection  # one document per token; `_id` is its public part
    token_uses: Collection  # one document per token that was used: when last, and from which client
    sign_in_sessions: Collection  # one document per browser that is signed in; `_id` is the public part of its cookie
    sign_in_codes: Collection  # one document per code that signs in once; `_id` is its SHA-256
    device_codes: Collection  # one document per program that waits for a token; `_id` is the SHA-256 of its code
    providers: Collection  # one document per provider of the database, see `storage.providers.documents`
    views: Collection  # one document per saved view, see `storage.accounts.views`
    audit: Collection  # one document per change, and entries of accesses, see `storage.accounts.audit`
    members: Collection  # one document per running process, see `storage.members.membership`
    limit_ledgers: Collection  # of a cluster, see `storage.admission.ledger`
    policies: Collection  # one document per policy, see `storage.policies.documents`
    versions: Collection  # how often policies were changed, see `storage.mongo.followed`
    prices: Collection  # the own prices, one document, see `storage.prices.own_prices`
    recosts: Collection  # one document per job that prices past calls again, see `storage.prices.recosts`
    webhooks: Collection  # one document per webhook, see `storage.alerts.documents`
    webhook_deliveries: Collection  # one document for each alert and webhook, see `storage.alerts.outbox`
    alerts: Collection  # one document per alert that was raised
    derived: Collection  # how far rollups, sessions and the search index are, see `storage.derived.recount`
    rollups: Collection  # one document per rollup, see `storage.derived.rollup`
    sessions: Collection  # one document per session, see `storage.queries.sessions`
    cache_lines: Collection  # the latest calls of sessions, see `storage.derived.sessions.prompt_cache`
    search_segments: Collection  # of the search index, see `storage.search.segments`
    search_parts: Collection  # what is in them
    client_events: Collection  # what clients say of their calls and tools, see `storage.recording.client_events`
    refusals: Collection  # rows about requests that were refused, see `storage.derived.refusal_recorder`
    demo: Collection  # of the demo company's own database: its state, see `storage.demo.store`

    def __init__(self, client: AsyncIOMotorClient[dict[str, Any]], name: str) -> None:
        self._client = client
        self._database = client[name]
        self.health = DatabaseHealth(self._probe)
        for collection in Database.__annotations__:
            setattr(self, collection, self._database[collection])

    @classmethod
    def connect(cls, uri: str, name: str) -> Self:
        """Make a database of `uri`. Connections are opened when they are needed.

        Raises:
            DatabaseUnavailableError: The URI or the name is not one.
        """
        client = open_client(uri)
        try:
            return cls(client, name)
        except InvalidName as error:
            client.close()
            raise DatabaseUnavailableError(f'mongodb-database "{name}" is not a valid name: {error}') from None

    def beside(self, suffix: str) -> Self:
        """The database of the same MongoDB that has this one's name with a suffix. It is available when this one is."""
        other = type(self)(self._client, self._database.name + suffix)
        other.health = self.health
        return other

    def clock_of(self, cursor: Any) -> str:
        """Name the member whose clock gave the times that a cursor read; empty where any of several routers did."""
        topology: Any = self._client.topology_description
        return "" if topology.topology_type_name == "Sharded" else ":".join(map(str, cursor.address or ()))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """A transaction: everything with this session is committed at the end of the block, and aborted if it raises.

        Raises:
            PyMongoError: For `database_errors` an outage, also for a conflict with another transaction: try either
                again. If the commit raises it, the transaction may have been committed.
        """
        async with await self._client.start_session() as session, session.start_transaction():
            yield session

    async def together(self, change: Callable[[Session], Awaitable[T]]) -> T:
        """Run `change` in a transaction, and again from the beginning after a conflict.

        Raises:
            PyMongoError: As `transaction` does; an outage also after `CHANGE_TRIES` in vain.
        """
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
    async def snapshot(self) -> AsyncIterator[Session]:
        """A session whose queries all read the same snapshot."""
        async with await self._client.start_session(snapshot=True) as session:
            yield session

    @contextlib.asynccontextmanager
    async def within(self, seconds: float | None, what: str = "", *, may_be_slow: bool = False) -> AsyncIterator[None]:
        """Bound the time of all database operations in the block, and report to `health` if there is no response.

        Args:
            seconds: The maximum time. The driver waits `SLACK_SECONDS` longer for a response. None leaves it to each operation.
            what: The operation, as in "MongoDB does not link threads". Without it, errors that are not outages pass.
            may_be_slow: Whether the operations alone may take so long. Then a probe says whether no answer in time is a loss.

        Raises:
            DatabaseUnavailableError: No response, or one that says to try later.
            DatabaseRefusalError: What else the driver raises, if `what` is given.
        """
        bound = asyncio.timeout(None if seconds is None else seconds + SLACK_SECONDS)
        try:
            async with bound:
                with contextlib.nullcontext() if seconds is None else pymongo.timeout(seconds):
                    yield
        except PyMongoError as error:
            if is_loss(error):
                await self._report(reason(error), is_sure=not (may_be_slow and isinstance(error, NetworkTimeout)))
            if is_outage(error):
                raise unavailable(error) from error
            if not what:
                raise
            raise DatabaseRefusalError(f"MongoDB does not {what}: {type(error).__name__}") from error
        except TimeoutError as error:
            if not bound.expired():
                raise
            await self._report("no answer in time", is_sure=not may_be_slow)
            raise DatabaseUnavailableError("MongoDB is unavailable: no answer in time") from error

    async def _report(self, why: str, *, is_sure: bool) -> None:
        """Report to `health` that there was no response; where that is not sure to be a loss, let a probe say it."""
        if is_sure:
            self.health.lose(why)
        else:
            await self.health.check()

    def query(self, seconds: float | None = None, what: str = "") -> AbstractAsyncContextManager[None]:
        """Bound all queries of one response of the API, by `QUERY_SECONDS` or by `seconds`; see `within`.

        Raises:
            DatabaseUnavailableError: The database is known to be unavailable.
        """
        self.require_available()
        return self.within(QUERY_SECONDS if seconds is None else seconds, what, may_be_slow=True)

    def require_available(self) -> None:
        """Raise `DatabaseUnavailableError` if the database is known to be unavailable."""
        if not self.health.available:
            raise DatabaseUnavailableError(f"MongoDB is unavailable: {self.health.reason}")

    async def _probe(self) -> None:
        """Write nothing, with the acknowledgement of a write: only a primary that reaches a majority gives that."""
        async with self.within(PING_SECONDS, "take writes"):
            await self.members.find_one_and_update({"_id": None}, {"$set": {"probed": True}})

    async def prepare(self, *, retention: timedelta | None) -> None:
        """Create missing indexes; MongoDB removes what is older than `retention` from now on.

        Several servers may do this at the same time, and repeatedly.

        Args:
            retention: Counted from the start of an interception, the last activity of a session and a refusal, in
                whole seconds, at least one; None keeps forever.

        Raises:
            DatabaseUnavailableError: The database is unavailable, or a single server.
        """
        with database_errors():
            await self._require_replica_set()
            await make_indexes(self._database, retention)

    async def clear(self, *, last: str) -> None:
        """Drop all collections, one of them last, and with them the database.

        `dropDatabase` would take another right than `readWrite`.
        """
        names = await self._database.list_collection_names(filter={"name": {"$not": {"$regex": r"^system\."}}})
        for name in sorted(names, key=lambda name: name == last):
            await self._database.drop_collection(name)

    async def prepare_users(self) -> None:
        """Check that it is a replica set, and make the indexes of the names of users and groups.

        Raises:
            DatabaseUnavailableError: The database is unavailable, or a single server.
        """
        with database_errors():
            await self._require_replica_set()
            for name in ("users", "groups"):
                await make_indexes_of(self._database, name)

    async def _require_replica_set(self) -> None:
        """Refuse a single server, which has no transactions and no change streams; a sharded cluster has them."""
        hello = await self._client.admin.command("hello")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise DatabaseUnavailableError(SINGLE_SERVER)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
