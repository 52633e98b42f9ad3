from contextlib import suppress
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.live.live import STARTS_AND_ENDS
from storage.mongo.change_stream import (
    ChangeStream,
    ForgottenPositionError,
    InvalidPositionError,
)
from storage.mongo.database import Database
from tests.examples import examples
from tests.storage.calls import Calls


@pytest.fixture
def calls(database):
    return Calls(database)


@pytest.fixture
def opened(io_loop, database):
    """Opens streams, closed with the test."""
    streams = []

    async def opened(after=None):
        streams.append(await ChangeStream.open(database, STARTS_AND_ENDS, after))
        return streams[-1]

    yield opened
    for stream in streams:
        io_loop.run_sync(stream.close)


def ends(changes):
    return [(change.document["_id"].int, change.document.get("end_reason")) for change in changes]


async def read(stream, number):
    """Read until that many came."""
    changes = []
    while len(changes) < number:
        changes += await stream.read()
    return changes


async def test_each_start_and_each_end_is_told_once_with_the_whole_document(calls, opened, database):
    stream = await opened()
    await calls.start(1)
    (started,) = await stream.read()
    assert started.document["status"] == "in_flight"
    assert started.document == await database.interceptions.find_one({})
    await calls.start(1)
    await calls.end(1)
    await calls.end(1)
    await calls.start(2)
    ended, second = await read(stream, 2)
    assert ended.document == await database.interceptions.find_one({"_id": UUID(int=1)})
    assert ends([started, ended, second]) == [(1, None), (1, "completed"), (2, None)]


async def test_a_position_of_another_database_is_refused(opened, calls, mongodb_uri):
    other = Database.connect(mongodb_uri, f"test-{uuid4().hex}")
    await other.interceptions.insert_one({"_id": 0})
    stream = await ChangeStream.open(other, STARTS_AND_ENDS)
    await other.interceptions.insert_one({"_id": 1})
    (change,) = await stream.read()
    await stream.close()
    await other.interceptions.drop()
    other.close()
    await calls.start(1)
    with pytest.raises((InvalidPositionError, ForgottenPositionError)):
        await (await opened(change.position)).read()


@settings(max_examples=examples(6, 150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(min_value=0), digits=st.text("0123456789ABCDEF", max_size=6), cut=st.integers(0, 8))
def test_a_position_that_was_tampered_with_is_refused_or_taken_but_breaks_nothing(io_loop, database, at, digits, cut):
    async def resume():
        stream = await ChangeStream.open(database, STARTS_AND_ENDS)
        await database.interceptions.insert_one({"_id": uuid4()})
        (change,) = await stream.read()
        await stream.close()
        at_ = at % len(change.position)
        position = change.position[:at_] + digits + change.position[at_ + cut :]
        with suppress(InvalidPositionError, ForgottenPositionError):
            stream = await ChangeStream.open(database, STARTS_AND_ENDS, position)
            try:
                await stream.read(1)
            finally:
                await stream.close()

    io_loop.run_sync(resume)
