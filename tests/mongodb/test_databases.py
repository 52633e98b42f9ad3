"""Databases that are used again."""

from __future__ import annotations

import pytest
from pymongo import MongoClient

from tests.mongodb.databases import Databases


@pytest.mark.parametrize("oplog", [True, False], ids=["with an oplog", "without one"])
def test_who_has_a_database_next_finds_it_empty_with_the_same_indexes(request, run_apart, oplog):
    uri = request.getfixturevalue("mongodb_uri") if oplog else request.getfixturevalue("single_mongodb")[1].uri
    databases = Databases(uri, run_apart, others=1)
    databases.give_back(databases.take())
    with MongoClient(uri) as client:
        database = client[databases.take()]
        indexes = set(database.sessions.index_information())
        for drops_index in (False, False, True):
            database.sessions.insert_many([{"initiator_id": 1}, {"initiator_id": 2}])
            database.other.insert_one({})
            if oplog:
                with client.start_session() as session, session.start_transaction():
                    database.rollups.insert_one({}, session=session)
            if drops_index:
                database.sessions.drop_index(max(indexes))
            databases.give_back(database.name)
            again = client[databases.take()]
            assert (again.name == database.name) is not drops_index
            assert set(again.sessions.index_information()) == indexes
            names = again.list_collection_names()
            assert {name: again[name].count_documents({}) for name in names} == dict.fromkeys(names, 0)
            assert "other" in names or drops_index
    databases.close()
