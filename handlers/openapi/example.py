"""An interception, as the example that many descriptions have."""

from __future__ import annotations

from uuid import UUID

from intercept.records import CredentialKind, EndReason, Status, UsageSource
from resources.fields import Initiator
from resources.recorded.interceptions import Interception
from resources.recorded.parts import Connecting, Cost, Metadata, PromptMetadata, TokenUsage, UsageMetadata, UserPrompt
from resources.recorded.prompt_cache import CallCache
from upstream.providers.presets import ProviderType

_ID = UUID("3dc9afb2-d8d4-49f1-9cf7-ad523218a70b")
_RESPONSE = "msg_7b2a0da7e76e0902612f7bdd"
EXAMPLE = Interception(
    id=_ID,
    api_key_id="TcBR7S3hnb",
    initiator=Initiator(UUID("5696ce06-dafb-46d9-abac-4ba68b2ecaee"), "demo", "demo"),
    group_ids=[UUID("7b1c6d52-41d6-4c3c-8b0e-0f1d9a3d8f11")],
    provider=ProviderType.ANTHROPIC,
    provider_name="anthropic",
    requested_provider_name="anthropic",
    model="claude-sonnet-4-5",
    client="Claude Code",
    client_session_id="b0de03c1-4a4c-4a5d-9d1f-6b8b2c0f7e55",
    session_id=UUID("e7f1a8b2-5b0e-5a35-9d43-3c8f5d0b7a11"),
    parent_id=None,
    root_id=None,
    agent=None,
    tags={"project": "apollo"},
    user_agent="claude-cli/2.1.0 (external, cli)",
    streaming=True,
    status=Status.COMPLETED,
    end_reason=EndReason.COMPLETED,
    error=None,
    upstream_status=200,
    upstream_request_id="req_7b2a0da7e76e0902612f7bdd",
    credential_kind=CredentialKind.CENTRALIZED,
    credential_hint="sk-a...9QAA",
    started_at="2026-11-24T23:50:40.369Z",
    upstream_asked_at="2026-11-24T23:50:40.373Z",
    first_byte_at="2026-11-24T23:50:40.406Z",
    ended_at="2026-11-24T23:50:40.437Z",
    websocket=None,
    connecting=Connecting(dns_ms=0.412, connect_ms=8.031, tls_ms=17.94),
    attempt=0,
    retry_of=None,
    attempts=None,
    tries=[],
    cost=Cost(0.001377, "genai-prices 0.2.3"),
    provider_cost=None,
    metadata=Metadata(),
    cache=CallCache(13, 0, 13, 0.5, 0.0000351, 0, 0.0, None),
    token_usages=[
        TokenUsage(
            UUID("5b887c14-34fd-4f37-8e60-e39ffc3adfc3"),
            _ID,
            _RESPONSE,
            input_tokens=13,
            output_tokens=89,
            cache_read_input_tokens=13,
            cache_write_input_tokens=0,
            source=UsageSource.PROVIDER,
            metadata=UsageMetadata(usage={"input_tokens": 13, "cache_read_input_tokens": 13, "output_tokens": 89}),
            created_at="2026-11-24T23:50:40.437Z",
        )
    ],
    user_prompts=[
        UserPrompt(
            UUID("3627c82b-847e-4ca6-9be2-9c1b17983111"),
            _ID,
            _RESPONSE,
            prompt="Hello! What are you?",
            metadata=PromptMetadata(),
            created_at="2026-11-24T23:50:40.369Z",
        )
    ],
    tool_usages=[],
    model_thoughts=[],
    response=None,
)
