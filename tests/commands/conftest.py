import json
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

import pytest

from commands import servers as local_servers
from intercept.records import CredentialKind, Ending, EndReason, Interception
from storage.recording.documents import ending_fields, start_document
from tests.command_line import invoke, succeeded


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
    """Put an interception into the database; the later it is recorded, the later it began."""
    times = (datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in range(24))

    def record(*, ended=True, **fields):
        at = next(times)
        given = {
            "id": uuid4(),
            "api_key_id": "abcdefghij",
            "initiator_id": ada,
            "provider": "openai",
            "provider_name": "openai",
            "route": "/v1/chat/completions",
            "model": "gpt-5",
            "streaming": True,
            "client": "Unknown",
            "client_session_id": None,
            "user_agent": "",
            "credential_kind": CredentialKind.CENTRALIZED,
            "credential_hint": "...",
            "started_at": at,
        }
        interception = Interception(**(given | fields))
        document = start_document(interception, instance_id=uuid4(), new_id=uuid4)
        if ended:
            ending = Ending(interception_id=interception.id, end_reason=EndReason.COMPLETED, ended_at=at)
            document |= ending_fields(ending, new_id=uuid4)
        io_loop.run_sync(lambda: database.interceptions.insert_one(document))
        return str(interception.id)

    return record
