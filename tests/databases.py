"""Databases for tests, used again and again.

A database has some sixty files, which a mongod keeps open for minutes after they are dropped, and to sweep thousands of them
up takes it seconds. To empty a database takes 10 ms, and to make one 200.
"""

from __future__ import annotations

from collections import deque
from typing import Any
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
        self._waiting = deque()
        self._fresh = None

    def take(self):
        """Return the name of an empty database with its indexes."""
        if len(self._waiting) >= WAITING:
            name = self._waiting.popleft()
            with MongoClient(self._uri) as client:
                if _shape(client[name]) == self._fresh:
                    for collection in client[name].list_collection_names():
                        client[name][collection].delete_many({})
                    return name
                client.drop_database(name)
        return self._made()

    def give_back(self, name):
        """Let the database be used again, when its turn comes and if it has still the indexes that it had."""
        self._waiting.append(name)

    def _made(self):
        name = f"test-{uuid4().hex}"
        database = Database.connect(self._uri, name)
        self._run(database.prepare(retention=None))
        database.close()
        if self._fresh is None:
            with MongoClient(self._uri) as client:
                self._fresh = _shape(client[name])
        return name


def _shape(database: Any) -> dict[str, Any]:
    """All that is not documents: collections with their options and indexes, aside from those without either."""
    shape = {}
    for collection in database.list_collections():
        indexes = database[collection["name"]].index_information()
        if collection["options"] or set(indexes) != {"_id_"}:
            shape[collection["name"]] = collection["options"], indexes
    return shape
