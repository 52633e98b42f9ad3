"""An interception: one recorded exchange, and what belongs to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.openapi.operations import Count, Time
from intercept.records import CredentialKind, EndReason, Status, UsageSource
from upstream.providers import ProviderType


class Initiator(Struct):
    """Who asked. A user who was removed keeps both names."""

    id: UUID
    username: str
    name: str


class RecordedError(Struct):
    """What went wrong, in the provider's words where it had any."""

    type: str
    message: str


Truncated = Annotated[
    Literal[True] | UnsetType, Meta(description="Something is missing that was there to be recorded.")
]


class Metadata(Struct):
    """What else is to be said of a record."""

    truncated: Truncated = UNSET


class UsageMetadata(Metadata):
    """Of a token usage: the provider's own usage object, whole."""

    usage: dict[str, Any] | UnsetType = UNSET


class ThoughtMetadata(Struct):
    """Of a thought: what the provider calls it."""

    source: Annotated[str, Meta(description="`thinking`, `reasoning`, `reasoning_summary` or `commentary`.")]
    truncated: Truncated = UNSET


class Cost(Struct):
    """What the call cost by published prices, not by anybody's bill."""

    usd: Annotated[float, Meta(ge=0, description="US dollars.")]
    prices: Annotated[str, Meta(description="Whose prices, and of which version.")]


class ProviderCost(Struct):
    """What the provider itself says that the call costs."""

    usd: float
    source: Annotated[str, Meta(description="The field of its usage that says so: `cost` or `cost_in_usd_ticks`.")]


class TokenUsage(Struct):
    """Tokens of one response. The four counts are disjoint; null is what the provider did not report."""

    id: UUID
    interception_id: UUID
    provider_response_id: str
    input_tokens: Count | None
    output_tokens: Count | None
    cache_read_input_tokens: Count | None
    cache_write_input_tokens: Count | None
    source: UsageSource
    metadata: UsageMetadata
    created_at: Time


class PromptMetadata(Metadata):
    """What else is to be said of a prompt."""

    synthetic: Annotated[Literal[True] | UnsetType, Meta(description="The client wrote it, not its user.")] = UNSET


class UserPrompt(Struct):
    """The text of the last message of the user."""

    id: UUID
    interception_id: UUID
    provider_response_id: str
    prompt: str
    metadata: PromptMetadata
    created_at: Time


class ToolUsage(Struct):
    """A tool call that the model chose."""

    id: UUID
    interception_id: UUID
    provider_response_id: str
    provider_tool_call_id: str
    server_url: str | None
    tool: str
    input: Annotated[str, Meta(description="JSON text, as the provider sent it.")]
    injected: bool
    invocation_error: str | None
    metadata: Metadata
    created_at: Time


class ModelThought(Struct):
    """A piece of reasoning that the model showed."""

    id: UUID
    interception_id: UUID
    content: str
    metadata: ThoughtMetadata
    created_at: Time


class Agent(Struct):
    """Which agent of Claude Code asked."""

    id: Annotated[str | None, Meta(description="Null for the main agent.")]
    parent_id: Annotated[str | None, Meta(description="The agent that started it.")]
    hints: Annotated[
        dict[str, str],
        Meta(
            description="What was sent of `request_class`, `agent_type`, `compaction`, `prompt_id` and "
            "`prev_tool_durations`."
        ),
    ]


class Interception(Struct):
    """One recorded exchange between a client and a provider. Lists are in the order in which things happened."""

    id: Annotated[UUID, Meta(description="As in the header `X-AI-Bridge-Interception-Id` of the call.")]
    api_key_id: Annotated[str, Meta(description="The part of the token before its hyphen.")]
    initiator: Initiator
    provider: ProviderType
    provider_name: str
    model: Annotated[str, Meta(description="As it was asked for.")]
    client: Annotated[str, Meta(description="The program that asked; `Unknown` if it is not recognised.")]
    client_session_id: Annotated[str | None, Meta(description="The program's own id of its session.")]
    session_id: Annotated[
        UUID | None, Meta(description="Its session; null while it is not known which call it goes on with.")
    ]
    parent_id: Annotated[UUID | None, Meta(description="The interception whose tool call it answers.")]
    root_id: Annotated[UUID | None, Meta(description="The first of its thread; null for that one itself.")]
    agent: Annotated[Agent | None, Meta(description="Null where the program does not say.")]
    user_agent: str
    streaming: Annotated[bool, Meta(description="Whether a stream was asked for.")]
    status: Status
    end_reason: Annotated[EndReason | None, Meta(description="Null while in flight.")]
    error: RecordedError | None
    upstream_status: Annotated[int | None, Meta(description="The HTTP status of the provider.")]
    upstream_request_id: Annotated[str | None, Meta(description="The provider's id of the request.")]
    credential_kind: CredentialKind
    credential_hint: Annotated[str, Meta(description="A few characters of the provider's key that was used.")]
    started_at: Time
    upstream_asked_at: Annotated[
        Time | None, Meta(description="When the provider was asked, the last time if more than once.")
    ]
    first_byte_at: Annotated[Time | None, Meta(description="When the first byte of the response body came.")]
    ended_at: Annotated[Time | None, Meta(description="Null while in flight.")]
    cost: Annotated[Cost | None, Meta(description="Null where it is not known.")]
    provider_cost: Annotated[ProviderCost | None, Meta(description="Null where the provider does not say.")]
    metadata: Metadata
    token_usages: list[TokenUsage]
    user_prompts: list[UserPrompt]
    tool_usages: list[ToolUsage]
    model_thoughts: list[ModelThought]


_ID = UUID("3dc9afb2-d8d4-49f1-9cf7-ad523218a70b")
_RESPONSE = "msg_7b2a0da7e76e0902612f7bdd"
EXAMPLE = Interception(
    id=_ID,
    api_key_id="TcBR7S3hnb",
    initiator=Initiator(UUID("5696ce06-dafb-46d9-abac-4ba68b2ecaee"), "demo", "demo"),
    provider=ProviderType.ANTHROPIC,
    provider_name="anthropic",
    model="claude-sonnet-4-5",
    client="Claude Code",
    client_session_id="b0de03c1-4a4c-4a5d-9d1f-6b8b2c0f7e55",
    session_id=UUID("e7f1a8b2-5b0e-5a35-9d43-3c8f5d0b7a11"),
    parent_id=None,
    root_id=None,
    agent=None,
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
    cost=Cost(0.001377, "genai-prices 0.2.3"),
    provider_cost=None,
    metadata=Metadata(),
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
)
