"""Records for tests: a plain one of each kind."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import bson
import msgspec
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions

from intercept.records import (
    CredentialKind,
    Ending,
    EndReason,
    Reading,
    StartRecord,
    UserPrompt,
)
from storage.accounts.users import Role, User
from storage.recording.operations import encoded

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ADA = User(
    id=UUID("0000ada0-0000-4000-8000-000000000000"),
    username="ada",
    name="Ada Lovelace",
    role=Role.MEMBER,
    created_at=NOON,
)
INSTANCE = UUID("11111111-0000-4000-8000-000000000000")
ID = UUID("22222222-0000-4000-8000-000000000000")

_READ = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)


def kept(document):
    """Return a document as the database gives it back."""
    return bson.decode(encoded(document), _READ)


def interception(**changes):
    fields = {
        "id": ID,
        "api_key_id": "abcdefghij",
        "initiator_id": ADA.id,
        "provider": "openai",
        "provider_name": "openai-eu",
        "route": "/v1/responses",
        "model": "gpt-5",
        "streaming": True,
        "client": "Codex",
        "client_session_id": "session-1",
        "user_agent": "codex/1.0",
        "credential_kind": CredentialKind.CENTRALIZED,
        "credential_hint": "sk-a...wxyz",
        "started_at": NOON,
        "user_prompt": UserPrompt(prompt="Say hello"),
    }
    return StartRecord(**(fields | changes))


def ending(**changes):
    fields = {
        "interception_id": ID,
        "end_reason": EndReason.COMPLETED,
        "ended_at": NOON + timedelta(seconds=2),
        "upstream_asked_at": NOON + timedelta(milliseconds=50),
        "first_byte_at": NOON + timedelta(seconds=1),
        "upstream_status": 200,
        "upstream_request_id": "req_1",
        "reading": Reading(response_id="resp_1", complete=True),
    }
    return Ending(**(fields | changes))


def as_json(make, document, users=None):
    return msgspec.to_builtins(make(document, users or {}))
