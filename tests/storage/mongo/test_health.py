import asyncio

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    WTimeoutError,
)

from storage.mongo import health as health_module
from storage.mongo.errors import DatabaseUnavailableError
from storage.mongo.health import DatabaseHealth
from tests.bridge import until


class Probe:
    """Succeeds or fails as a test says; counts how often it was made."""

    def __init__(self):
        self.fails = False
        self.made = 0

    async def __call__(self):
        self.made += 1
        await asyncio.sleep(0)
        if self.fails:
            raise DatabaseUnavailableError("MongoDB is unavailable: probe")


@pytest.fixture
def probe(monkeypatch):
    monkeypatch.setattr(health_module, "PROBE_PAUSE_SECONDS", 0)
    return Probe()


@pytest.fixture
def clock():
    return iter(range(100, 200)).__next__


@pytest.fixture
def health(probe, clock):
    return DatabaseHealth(probe, clock=clock)


@pytest.fixture
def watching(io_loop, health):
    task = io_loop.asyncio_loop.create_task(health.watch())
    yield task
    task.cancel()
    io_loop.run_sync(lambda: asyncio.wait([task]))


@pytest.mark.expects_log(r"^WARNING storage\.mongo\.health: the database is unavailable: gone$")
@pytest.mark.usefixtures("watching")
async def test_an_outage_and_its_end_are_logged_once(health, probe, caplog):
    caplog.set_level("INFO")
    probe.fails = True
    health.lose("gone")
    await until(lambda: probe.made >= 5)
    health.lose("again")
    probe.fails = False
    await until(lambda: health.available and len(caplog.messages) > 1)
    assert caplog.messages == [
        "the database is unavailable: gone",
        "the database is available again, after 1 s",
    ]


@pytest.mark.expects_log(r"^WARNING storage\.mongo\.health: nothing is done for now: too slow$")
async def test_an_available_database_that_is_too_slow_is_logged_once_a_row(health, log_watch):
    for rows in (1, 2):
        for _ in range(3):
            with health.tolerate("nothing is done"):
                raise DatabaseUnavailableError("too slow")
        assert len(log_watch.lines) == rows
        with health.tolerate("nothing is done"):
            pass


async def test_what_fails_within_a_bound_is_reported_and_named(database):
    for error, text, lost in (
        (AutoReconnect("connection closed"), "MongoDB is unavailable: connection closed", True),
        (NetworkTimeout("timed out"), "MongoDB is unavailable: timed out", True),
        (WTimeoutError("no majority", 64), "MongoDB is unavailable: no majority", True),
        (OperationFailure("not allowed", 13), "MongoDB is unavailable: not allowed", True),
        (ExecutionTimeout("too slow", 50), "MongoDB is unavailable: too slow", False),
        (OperationFailure("bad operator", 2), "MongoDB does not count: OperationFailure", False),
        (BulkWriteError({"writeErrors": [{"code": 11000}]}), "MongoDB does not count: BulkWriteError", False),
        (
            BulkWriteError({"writeErrors": [{"code": 11602}]}),
            "MongoDB is unavailable: batch op errors occurred",
            True,
        ),
        (
            BulkWriteError({"writeConcernErrors": [{"code": 100}]}),
            "MongoDB is unavailable: batch op errors occurred",
            True,
        ),
    ):
        database.health.find()
        with pytest.raises(DatabaseUnavailableError) as caught:
            async with database.within(1, "count"):
                raise error
        assert (str(caught.value), caught.value.__cause__) == (text, error)
        assert database.health.available is not lost, error


async def _not_answered():
    raise DatabaseUnavailableError("MongoDB is unavailable: no primary")


@pytest.mark.parametrize("error", [NetworkTimeout("timed out"), None])
async def test_of_a_slow_question_a_probe_says_whether_the_database_is_lost(database, monkeypatch, error):
    monkeypatch.setattr("storage.mongo.database.SLACK_SECONDS", 0)
    monkeypatch.setattr("storage.mongo.database.PING_SECONDS", 60)

    async def query():
        async with database.query(60 if error else 0.01):
            if error:
                raise error
            await asyncio.Event().wait()

    with pytest.raises(DatabaseUnavailableError, match="timed out" if error else "no answer in time"):
        await query()
    assert database.health.available
    monkeypatch.setattr(database.health, "_probe", _not_answered)
    with pytest.raises(DatabaseUnavailableError, match="timed out" if error else "no answer in time"):
        await query()
    assert (database.health.available, database.health.reason) == (False, "MongoDB is unavailable: no primary")
