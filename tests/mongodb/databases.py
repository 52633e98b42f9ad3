"""Databases for tests, used again and again.

A database has some sixty files, which a mongod keeps open for minutes after they are dropped, and to sweep thousands of them
up takes it seconds. To empty a database takes 10 ms, and to make one 200.
"""

from __future__ import annotations

from collections import deque
from uuid import uuid4

from pymongo import MongoClient

from storage.mongo.database import Database

WAITING = 8
"""How many others are used before one is used again, so that what its last test left running cannot reach the next."""


class Databases:
    """The databases of one mongod, each for one test at a time.

    Args:
        uri: Where the mongod answers.
        run: Runs a coroutine to its end.
    """

    def __init__(self, uri, run):
        self._uri = uri
        self._run = run
        self._client = MongoClient(uri)
        self._waiting = deque()
        self._fresh = None

    def take(self):
        """Return the name of an empty database with its indexes."""
        if len(self._waiting) >= WAITING:
            name = self._waiting.popleft()
            collections = self._collections(name)
            if _shape(collections) == self._fresh:
                for collection in self._filled(name, list(collections)):
                    self._client[name][collection].delete_many({})
                return name
            self._client.drop_database(name)
        return self._made()

    def give_back(self, name):
        """Let the database be used again, when its turn comes and if it has still the indexes that it had."""
        self._waiting.append(name)

    def close(self):
        """Close the connections."""
        self._client.close()

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
