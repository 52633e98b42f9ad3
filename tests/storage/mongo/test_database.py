import asyncio
from datetime import timedelta

import pytest

from storage.mongo.database import Database, DatabaseUnavailableError
from storage.mongo.indexes import INDEXES
from storage.mongo.retention import set_retention
from tests.cases import for_each


async def indexes(database):
    return {name: await database._database[name].index_information() for name in INDEXES}


async def retention(database):
    index = (await database.interceptions.index_information()).get("retention")
    return index and (index["key"], index["expireAfterSeconds"])


async def test_many_may_prepare_a_new_database_at_once_which_is_waited_for_and_said(database, monkeypatch, caplog):
    made = await indexes(database)
    await database.interceptions.drop()
    await asyncio.gather(*(database.prepare(retention=None) for _ in range(3)))
    assert await indexes(database) == made
    # The first write would make it, and the pages that read it be refused for a moment.
    assert "derived" in await database._database.list_collection_names()
    monkeypatch.setattr("storage.mongo.indexes._LONG_SECONDS", 0)
    with caplog.at_level("INFO"):
        await database.prepare(retention=None)
    assert caplog.messages == ["creating indexes; calls are served afterwards"]


async def test_a_database_with_other_indexes_is_refused_in_a_sentence(database):
    await database.interceptions.drop_index("by_combination")
    await database.interceptions.create_index("instance_id", name="by_combination")
    name = database.interceptions.database.name
    said = f"the collection interceptions of the database {name} has indexes that are not of this version of AI Bridge"
    with pytest.raises(DatabaseUnavailableError, match=f"^{said}: name another database, or remove this one$"):
        await database.prepare(retention=None)


async def test_a_start_does_not_wait_for_the_transaction_of_a_killed_process(database):
    async with await database._client.start_session() as session, session.start_transaction():
        for name in INDEXES:
            await database._database[name].update_one({"_id": "open"}, {"$set": {"open": True}}, session=session)
        await database.prepare(retention=None)
        await session.abort_transaction()


async def test_retention_is_whole_seconds_that_mongodb_takes(database):
    kept = {timedelta(milliseconds=1): 1, timedelta(0): 1, timedelta(seconds=1.5): 2, timedelta.max: 2**31 - 1}
    for requested, seconds in kept.items():
        for _ in range(2):  # again nothing is to be done
            await set_retention(database._database, requested)
            assert await retention(database) == ([("started_at", 1)], seconds), requested
    for _ in range(2):
        await set_retention(database._database, None)
        assert await retention(database) is None


async def test_what_is_acknowledged_is_on_disk_whatever_the_uri_says(mongodb_uri):
    database = Database.connect(f"{mongodb_uri}&w=1&journal=false", "x")
    assert database.interceptions.write_concern.document == {"w": "majority", "j": True}
    database.close()


@for_each(
    "uri",
    "http://ada:s3cret@localhost",
    "mongodb://",
    "mongodb://ada:s3c/ret@localhost",
    "mongodb://ada:s3c@ret@localhost",
    "mongodb://ada:s3:cret@localhost",
    "mongodb://ada:s3cret@localhost:port",
    "mongodb://ada:s3cret@localhost/?w=majority&journal",
)
def test_what_is_no_uri_is_refused_without_being_quoted(uri):
    with pytest.raises(DatabaseUnavailableError) as caught:
        Database.connect(uri, "x")
    assert str(caught.value) == (
        "mongodb-uri is not valid: it looks like mongodb://user:password@host:27017/?option=value, with special "
        "characters in user and password percent-encoded"
    )
    assert caught.value.__cause__ is caught.value.__context__ is None


@for_each(
    ("options", "text"),
    ("tls=s3cret", "has an option that cannot be used: The value of tls must be 'true' or 'false'"),
    ("appname=a&appname=s3cret", "has an option that cannot be used: Duplicate URI option 'appname'."),
    ("authMechanismProperties=s3cret", "has an option that cannot be used: Malformed auth mechanism properties"),
    ("tlsCAFile=/s3cret", "cannot be used: [Errno 2] The tlscafile file is not readable"),
)
def test_an_option_that_cannot_be_used_is_refused_without_its_value(options, text):
    with pytest.raises(DatabaseUnavailableError) as caught:
        Database.connect(f"mongodb://ada:s3cret@localhost/?{options}", "x")
    assert str(caught.value) == f"mongodb-uri {text}"
