"""Databases for tests, and connections to them, used again and again.

A database has some sixty files, which a mongod keeps open for minutes after they are dropped, and to sweep thousands of them
up takes it seconds. To empty a database takes some milliseconds, and to make one 200. Connections of its own take a test 15.
"""

from collections import deque
from uuid import uuid4

import pymongo
from motor.core import AgnosticClient
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError

from storage.mongo.database import OPTIONS, Database

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

    @property
    def uri(self):
        """Where the mongod answers."""
        return self._uri

    def take(self):
        """Return the name of an empty database with its indexes."""
        if len(self._waiting) >= self._others:
            name = self._waiting.popleft()
            collections = self._collections(name)
            try:
                with pymongo.timeout(BLOCKED_SECONDS):
                    self._empty(name, collections)
            except PyMongoError as error:
                if not error.timeout:
                    raise
                self._client.admin.command("killAllSessions", [])
                self._empty(name, collections)
            if _shape(collections) == self._fresh:
                return name
            self._client.drop_database(name)
        return self._made()

    def give_back(self, name):
        """Let the database be used again, when its turn comes and if it has the indexes that it was made with."""
        self._waiting.append(name)

    def connect(self, name):
        """Return the database, with connections of earlier tests that had the same options."""
        options = OPTIONS | self._options
        key = frozenset(options.items())
        if key not in self._clients:
            self._clients[key] = AsyncIOMotorClient(self._uri, **options)
        return Database(SharedConnections(self._clients[key]), name)

    def close(self):
        """Close the connections."""
        for client in (self._client, *self._clients.values()):
            client.close()

    def _prepare(self, name):
        database = Database.connect(self._uri, name)
        try:
            self._run(database.prepare(retention=None))
        finally:
            database.close()

    def _made(self):
        name = f"test-{uuid4().hex}"
        self._prepare(name)
        if self._fresh is None:
            self._fresh = _shape(self._collections(name))
        return name

    def _collections(self, name):
        """What the catalog has of each collection. One command tells what would take two dozen."""
        catalog = self._client.admin.aggregate([{"$listCatalog": {}}, {"$match": {"db": name}}])
        return {entry["name"]: entry["md"] for entry in catalog}

    def _empty(self, name, collections):
        """Delete all documents: one command tells where there are any.

        Whoever waits for a majority to have deleted the last ones waits for all before them.
        """
        database = self._client[name]
        first, *others = [one for one in collections if not one.startswith("system.")]
        looks = [{"$unionWith": {"coll": one, "pipeline": _one_of(one)}} for one in others]
        filled = [one["of"] for one in database[first].aggregate(_one_of(first) + looks)]
        for collection in filled:
            concern = WriteConcern("majority" if collection == filled[-1] else 1)
            database.get_collection(collection, write_concern=concern).delete_many({})


def _one_of(collection):
    """The stages that return a document with the name of a collection if there is any in it."""
    return [{"$limit": 1}, {"$project": {"_id": 0, "of": {"$literal": collection}}}]


def _shape(collections):
    """All that is not documents: options and indexes of collections, aside from those without either."""
    shape = {}
    for name, about in collections.items():
        options = {option: value for option, value in about["options"].items() if option != "uuid"}
        indexes = {index["spec"]["name"]: index["spec"] for index in about["indexes"]}
        if options or set(indexes) != {"_id_"}:
            shape[name] = options, indexes
    return shape
