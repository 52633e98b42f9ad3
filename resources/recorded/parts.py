"""What an interception has: its texts, tokens, cost and tries, each made of a part of its document.

See `storage.recording.documents`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import decode

from intercept.recording import Keep
from intercept.records import UsageSource
from intercept.times import format_time
from resources.fields import Count, Time, doc, format_decimal, of_fields

Document: TypeAlias = Mapping[str, Any]


class RecordedError(Struct):
    """What went wrong, in the provider's words where it had any."""

    type: str
    message: Annotated[str, doc("Empty for readers.")]


Truncated: TypeAlias = Annotated[Literal[True] | UnsetType, doc("The record is incomplete.")]


Withheld: TypeAlias = Annotated[
    Literal[True] | UnsetType, doc("There is a text, which readers may not see. It appears empty.")
]


Kept: TypeAlias = Annotated[
    Keep | UnsetType, doc("What a policy says is kept of the text. Absent where that is all of it.")
]


class Metadata(Struct):
    """What else is to be said of a record."""

    truncated: Truncated = UNSET


Removed: TypeAlias = Annotated[
    Literal[True] | UnsetType, doc("The text was removed at the end of its retention. It appears empty.")
]


class TextMetadata(Metadata):
    """What is said of an entry with a text."""

    withheld: Withheld = UNSET
    recording: Kept = UNSET
    removed: Removed = UNSET


class UsageMetadata(Metadata):
    """What is said of a token usage: the provider's own usage object, whole."""

    usage: dict[str, Any] | UnsetType = UNSET


class ThoughtMetadata(Struct):
    """What is said of a thought: what the provider calls it."""

    source: Annotated[str, doc("`thinking`, `reasoning`, `reasoning_summary` or `commentary`.")]
    truncated: Truncated = UNSET
    withheld: Withheld = UNSET
    recording: Kept = UNSET
    removed: Removed = UNSET


class Cost(Struct):
    """What the call cost by published prices, not by anybody's bill."""

    usd: Annotated[float, Meta(ge=0, description="US dollars.")]
    prices: Annotated[str, doc("The price list and its version.")]


class EarlierCost(Struct):
    """What the call cost before it was priced again."""

    usd: Annotated[Annotated[float, Meta(ge=0)] | None, doc("US dollars; null without a price.")]
    prices: str | None
    replaced_at: Time

    @classmethod
    def of(cls, cost: Document) -> Self:
        """Show an entry of `earlier_costs`."""
        usd = cost["usd"]
        return cls(None if usd is None else format_decimal(usd), cost["prices"], format_time(cost["replaced_at"]))


class ProviderCost(Struct):
    """What the provider itself says that the call costs."""

    usd: float
    source: Annotated[str, doc("The field of its usage that says so: `cost` or `cost_in_usd_ticks`.")]


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
    model: Annotated[str | UnsetType, doc("Only where it is another one than that of the call: an advisor.")] = UNSET

    @classmethod
    def of(cls, usage: Document, interception_id: UUID) -> Self:
        """Show an entry of `token_usages`."""
        metadata = usage["metadata"]
        usage_object = decode(metadata["usage"]) if "usage" in metadata else UNSET
        usage_metadata = UsageMetadata(metadata.get("truncated", UNSET), usage_object)
        made = {"interception_id": interception_id, "model": usage.get("model", UNSET), "metadata": usage_metadata}
        return of_fields(cls, usage, **made)


class PromptMetadata(TextMetadata):
    """What else is to be said of a prompt."""

    synthetic: Annotated[Literal[True] | UnsetType, doc("The client wrote it, not the user.")] = UNSET


class UserPrompt(Struct):
    """The text of the last message of the user."""

    id: UUID
    interception_id: UUID
    provider_response_id: str
    prompt: str
    metadata: PromptMetadata
    created_at: Time

    @classmethod
    def of(cls, prompt: Document, interception_id: UUID, response_id: str) -> Self:
        """Show an entry of `user_prompts`."""
        made = {"interception_id": interception_id, "provider_response_id": response_id}
        return of_fields(cls, prompt, metadata=PromptMetadata(**prompt["metadata"]), **made)


class ToolResult(Struct):
    """What a tool call gave, as the next request of its client says."""

    bytes: Annotated[Count, doc("Its size in the request; of a text without quotation marks.")]
    is_error: Annotated[bool | None, doc("Whether the tool failed; null if the API does not say.")]

    @classmethod
    def of(cls, result: Document) -> Self:
        """Show the `result` of an entry of `tool_usages`."""
        return cls(int(result["bytes"]), result["is_error"])


class ToolUsage(Struct):
    """A tool call that the model chose."""

    id: UUID
    interception_id: UUID
    provider_response_id: str
    provider_tool_call_id: str
    server_url: str | None
    tool: str
    input: Annotated[str, doc("JSON text, as the provider sent it.")]
    injected: bool
    invocation_error: str | None
    metadata: TextMetadata
    created_at: Time
    result: Annotated[
        ToolResult | None, doc("Null until a later request has it; then it appears within a few seconds.")
    ]

    @classmethod
    def of(cls, usage: Document, interception_id: UUID) -> Self:
        """Show an entry of `tool_usages`."""
        result = usage.get("result")
        made = {"metadata": TextMetadata(**usage["metadata"]), "result": result and ToolResult.of(result)}
        return of_fields(cls, usage, interception_id=interception_id, **made)


class ModelThought(Struct):
    """A piece of reasoning that the model showed."""

    id: UUID
    interception_id: UUID
    content: str
    metadata: ThoughtMetadata
    created_at: Time

    @classmethod
    def of(cls, thought: Document, interception_id: UUID) -> Self:
        """Show an entry of `model_thoughts`."""
        return of_fields(cls, thought, interception_id=interception_id, metadata=ThoughtMetadata(**thought["metadata"]))


class ModelResponse(Struct):
    """The text that the model responded with, where a policy says that it is recorded."""

    text: Annotated[str, doc("The text of all its parts, without tool calls and thoughts.")]
    metadata: TextMetadata

    @classmethod
    def of(cls, response: Document) -> Self:
        """Show the `response` of a document."""
        return cls(response["text"], TextMetadata(**response["metadata"]))


class Agent(Struct):
    """The agent of Claude Code that sent the request."""

    id: Annotated[str | None, doc("Null for the main agent.")]
    parent_id: Annotated[str | None, doc("The agent that started it.")]
    hints: Annotated[
        dict[str, str],
        doc("What was sent of `request_class`, `agent_type`, `compaction`, `prompt_id` and `prev_tool_durations`."),
    ]


class Try(Struct):
    """One try at a provider."""

    provider_name: str
    credential_hint: Annotated[str, doc("The hint of the key that was sent; empty without one.")]
    status: Annotated[int | None, doc("The status of the provider's response; null if there was none.")]
    error: Annotated[
        RecordedError | None,
        doc("Why there was none: its `type` is an `end_reason`. Null if the call was stopped before."),
    ]
    ms: Annotated[Count, doc("Milliseconds until the head of its response, or until the failure.")]

    @classmethod
    def of(cls, one: Document) -> Self:
        """Show an entry of `tries`."""
        error = one["error"] and RecordedError(**one["error"])
        return cls(
            one["provider_name"],
            one["credential_hint"],
            None if one["status"] is None else int(one["status"]),
            error,
            int(one["ms"]),
        )


class WebSocketOrigin(Struct):
    """Where a call came from that is one of several over a WebSocket."""

    id: Annotated[UUID, doc("That of the WebSocket, as in `X-AI-Bridge-WebSocket-Id` of its handshake.")]
    lane: Annotated[str | None, doc("Its `stream_id`; null without one.")]
    warm_up: Annotated[bool, doc("Whether the request was a warm-up that only returns an id.")]

    @classmethod
    def of(cls, origin: Document) -> Self:
        """Show `websocket`."""
        return cls(origin["id"], origin["lane"] or None, origin["warm_up"])


class Connecting(Struct):
    """How long making the connection to the provider took, in milliseconds. The wait for the provider includes it."""

    dns_ms: Annotated[float, Meta(ge=0, description="To look up its address.")]
    connect_ms: Annotated[float, Meta(ge=0, description="To connect, through the proxy if there is one.")]
    tls_ms: Annotated[Annotated[float, Meta(ge=0)] | None, doc("For the handshake; null without TLS.")]


RecordedSince: TypeAlias = Annotated[
    Time | UnsetType, doc("These values are computed from records. Records of calls before this time were removed.")
]
