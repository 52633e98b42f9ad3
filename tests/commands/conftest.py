import json
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from commands import servers as local_servers
from storage.recording.documents import ending_fields, start_document
from tests.command_line import invoke, succeeded
from tests.storage.records import INSTANCE, NOON, ending, interception


@pytest.fixture(autouse=True)
def no_other_servers(monkeypatch, tmp_path):
    """Commands do not see what else runs on this machine."""
    monkeypatch.setattr(local_servers, "FOLDER", tmp_path / "servers")


@pytest.fixture
def run(database, mongodb_uri, database_name):
    """Run a command on the database of the test."""
    return partial(invoke, AIBRIDGE_MONGODB_URI=mongodb_uri, AIBRIDGE_MONGODB_DATABASE=database_name)


@pytest.fixture
def output(run):
    """Run a command that is expected to succeed, and return what it prints."""
    return lambda *arguments: succeeded(run(*arguments))


@pytest.fixture
def ada(output):
    output("users", "add", "ada", "--name", "Ada")
    (user,) = json.loads(output("users", "list", "-o", "json"))["results"]
    return UUID(user["id"])


@pytest.fixture
def record(database, io_loop, ada):
    """Put an interception that has ended into the database; the later it is recorded, the later it began."""
    times = (NOON + timedelta(hours=hour) for hour in range(24))

    def record(**changes):
        at = next(times)
        call = interception(**{"id": uuid4(), "initiator_id": ada, "started_at": at} | changes)
        document = start_document(call, instance_id=INSTANCE)
        document |= ending_fields(ending(interception_id=call.id, ended_at=at))
        io_loop.run_sync(lambda: database.interceptions.insert_one(document))
        return str(call.id)

    return record
