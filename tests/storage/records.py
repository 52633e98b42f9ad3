"""Records for tests: a plain one of each kind, and strategies for all possible ones."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import bson
import msgspec
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from hypothesis import strategies as st

from intercept.records import (
    Conversation,
    CredentialKind,
    Ending,
    EndReason,
    Interception,
    ModelResponse,
    ModelThought,
    ProviderError,
    Reading,
    TokenUsage,
    ToolUsage,
    UsageSource,
    UserPrompt,
)
from storage.accounts.identities import Role, User
from storage.recording.truncation import END_BYTES, encoded

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ADA = User(
    id=UUID("0000ada0-0000-4000-8000-000000000000"),
    username="ada",
    display_name="Ada Lovelace",
    role=Role.MEMBER,
    created_at=NOON,
)
INSTANCE = UUID("11111111-0000-4000-8000-000000000000")
ID = UUID("22222222-0000-4000-8000-000000000000")

_READ = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)


def kept(document, most=END_BYTES):
    """Return a document as the database gives it back."""
    return bson.decode(encoded(document, most), _READ)


def counting_ids():
    """Return a source of ids 1, 2, 3 and so on."""
    numbers = iter(range(1, 1_000_000))
    return lambda: UUID(int=next(numbers))


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
    return Interception(**(fields | changes))


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


texts = st.text(st.characters(), max_size=40)  # lone surrogates too
times = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)
counts = st.none() | st.integers()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=10), inner, max_size=3)
    ),
    max_leaves=10,
)
token_usages = st.builds(
    TokenUsage,
    provider_response_id=texts,
    input_tokens=counts,
    output_tokens=counts,
    cache_read_input_tokens=counts,
    cache_write_input_tokens=counts,
    source=st.sampled_from(UsageSource),
    usage=st.dictionaries(st.text(st.characters(), max_size=10), json_values, max_size=4),
)
tool_usages = st.builds(
    ToolUsage,
    provider_response_id=texts,
    provider_tool_call_id=texts,
    tool=texts,
    input=texts,
    server_url=st.none() | texts,
    invocation_error=st.none() | texts,
    injected=st.booleans(),
    truncated=st.booleans(),
)
model_thoughts = st.builds(ModelThought, content=texts, source=texts, truncated=st.booleans())
model_responses = st.builds(ModelResponse, text=texts, truncated=st.booleans())
readings = st.builds(
    Reading,
    response_id=texts,
    complete=st.booleans(),
    error=st.none(),
    token_usages=st.lists(token_usages, max_size=3).map(tuple),
    tool_usages=st.lists(tool_usages, max_size=3).map(tuple),
    model_thoughts=st.lists(model_thoughts, max_size=3).map(tuple),
    response=st.none() | model_responses,
)
interceptions = st.builds(
    Interception,
    id=st.uuids(),
    api_key_id=texts,
    initiator_id=st.uuids(),
    provider=texts,
    provider_name=texts,
    route=texts,
    model=texts,
    streaming=st.booleans(),
    client=texts,
    client_session_id=st.none() | texts,
    user_agent=texts,
    credential_kind=st.sampled_from(CredentialKind),
    credential_hint=texts,
    started_at=times,
    user_prompt=st.none() | st.builds(UserPrompt, prompt=texts, truncated=st.booleans()),
    answered_tool_call_id=st.none() | texts,
    conversation=st.none() | st.builds(Conversation, key=st.none() | st.binary(), continues=st.none() | st.binary()),
    previous_response_id=st.none() | texts,
)
endings = st.builds(
    Ending,
    interception_id=st.uuids(),
    end_reason=st.sampled_from(EndReason),
    ended_at=times,
    upstream_asked_at=st.none() | times,
    first_byte_at=st.none() | times,
    upstream_status=st.none() | st.integers(),
    upstream_request_id=st.none() | texts,
    error=st.none() | st.builds(ProviderError, type=texts, message=texts),
    reading=readings,
)


def as_json(make, document, users=None):
    """What a resource that is made of a document looks like in JSON."""
    return msgspec.to_builtins(make(document, users or {}))
