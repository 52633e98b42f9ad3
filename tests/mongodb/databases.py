"""Databases for tests, and connections to them, used again and again.

A database has some sixty files, which a mongod keeps open for minutes after they are dropped, and to sweep thousands of them
up takes it seconds. To empty a database takes 3 ms, and to make one 200. Connections of its own take a test 15 ms.
"""

from __future__ import annotations

from collections import deque
from uuid import uuid4

from motor.core import AgnosticClient
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient, WriteConcern

from storage.mongo import connection
from storage.mongo.database import Database

PROFILE = "system.profile"
"""What a test leaves that had MongoDB write down its commands."""


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
    """

    def __init__(self, uri, run, *, others=8):
        self._uri = uri
        self._run = run
        self._others = others
        self._client = MongoClient(uri)
        # Many times in tests are past. MongoDB removes what has expired once a minute, also while a test looks at it.
        self._client.admin.command("setParameter", 1, ttlMonitorEnabled=False)
        self._clients = {}
        self._waiting = deque()
        self._fresh = None

    @property
    def uri(self):
        """Where the mongod answers."""
        return self._uri

    def take(self):
        """Return the name of an empty database with its indexes."""
        if len(self._waiting) >= self._others:
            name = self._waiting.popleft()
            collections = self._collections(name)
            if collections.pop(PROFILE, None):
                self._client[name].command("profile", 0)
                self._client[name].drop_collection(PROFILE)
            if _shape(collections) == self._fresh:
                self._empty(name, self._filled(name, list(collections)))
                return name
            self._client.drop_database(name)
        return self._made()

    def give_back(self, name):
        """Let the database be used again, when its turn comes and if it has still the indexes that it had."""
        self._waiting.append(name)

    def connect(self, name):
        """Return the database, with connections of earlier tests that had the same options."""
        options = frozenset(connection.OPTIONS.items())
        if options not in self._clients:
            self._clients[options] = connection.open_client(self._uri)
        return Database(SharedConnections(self._clients[options]), name)

    def close(self):
        """Close the connections."""
        for client in (self._client, *self._clients.values()):
            client.close()

    def _made(self):
        name = f"test-{uuid4().hex}"
        database = Database.connect(self._uri, name)
        self._run(database.prepare(retention=None))
        database.close()
        if self._fresh is None:
            self._fresh = _shape(self._collections(name))
        return name

    def _collections(self, name):
        """What the catalog has of each collection. One command tells what would take two dozen."""
        catalog = self._client.admin.aggregate([{"$listCatalog": {}}, {"$match": {"db": name}}])
        return {entry["name"]: entry["md"] for entry in catalog}

    def _empty(self, name, filled):
        """Delete all documents. Whoever waits for a majority to have deleted the last ones waits for all before them."""
        for collection in filled[:-1]:
            self._client[name].get_collection(collection, write_concern=WriteConcern(1)).delete_many({})
        for collection in filled[-1:]:
            self._client[name].get_collection(collection).delete_many({})

    def _filled(self, name, collections):
        """Which collections have documents."""
        first, *others = ((one, [{"$limit": 1}, {"$project": {"_id": one}}]) for one in collections)
        unions = [{"$unionWith": {"coll": one, "pipeline": pipeline}} for one, pipeline in others]
        return [found["_id"] for found in self._client[name][first[0]].aggregate(first[1] + unions)]


def _shape(collections):
    """All that is not documents: options and indexes of collections, aside from those without either."""
    shape = {}
    for name, about in collections.items():
        options = {option: value for option, value in about["options"].items() if option != "uuid"}
        indexes = {index["spec"]["name"]: index["spec"] for index in about["indexes"]}
        if options or set(indexes) != {"_id_"}:
            shape[name] = options, indexes
    return shape
