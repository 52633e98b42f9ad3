from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from pymongo import WriteConcern

from storage.batch import write_batch
from storage.database import Database, DatabaseUnavailableError
from storage.operations import Action, Operation

TOO_DEEP = 15
EMPTY_NAME = 56
TOO_LARGE = 17420


def start(number, **fields):
    return Operation.encode(Action.START, UUID(int=number), {"status": "in_flight", **fields})


def nested(levels):
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value


async def ids(database):
    return {document["_id"].int async for document in database.interceptions.find(projection=["_id"])}


@pytest.mark.gen_test
async def test_all_operations_go_in_one_command_and_in_their_order(private_database, commands):
    end = Operation.encode(Action.END, UUID(int=1), {"status": "completed"})
    assert await write_batch(private_database.interceptions, [start(1), end, start(2)], seconds=5) == []
    assert commands.batches == [3]
    assert await private_database.interceptions.find().to_list(None) == [
        {"_id": UUID(int=1), "status": "completed"},
        {"_id": UUID(int=2), "status": "in_flight"},
    ]


@pytest.mark.gen_test
async def test_an_acknowledgement_means_a_majority_has_it_on_disk(private_database, commands):
    seen = []
    commands.started = lambda event: seen.append(event.command.get("writeConcern"))
    await write_batch(private_database.interceptions, [start(1)], seconds=5)
    assert seen == [{"w": "majority", "j": True}]


@pytest.mark.gen_test
async def test_nothing_to_write_asks_nothing(private_database, commands):
    assert await write_batch(private_database.interceptions, [], seconds=5) == []
    assert commands.sent == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"": 1}, EMPTY_NAME),
        ({"text": "x" * (16 * 1024**2)}, TOO_LARGE),
        ({"deep": nested(300)}, TOO_DEEP),
    ],
    ids=["a name it does not allow", "too large", "so deep that the whole command fails"],
)
@pytest.mark.parametrize("position", [0, 3, 6])
@pytest.mark.gen_test
async def test_a_document_that_is_refused_keeps_no_other_from_being_written(database, fields, code, position):
    operations = [start(number) for number in range(7)]
    operations[position] = start(position, **fields)
    assert await write_batch(database.interceptions, operations, seconds=10) == [(operations[position], code)]
    assert await ids(database) == set(range(7)) - {position}


@pytest.mark.gen_test
async def test_many_may_be_refused(database):
    bad = [start(number, **{"": 1}) for number in range(0, 200, 2)]
    good = [start(number) for number in range(1, 200, 2)]
    mixed = [operation for pair in zip(bad, good, strict=True) for operation in pair]
    assert await write_batch(database.interceptions, mixed, seconds=10) == [(one, EMPTY_NAME) for one in bad]
    assert await ids(database) == set(range(1, 200, 2))


@pytest.mark.gen_test
async def test_a_frozen_database_is_unavailable_after_the_time_that_was_given(private_database, private_mongodb):
    private_mongodb.freeze()
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(DatabaseUnavailableError, match=r"^MongoDB is unavailable: .*: timed out$"):
        await write_batch(private_database.interceptions, [start(1)], seconds=0.2)
    assert 0.2 <= loop.time() - began < 2


@pytest.mark.gen_test
async def test_waiting_for_a_free_thread_counts_as_waiting(private_database, private_mongodb):
    await private_database.ping()
    private_mongodb.freeze()
    stuck = [asyncio.ensure_future(private_database.users.find_one()) for _ in range(200)]
    with pytest.raises(DatabaseUnavailableError, match=r"^MongoDB (is unavailable|does not take records): "):
        await write_batch(private_database.interceptions, [start(1)], seconds=0.2)
    private_mongodb.thaw()
    assert await asyncio.gather(*stuck) == [None] * 200


@pytest.mark.gen_test
async def test_a_write_that_no_majority_can_acknowledge_is_not_acknowledged(private_database):
    unreachable = private_database.interceptions.with_options(write_concern=WriteConcern(w=7))
    with pytest.raises(DatabaseUnavailableError, match=r"^MongoDB (is unavailable|does not take records): "):
        await write_batch(unreachable, [start(1)], seconds=1)


@pytest.mark.gen_test
async def test_a_dead_database_is_unavailable(tmp_path):
    database = Database.connect(f"mongodb://{str(tmp_path / 'none.sock').replace('/', '%2F')}", "test")
    with pytest.raises(DatabaseUnavailableError, match=r"^MongoDB is unavailable: .*none\.sock"):
        await write_batch(database.interceptions, [start(1)], seconds=0.2)
    database.close()
