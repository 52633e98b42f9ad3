"""Databases that are used again."""

from __future__ import annotations

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from tests.mongodb import databases as module
from tests.mongodb.databases import Databases

NO_SUCH_TRANSACTION = 251


def test_who_has_a_database_next_finds_it_empty_with_the_same_indexes(run_apart, mongodb_uri):
    uri = mongodb_uri
    databases = Databases(uri, run_apart, others=1)
    databases.give_back(databases.take())
    with MongoClient(uri) as client:
        database = client[databases.take()]
        indexes = set(database.sessions.index_information())
        for change in (None, None, "fewer", "more"):
            database.sessions.insert_many([{"initiator_id": 1}, {"initiator_id": 2}])
            database.other.insert_one({})
            with client.start_session() as session, session.start_transaction():
                database.rollups.insert_one({}, session=session)
            if change == "fewer":
                database.sessions.drop_index(max(indexes))
            elif change == "more":
                database.sessions.drop_index(max(indexes))
                database.sessions.create_index("other", name=max(indexes))
                database.command("profile", 2)
                database.command("profile", 0)
            databases.give_back(database.name)
            again = client[databases.take()]
            assert (again.name == database.name) is (change != "more")
            assert set(again.sessions.index_information()) == indexes
            names = again.list_collection_names()
            assert {name: again[name].count_documents({}) for name in names} == dict.fromkeys(names, 0)
            assert "other" in names or change == "more"
    databases.close()


def test_a_transaction_that_nobody_ends_holds_no_other_test_up(mongodb_uri, run_apart, monkeypatch):
    monkeypatch.setattr(module, "BLOCKED_SECONDS", 0.2)
    databases = Databases(mongodb_uri, run_apart, others=1)
    with MongoClient(mongodb_uri) as client, client.start_session() as session:
        name = databases.take()
        users = client[name].users
        users.insert_one({"_id": 1})
        session.start_transaction()
        users.update_one({"_id": 1}, {"$set": {"name": "ada"}}, session=session)
        databases.give_back(name)
        assert (databases.take(), users.count_documents({})) == (name, 0)
        with pytest.raises(OperationFailure) as caught:
            users.find_one({"_id": 1}, session=session)
        assert caught.value.code == NO_SUCH_TRANSACTION
        # nor does one that keeps an index from being dropped
        retained = client[name].sessions
        retained.create_index("last_active_at", name="retention")
        session.abort_transaction()
        session.start_transaction()
        retained.insert_one({"_id": 1}, session=session)
        databases.give_back(name)
        assert (databases.take(), retained.count_documents({})) == (name, 0)
        assert "retention" not in retained.index_information()
    databases.close()
