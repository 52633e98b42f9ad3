"""A MongoDB that tests freeze and kill."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.monitoring import CommandListener

from storage.mongo.database import OPTIONS, Database
from storage.mongo.embedded import EmbeddedMongoDB
from storage.mongo.mongod import Mongod, arguments, find_program
from storage.recording.outbox import writer
from tests.mongodb.database_timeouts import UNAVAILABLE
from tests.mongodb.databases import Databases
from tests.mongodb.memory import data_folder
from tests.mongodb.replica_set import ReplicaSet


def freeze(pid):
    """Stop a process, and return when each of its threads has stopped: what was asked until then it may still answer."""
    os.kill(pid, signal.SIGSTOP)
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            while (task / "stat").read_text().rpartition(")")[2].split()[0] != "T":
                os.sched_yield()


def thaw(pid):
    os.kill(pid, signal.SIGCONT)


class Commands(CommandListener):
    """What the driver sends, as (name, number of writes)."""

    def __init__(self):
        self.sent = []

    def started(self, event):
        writes = event.command.get("updates") or event.command.get("documents") or ()
        self.sent.append((event.command_name, len(writes)))

    def succeeded(self, event):
        pass

    def failed(self, event):
        pass

    @property
    def batches(self):
        return [writes for name, writes in self.sent if name in {"insert", "update"}]


def start_single(folder):
    address = folder / "mongodb.sock"
    command = [each for each in arguments(database_dir=folder, socket=address) if each not in {"--replSet", "rs0"}]
    mongod = Mongod(find_program(), command, folder / "mongod.log")
    return mongod, f"mongodb://{quote_plus(str(address))}/?directConnection=true"


class PrivateMongoDB:
    """A mongod that freezes, thaws, dies and comes back when a test says so; one that tests share only freezes."""

    def __init__(self, data_dir, *, shared=False):
        self.databases = None
        self._data_dir = data_dir
        self._mongodb = None
        self._shared = shared

    async def start(self):
        self._mongodb = await EmbeddedMongoDB.start(self._data_dir)

    @property
    def uri(self):
        return self._mongodb.uri

    def freeze(self):
        """From now on it accepts and never answers."""
        freeze(self._mongodb.pid)

    def thaw(self):
        thaw(self._mongodb.pid)

    async def kill(self):
        assert not self._shared, "the test is to have a MongoDB of its own: @pytest.mark.own_mongodb"
        await self.end()

    async def end(self):
        os.kill(self._mongodb.pid, signal.SIGKILL)
        await self._mongodb.stop()
        os.utime(self._data_dir / "lock")  # nobody holds it until the next start


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "own_mongodb: the test kills its private MongoDB, changes how it works, or reads what it counts"
    )


@pytest.fixture(scope="session")
def shared_mongodb(tmp_path_factory, run_apart):
    """The MongoDB that tests freeze or watch one after the other. To start one takes half a second."""
    with data_folder(tmp_path_factory.mktemp("shared-mongodb")) as folder:
        mongodb = PrivateMongoDB(folder, shared=True)
        run_apart(mongodb.start())
        mongodb.databases = Databases(mongodb.uri, run_apart, others=2)
        yield mongodb
        mongodb.databases.close()
        run_apart(mongodb.end())


@pytest.fixture
def private_mongodb(request, io_loop, tmp_path, run_apart):
    """That one; for tests of the mark a fresh one, as a killed one takes long to recover when it has seen many tests."""
    if request.node.get_closest_marker("own_mongodb") is None:
        mongodb = request.getfixturevalue("shared_mongodb")
        yield mongodb
        mongodb.thaw()
    else:
        mongodb = PrivateMongoDB(tmp_path / "data")
        io_loop.run_sync(mongodb.start)
        mongodb.databases = Databases(mongodb.uri, run_apart)
        yield mongodb
        mongodb.databases.close()
        io_loop.run_sync(mongodb.end)


@pytest.fixture
def brief_outages(request, monkeypatch):
    """What takes seconds, so that a moment's hiccup is not an outage, takes less where the database is taken away."""
    monkeypatch.setattr(writer, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(writer, "LAST_RETRY_SECONDS", 0.05)
    if not UNAVAILABLE.isdisjoint(request.fixturenames):
        monkeypatch.setattr(writer, "COMMIT_SECONDS", 0.3)
        # The new primary of a replica set may be slow for longer, and what it is sent it has to be let finish.
        if "replica_set" not in request.fixturenames:
            monkeypatch.setattr(writer, "REPLAY_SECONDS", 1)


@pytest.fixture
def commands():
    return Commands()


@pytest.fixture
def private_database(io_loop, private_mongodb, commands):
    client = AsyncIOMotorClient(private_mongodb.uri, event_listeners=[commands], **OPTIONS)
    # A transaction that was under way when MongoDB was frozen holds what it changed for a minute.
    io_loop.run_sync(lambda: client.admin.command({"killAllSessions": []}))
    name = private_mongodb.databases.take()
    commands.sent.clear()
    database = Database(client, name)
    yield database
    database.close()
    private_mongodb.databases.give_back(name)


@pytest.fixture
def replica_set(io_loop, tmp_path):
    replica_set = ReplicaSet(tmp_path, election_ms=2_000)
    io_loop.run_sync(replica_set.start)
    yield replica_set
    io_loop.run_sync(replica_set.kill)
