from itertools import product

import pytest
from pymongo import WriteConcern

from storage.mongo.database import DatabaseUnavailableError
from storage.recording.outbox.writer import write_batch
from tests.storage.recording.writes import checkpoint, nested, start

TOO_DEEP = 15
EMPTY_NAME = 56
NOT_VALID = 121


async def ids(database, matching=None):
    return {document["_id"].int async for document in database.interceptions.find(matching, ["_id"])}


def changed(number, **fields):
    return checkpoint(number, tokens=5, **fields)


async def validated(database):
    """Let the database refuse some documents by themselves."""
    rule = {"status": {"$ne": "unheard of"}}
    collection = database.interceptions
    await collection.database.command({"collMod": collection.name, "validator": rule})


async def test_an_acknowledgement_means_a_majority_has_it_on_disk(private_database, commands):
    seen = []
    commands.started = lambda event: seen.append(event.command.get("writeConcern"))
    await write_batch(private_database, [start(1)], seconds=5)
    assert seen == [{"w": "majority", "j": True}]


BAD = {
    "a name it does not allow": (changed, {"": 1}, EMPTY_NAME),
    "what the collection does not allow": (start, {"status": "unheard of"}, NOT_VALID),
    "so deep that the whole command fails": (start, {"deep": nested(300)}, TOO_DEEP),
    "a change so deep": (changed, {"deep": nested(300)}, TOO_DEEP),
}


async def test_an_operation_that_is_refused_keeps_no_other_from_being_written(database):
    await validated(database)
    for (case, (make, fields, code)), position in product(BAD.items(), (0, 3, 6)):
        await database.interceptions.delete_many({})
        made = [start(number) for number in range(10, 17)]
        assert await write_batch(database, made, seconds=10) == [], case
        operations = [make(number + (10 if make is changed else 0)) for number in range(7)]
        operations[position] = bad = make(operations[position].id.int, **fields)
        assert await write_batch(database, operations, seconds=10) == [(bad, code)], (case, position)
        written = {operation.id.int for operation in operations if operation is not bad}
        assert await ids(database, {} if make is start else {"tokens": 5}) == written | (
            {operation.id.int for operation in made} if make is start else set()
        ), (case, position)


async def test_a_write_that_no_majority_can_acknowledge_is_not_acknowledged(private_database):
    private_database.interceptions = private_database.interceptions.with_options(write_concern=WriteConcern(w=7))
    with pytest.raises(DatabaseUnavailableError, match=r"^MongoDB (is unavailable|does not take records): "):
        await write_batch(private_database, [start(1)], seconds=1)
