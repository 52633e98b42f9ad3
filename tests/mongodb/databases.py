"""Databases for tests, and connections to them, used again and again.

A database has some sixty files, which a mongod keeps open for minutes after they are dropped, and to sweep thousands of them
up takes it seconds. To empty a database takes 3 ms, and to make one 200. Connections of its own take a test 15 ms.
MongoDB's own list of changes says which collections have documents: to read the catalog instead takes 2 ms more.
"""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import suppress
from uuid import uuid4

import pymongo
from bson import Timestamp
from motor.core import AgnosticClient
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient, WriteConcern
from pymongo.errors import OperationFailure, PyMongoError

from storage.mongo import connection
from storage.mongo.database import Database, DatabaseUnavailableError

BLOCKED_SECONDS = 2
"""How long a database may take to be emptied. Where a test was cut off, MongoDB ends its transaction after a minute."""


class SharedConnections(AsyncIOMotorClient):
    """A client on the event loop of a test, with connections that stay open after it."""

    def __init__(self, client):
        super(AgnosticClient, self).__init__(client.delegate)
        self._io_loop = None

    def close(self):
        """Leave them open."""


class Databases:
    """The databases of one mongod, each for one test at a time.

    Args:
        uri: Where the mongod answers.
        run: Runs a coroutine to its end.
        others: How many others are used before one is used again, so that what its last test left running cannot reach
            the next.
        journal: Whether writes wait for the journal, as those of the product do. It outlives a mongod that is killed;
            where none is, these waits are half of what a write takes.
    """

    def __init__(self, uri, run, *, others=3, journal=True):
        self._uri = uri
        self._run = run
        self._others = others
        self._client = MongoClient(uri)
        # Many times in tests are past. MongoDB removes what has expired once a minute, also while a test looks at it.
        self._client.admin.command("setParameter", 1, ttlMonitorEnabled=False)
        self._options = {} if journal else {"journal": False}
        if not journal:
            config = self._client.admin.command("replSetGetConfig")["config"]
            config |= {"version": config["version"] + 1, "writeConcernMajorityJournalDefault": False}
            self._client.admin.command("replSetReconfig", config)
        self._clients = {}
        self._waiting = deque()
        self._fresh = None
        self._changed = defaultdict(set)
        self._seen = Timestamp(0, 0)
        self._names = set()
        self._read_oplog()  # what comes from now on is all that matters

    @property
    def uri(self):
        """Where the mongod answers."""
        return self._uri

    def take(self):
        """Return the name of an empty database with its indexes."""
        if len(self._waiting) >= self._others:
            name = self._waiting.popleft()
            self._read_oplog()
            changed = self._changed.pop(name, set())
            try:
                with pymongo.timeout(BLOCKED_SECONDS):
                    is_empty = self._clear(name, changed)
            except (PyMongoError, DatabaseUnavailableError) as error:
                if isinstance(error, PyMongoError) and not error.timeout:
                    raise
                self._client.admin.command("killAllSessions", [])
                is_empty = self._clear(name, changed)
            if is_empty:
                return name
            self._names.remove(name)
        return self._made()

    def give_back(self, name):
        """Let the database be used again, when its turn comes and if it has no further indexes."""
        self._waiting.append(name)

    def connect(self, name):
        """Return the database, with connections of earlier tests that had the same options."""
        options = connection.OPTIONS | self._options
        key = frozenset(options.items())
        if key not in self._clients:
            self._clients[key] = AsyncIOMotorClient(self._uri, **options)
        return Database(SharedConnections(self._clients[key]), name)

    def close(self):
        """Close the connections."""
        for client in (self._client, *self._clients.values()):
            client.close()

    def _clear(self, name, changed):
        """Empty a database and make what indexes it lacks; drop one that has others. Return whether it is still there."""
        self._empty(name, changed - {"$cmd", "system.profile"})  # the latter is dropped with its database
        if "$cmd" in changed and _shape(self._collections(name)) != self._fresh:
            with suppress(OperationFailure):  # where an index has the name of another one
                self._prepare(name)
            if _shape(self._collections(name)) != self._fresh:
                self._client.drop_database(name)
                return False
        return True

    def _prepare(self, name):
        database = Database.connect(self._uri, name)
        try:
            self._run(database.prepare(retention=None))
        finally:
            database.close()

    def _made(self):
        name = f"test-{uuid4().hex}"
        self._prepare(name)
        self._names.add(name)
        if self._fresh is None:
            self._fresh = _shape(self._collections(name))
        return name

    def _collections(self, name):
        """What the catalog has of each collection. One command tells what would take two dozen."""
        catalog = self._client.admin.aggregate([{"$listCatalog": {}}, {"$match": {"db": name}}])
        return {entry["name"]: entry["md"] for entry in catalog}

    def _read_oplog(self):
        """Note which collections have had documents since; "$cmd" stands for changes of collections and indexes.

        The oplog has every change, whoever made it. Where there is none, or it has lost what was read last, all may have
        changed.
        """
        written = {"$match": {"op": {"$in": ["i", "u", "c"]}, "ts": {"$gte": self._seen}}}
        each = {"$ifNull": ["$o.applyOps", [{"op": "$op", "ns": "$ns"}]]}
        split = [{"$project": {"ts": 1, "each": each}}, {"$unwind": "$each"}, {"$match": {"each.op": {"$ne": "d"}}}]
        grouped = {"$group": {"_id": "$each.ns", "first": {"$min": "$ts"}, "last": {"$max": "$ts"}}}
        found = list(self._client.local["oplog.rs"].aggregate([written, *split, grouped]))
        for one in found:
            database, _, collection = one["_id"].partition(".")
            self._changed[database].add(collection)
        if self._seen not in {one["first"] for one in found}:
            for name in self._names:
                self._changed[name] |= {"$cmd", *self._collections(name)}
        self._seen = max((one["last"] for one in found), default=self._seen)

    def _empty(self, name, filled):
        """Delete all documents. Whoever waits for a majority to have deleted the last ones waits for all before them."""
        *others, last = filled or [None]
        for collection in others:
            self._client[name].get_collection(collection, write_concern=WriteConcern(1)).delete_many({})
        if last:
            self._client[name].get_collection(last).delete_many({})


def _shape(collections):
    """All that is not documents: options and indexes of collections, aside from those without either."""
    shape = {}
    for name, about in collections.items():
        options = {option: value for option, value in about["options"].items() if option != "uuid"}
        indexes = {index["spec"]["name"]: index["spec"] for index in about["indexes"]}
        if options or set(indexes) != {"_id_"}:
            shape[name] = options, indexes
    return shape
