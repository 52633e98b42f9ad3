"""An interception: one recorded exchange, and what belongs to it.

Made of its document, see `storage.recording.documents`. Times are made texts, and whole numbers, which BSON may have as
a type of its own, plain ones; all else stays as it is and is encoded so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import decode, encode

from intercept.recording import Keep
from intercept.records import CredentialKind, EndReason, Status, UsageSource
from intercept.times import format_time
from resources.fields import Count, Initiator, Time, format_decimal, of_fields
from resources.recorded.figures import without_texts
from resources.recorded.prompt_cache import CallCache
from storage.accounts.users import User
from upstream.presets import ProviderType

Document: TypeAlias = Mapping[str, Any]


class RecordedError(Struct):
    """What went wrong, in the provider's words where it had any."""

    type: str
    message: Annotated[str, Meta(description="Empty for readers.")]


Truncated: TypeAlias = Annotated[
    Literal[True] | UnsetType, Meta(description="Something is missing that was there to be recorded.")
]


Withheld: TypeAlias = Annotated[
    Literal[True] | UnsetType, Meta(description="There is a text, which a reader does not see. It is shown as empty.")
]


Kept: TypeAlias = Annotated[
    Keep | UnsetType, Meta(description="What a policy says is kept of the text. Absent where that is all of it.")
]


class Metadata(Struct):
    """What else is to be said of a record."""

    truncated: Truncated = UNSET


Removed: TypeAlias = Annotated[
    Literal[True] | UnsetType,
    Meta(description="The text was removed at the end of its retention. It is shown as empty."),
]


class TextMetadata(Metadata):
    """Of an entry with a text."""

    withheld: Withheld = UNSET
    recording: Kept = UNSET
    removed: Removed = UNSET


class UsageMetadata(Metadata):
    """Of a token usage: the provider's own usage object, whole."""

    usage: dict[str, Any] | UnsetType = UNSET


class ThoughtMetadata(Struct):
    """Of a thought: what the provider calls it."""

    source: Annotated[str, Meta(description="`thinking`, `reasoning`, `reasoning_summary` or `commentary`.")]
    truncated: Truncated = UNSET
    withheld: Withheld = UNSET
    recording: Kept = UNSET
    removed: Removed = UNSET


class Cost(Struct):
    """What the call cost by published prices, not by anybody's bill."""

    usd: Annotated[float, Meta(ge=0, description="US dollars.")]
    prices: Annotated[str, Meta(description="The price list and its version.")]


class EarlierCost(Struct):
    """What the call cost before it was priced again."""

    usd: Annotated[Annotated[float, Meta(ge=0)] | None, Meta(description="US dollars; null where it had no price.")]
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

    @classmethod
    def of(cls, usage: Document, interception_id: UUID) -> Self:
        """Show an entry of `token_usages`."""
        metadata = usage["metadata"]
        told = decode(metadata["usage"]) if "usage" in metadata else UNSET
        shown = UsageMetadata(metadata.get("truncated", UNSET), told)
        return of_fields(cls, usage, interception_id=interception_id, metadata=shown)


class PromptMetadata(TextMetadata):
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

    @classmethod
    def of(cls, prompt: Document, interception_id: UUID, response_id: str) -> Self:
        """Show an entry of `user_prompts`."""
        made = {"interception_id": interception_id, "provider_response_id": response_id}
        return of_fields(cls, prompt, metadata=PromptMetadata(**prompt["metadata"]), **made)


class ToolResult(Struct):
    """What a tool call gave, as the next request of its client says."""

    bytes: Annotated[Count, Meta(description="Its size in the request; of a text without quotation marks.")]
    is_error: Annotated[
        bool | None, Meta(description="Whether the tool failed; null where the API has no mark of that.")
    ]

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
    input: Annotated[str, Meta(description="JSON text, as the provider sent it.")]
    injected: bool
    invocation_error: str | None
    metadata: TextMetadata
    created_at: Time
    result: Annotated[
        ToolResult | None, Meta(description="Null until a request brings it, a few seconds after that one began.")
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


class Try(Struct):
    """One time that a provider was asked, or could not be."""

    provider_name: str
    credential_hint: Annotated[str, Meta(description="Of the key that was sent; empty where none was.")]
    status: Annotated[int | None, Meta(description="Of the provider's response; null where it gave none.")]
    error: Annotated[
        RecordedError | None,
        Meta(
            description="Why it gave none: its `type` is an `end_reason`. Null too where the call was stopped before."
        ),
    ]
    ms: Annotated[Count, Meta(description="Milliseconds to the head of its response, or until there was none.")]

    @classmethod
    def of(cls, one: Document) -> Self:
        """Show an entry of `tries`."""
        error = one["error"] and RecordedError(**one["error"])
        return cls(one["provider_name"], one["credential_hint"], _whole(one["status"]), error, int(one["ms"]))


class Connecting(Struct):
    """How long making the connection to the provider took, in milliseconds. The wait for the provider includes it."""

    dns_ms: Annotated[float, Meta(ge=0, description="To find its address.")]
    connect_ms: Annotated[float, Meta(ge=0, description="To connect, through a proxy where there is one.")]
    tls_ms: Annotated[Annotated[float, Meta(ge=0)] | None, Meta(description="For the handshake; null without TLS.")]


class TextMatch(Struct):
    """A place where a call says what was searched for."""

    field: Annotated[str, Meta(description="Which text, as in `tool_usages[0].input`.")]
    before: Annotated[str, Meta(description="What stands before it there, cut off.")]
    text: Annotated[str, Meta(description="The words themselves.")]
    after: Annotated[str, Meta(description="What stands behind it, cut off.")]


class Indexing(Struct):
    """How far the search index has come."""

    done: Annotated[Count, Meta(description="Calls that were looked at, from the newest.")]
    total: Annotated[Count, Meta(description="About how many there are.")]


class Interception(Struct):
    """One recorded exchange between a client and a provider. Lists are in the order in which things happened."""

    id: Annotated[UUID, Meta(description="As in the header `X-AI-Bridge-Interception-Id` of the call.")]
    api_key_id: Annotated[str, Meta(description="The part of the token before its hyphen.")]
    initiator: Initiator
    group_ids: Annotated[list[UUID], Meta(description="The groups that the user was in then.")]
    provider: ProviderType
    provider_name: Annotated[str, Meta(description="The provider that answered, or was asked last.")]
    requested_provider_name: Annotated[str, Meta(description="The provider in the path of the call.")]
    model: Annotated[str, Meta(description="As it was asked for.")]
    client: Annotated[str, Meta(description="The program that asked; `Unknown` if it is not recognised.")]
    client_session_id: Annotated[str | None, Meta(description="The program's own id of its session.")]
    session_id: Annotated[
        UUID | None, Meta(description="Its session; null while it is not known which call it goes on with.")
    ]
    parent_id: Annotated[UUID | None, Meta(description="The interception whose tool call it answers.")]
    root_id: Annotated[UUID | None, Meta(description="The first of its thread; null for that one itself.")]
    agent: Annotated[Agent | None, Meta(description="Null where the program does not say.")]
    tags: Annotated[dict[str, str], Meta(description="Those that the client gave the call.")]
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
    connecting: Annotated[
        Connecting | None, Meta(description="Null where the connection was there already, or no response came.")
    ]
    attempt: Annotated[
        Count, Meta(description="Which try of its client it is, from 0, as the client says or as equal requests tell.")
    ]
    retry_of: Annotated[
        UUID | None, Meta(description="The try before it; null where there is none, or none was recorded.")
    ]
    attempts: Annotated[Count | None, Meta(description="Of the last of several tries: how many there were. Else null.")]
    tries: Annotated[
        list[Try], Meta(description="Each time that a provider was asked, where that was more than once; else empty.")
    ]
    cost: Annotated[Cost | None, Meta(description="Null where it is not known.")]
    provider_cost: Annotated[ProviderCost | None, Meta(description="Null where the provider does not say.")]
    metadata: Metadata
    cache: Annotated[CallCache | None, Meta(description="Its prompt cache; null where no tokens were reported.")]
    token_usages: list[TokenUsage]
    user_prompts: list[UserPrompt]
    tool_usages: list[ToolUsage]
    model_thoughts: list[ModelThought]
    earlier_costs: Annotated[
        list[EarlierCost] | UnsetType,
        Meta(description="What it cost before it was priced again, the last at the end; absent if it never was."),
    ] = UNSET
    matches: Annotated[
        list[TextMatch] | UnsetType,
        Meta(description="In lists by a search for words: where it says them, at most five places. Else absent."),
    ] = UNSET

    @classmethod
    def of(cls, document: Document, users: Mapping[UUID, User]) -> Self:
        """Show a document. `users` has those that are known."""
        get, id_ = document.get, document["_id"]
        agent, error, cost, provider_cost = get("agent"), get("error"), get("cost"), get("provider_cost")
        return cls(
            id_,
            document["api_key_id"],
            Initiator.of(document["initiator_id"], users),
            get("group_ids", []),
            document["provider"],
            document["provider_name"],
            get("requested_provider_name") or document["provider_name"],
            document["model"],
            document["client"],
            document["client_session_id"],
            get("session_id"),
            get("parent_id"),
            get("root_id"),
            agent and Agent(**agent),
            get("tags", {}),
            document["user_agent"],
            document["streaming"],
            document["status"],
            get("end_reason"),
            error and RecordedError(**error),
            _whole(get("upstream_status")),
            get("upstream_request_id"),
            document["credential_kind"],
            document["credential_hint"],
            format_time(document["started_at"]),
            format_time(get("upstream_asked_at")),
            format_time(get("first_byte_at")),
            format_time(get("ended_at")),
            (made := get("connecting")) and Connecting(**made),
            int(get("attempt", get("retry_count", 0))),
            get("retry_of"),
            _whole(get("attempts")),
            [Try.of(one) for one in get("tries", ())],
            cost and Cost(format_decimal(cost["usd"]), cost["prices"]),
            provider_cost and ProviderCost(format_decimal(provider_cost["usd"]), provider_cost["source"]),
            Metadata(truncated=True) if get("truncated") else Metadata(),
            CallCache.of(document),
            [TokenUsage.of(usage, id_) for usage in get("token_usages", ())],
            [UserPrompt.of(prompt, id_, get("response_id", "")) for prompt in get("user_prompts", ())],
            [ToolUsage.of(usage, id_) for usage in get("tool_usages", ())],
            [ModelThought.of(thought, id_) for thought in get("model_thoughts", ())],
            [EarlierCost.of(one) for one in get("earlier_costs", ())] or UNSET,
        )


class InterceptionList(Struct):
    """A page of interceptions, newest first."""

    count: Annotated[Count, Meta(description="How many match the search and may be seen, whatever the page.")]
    results: list[Interception]
    next_after_id: Annotated[
        UUID | None,
        Meta(
            description="The `after_id` to go on with, where the page was cut at 8 MiB, or enough texts were read for it, "
            "and it has fewer than `limit`; else null."
        ),
    ] = None
    count_is_exact: Annotated[
        bool,
        Meta(
            description="False where words in an order were searched for and more than 1,000 calls have the words: "
            "`count` is then how many have them."
        ),
    ] = True
    indexing: Annotated[
        Indexing | None,
        Meta(description="While older calls cannot be searched for words yet: how far that is. Else null."),
    ] = None


def interception_as_json(document: Document, users: Mapping[UUID, User], texts: bool = True) -> bytes:
    """Write what `Interception.of` makes; without `texts`, see `resources.recorded.figures`."""
    return encode(Interception.of(document if texts else without_texts(document), users))


def _whole(number: int | None) -> int | None:
    return None if number is None else int(number)
