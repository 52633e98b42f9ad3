import socket

import pytest

from storage import database as database_module
from storage import identities as identities_module
from storage.database import Database


@pytest.fixture
def impatient(monkeypatch):
    """Give up on a database that is away almost at once."""
    options = database_module.OPTIONS | {"serverSelectionTimeoutMS": 20}
    monkeypatch.setattr(database_module, "OPTIONS", options)
    monkeypatch.setattr(identities_module, "VERIFY_SECONDS", 0.02)


@pytest.fixture
def unreachable(impatient):
    """A database at an address where nobody listens, and nobody will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        database = Database.connect(f"mongodb://ada:s3cret@127.0.0.1:{bound.getsockname()[1]}/", "away")
        yield database
        database.close()
