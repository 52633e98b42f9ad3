from uuid import uuid4

import pytest

from storage.derived.changes import ENDS
from storage.mongo.change_stream import ChangeStream, ForgottenPositionError
from storage.mongo.database import Database
from tests.storage.calls import Calls


@pytest.fixture
def calls(database):
    return Calls(database)


@pytest.fixture
def opened(io_loop, database):
    streams = []

    async def opened(after=None):
        streams.append(await ChangeStream.open(database, ENDS, after))
        return streams[-1]

    yield opened
    for stream in streams:
        io_loop.run_sync(stream.close)


async def test_each_end_is_told_once_with_the_whole_document_from_any_position_on(calls, opened, database):
    stream = await opened()
    for number in (1, 2):
        await calls.start(number)
        for _ in range(2):
            await calls.end(number)
    changes = []
    while len(changes) < 2:
        changes += await stream.read(500)
    kept = await database.interceptions.find().sort("_id").to_list(None)
    assert [bytes(change.id) for change in changes] == [one["_id"].bytes for one in kept]
    assert [change.document["end_reason"] for change in changes] == ["completed"] * 2
    (second,) = await (await opened(changes[0].position)).read(500)
    assert (second.position, second.document) == (changes[1].position, changes[1].document)


async def test_a_position_of_another_database_is_refused(opened, calls, mongodb_uri):
    other = Database.connect(mongodb_uri, f"test-{uuid4().hex}")
    stream = await ChangeStream.open(other, ENDS)
    await Calls(other).start(1)
    await Calls(other).end(1)
    (change,) = await stream.read(500)
    await stream.close()
    await other.interceptions.drop()
    other.close()
    await calls.start(1)
    await calls.end(1)
    with pytest.raises(ForgottenPositionError):
        await (await opened(change.position)).read(500)
