import socket

import pytest

from storage import authentication as authentication_module
from storage import database as database_module
from storage import identities as identities_module
from storage.database import Database
from storage.mongod import Mongod, arguments, find_program
from tests.storage.conditions import until


@pytest.fixture
def impatient(monkeypatch):
    """Give up on a database that is away almost at once."""
    options = database_module.OPTIONS | {"serverSelectionTimeoutMS": 20}
    monkeypatch.setattr(database_module, "OPTIONS", options)
    monkeypatch.setattr(authentication_module, "VERIFY_SECONDS", 0.02)
    monkeypatch.setattr(identities_module, "ANSWER_SECONDS", 0.02)


@pytest.fixture
def unreachable(impatient):
    """A database at an address where nobody listens, and nobody will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        database = Database.connect(f"mongodb://ada:s3cret@127.0.0.1:{bound.getsockname()[1]}/", "away")
        yield database
        database.close()


@pytest.fixture
def single_server(io_loop, tmp_path):
    """An empty database in a MongoDB that is no replica set."""
    address = tmp_path / "mongodb.sock"
    command = [each for each in arguments(database_dir=tmp_path, socket=address) if each not in {"--replSet", "rs0"}]
    mongod = Mongod(find_program(), command, tmp_path / "mongod.log")
    io_loop.run_sync(lambda: until(address.exists))
    database = Database.connect(f"mongodb://{str(address).replace('/', '%2F')}/?directConnection=true", "single")
    io_loop.run_sync(lambda: database.prepare(retention=None))
    yield database
    database.close()
    io_loop.run_sync(mongod.stop)
