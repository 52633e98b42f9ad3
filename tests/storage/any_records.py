"""Strategies for all possible records. Processes of their own import `records` alone, without Hypothesis: half a second."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from intercept.records import (
    Conversation,
    CredentialKind,
    Ending,
    EndReason,
    ModelResponse,
    ModelThought,
    ProviderError,
    Reading,
    StartRecord,
    TokenUsage,
    ToolUsage,
    UsageSource,
    UserPrompt,
)

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
    model=texts,
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
    StartRecord,
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
