"""An interception: one recorded exchange, and what belongs to it.

Made of its document, see `storage.recording.documents`. Times are made texts, and whole numbers, which BSON may have as
a type of its own, plain ones; all else stays as it is and is encoded so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import decode

from intercept.recording import Keep
from intercept.records import CredentialKind, EndReason, Status, UsageSource
from resources.fields import Count, Initiator, Time, doc, of_fields
from resources.recorded.prompt_cache import CallCache
from storage.accounts.users import User
from storage.queries.filters.texts import Match
from upstream.providers.presets import ProviderType


class Interception(Struct):
    """One recorded exchange between a client and a provider. Lists are in the order in which things happened."""

    id: Annotated[UUID, doc("As in the header `X-AI-Bridge-Interception-Id` of the call.")]
    api_key_id: Annotated[str, doc("The part of the token before its hyphen.")]
    initiator: Initiator
    group_ids: Annotated[list[UUID], doc("The groups of the user at that time.")]
    provider: ProviderType
    provider_name: Annotated[str, doc("The provider that responded, or that was tried last.")]
    requested_provider_name: Annotated[str, doc("The provider in the path of the call.")]
    model: Annotated[str, doc("The model in the request.")]
    client: Annotated[str, doc("The program that sent the request; `Unknown` if it is not recognised.")]
    client_session_id: Annotated[str | None, doc("The program's own id of its session.")]
    session_id: Annotated[UUID | None, doc("Its session; null until it is known which call it continues.")]
    parent_id: Annotated[UUID | None, doc("The interception whose tool call it answers.")]
    root_id: Annotated[UUID | None, doc("The first of its thread; null for that one itself.")]
    agent: Annotated[Agent | None, doc("Null if the program does not say.")]
    tags: Annotated[dict[str, str], doc("The tags that the client gave the call.")]
    user_agent: str
    streaming: Annotated[bool, doc("Whether the request asks for a stream.")]
    status: Status
    end_reason: Annotated[EndReason | None, doc("Null while in flight.")]
    error: RecordedError | None
    upstream_status: Annotated[int | None, doc("The HTTP status of the provider.")]
    upstream_request_id: Annotated[str | None, doc("The provider's id of the request.")]
    credential_kind: CredentialKind
    credential_hint: Annotated[str, doc("A few characters of the provider's key that was used.")]
    started_at: Time
    upstream_asked_at: Annotated[
        Time | None, doc("When the request went to the provider; the last try if there were several.")
    ]
    first_byte_at: Annotated[Time | None, doc("When the first byte of the response body arrived.")]
    ended_at: Annotated[Time | None, doc("Null while in flight.")]
    websocket: Annotated[WebSocketOrigin | None, doc("Null for a request over HTTP.")]
    connecting: Annotated[RecordedConnecting | None, doc("Null if the connection was kept, or there was no response.")]
    attempt: Annotated[
        Count, doc("The number of the client's try, from 0: as the client says, or as worked out from equal requests.")
    ]
    retry_of: Annotated[UUID | None, doc("The try before it; null if there is none, or it was not recorded.")]
    attempts: Annotated[Count | None, doc("For the last of several tries, the number of tries; else null.")]
    tries: Annotated[list[RecordedTry], doc("Every try at a provider, if there was more than one; else empty.")]
    cost: Annotated[RecordedCost | None, doc("Null if it is unknown.")]
    provider_cost: Annotated[ProviderCost | None, doc("Null if the provider does not say.")]
    metadata: Metadata
    cache: Annotated[CallCache | None, doc("Its prompt cache; null if no tokens were reported.")]
    token_usages: list[RecordedTokenUsage]
    user_prompts: list[RecordedPrompt]
    tool_usages: list[RecordedToolUsage]
    model_thoughts: list[RecordedThought]
    response: Annotated[
        RecordedResponse | None,
        doc("The text of the response; null where there is none, or no policy says that it is recorded."),
    ]
    earlier_costs: Annotated[
        list[EarlierCost] | UnsetType,
        doc("Its costs before it was priced again, the latest last; absent if it never was."),
    ] = UNSET
    matches: Annotated[
        list[Match] | UnsetType,
        doc("In lists by a search for words: where it says them, at most five places. Else absent."),
    ] = UNSET

    @classmethod
    def of(cls, document: Document, users: Mapping[UUID, User]) -> Self:
        """Show a document. `users` has those that are known."""
        get, id_ = document.get, document["_id"]
        return of_fields(
            cls,
            {**_ABSENT, **document, **{name: _entries(document, name) for name in _LISTS}},
            above={"interception_id": id_, "provider_response_id": get("response_id", ""), "result": None},
            id=id_,
            initiator=Initiator.of(document["initiator_id"], users),
            requested_provider_name=get("requested_provider_name") or document["provider_name"],
            attempt=int(get("attempt", get("retry_count", 0))),
            metadata=Metadata(truncated=True) if get("truncated") else Metadata(),
            cache=CallCache.of_call(document),
            token_usages=[RecordedTokenUsage.of(usage, id_) for usage in _entries(document, "token_usages")],
            earlier_costs=[of_fields(EarlierCost, one) for one in get("earlier_costs", ())] or UNSET,
            matches=UNSET,
        )


_ABSENT: Document = {
    **dict.fromkeys(("session_id", "parent_id", "root_id", "end_reason", "retry_of", "attempts")),
    **dict.fromkeys(("upstream_status", "upstream_request_id", "upstream_asked_at", "first_byte_at", "ended_at")),
    **dict.fromkeys(("agent", "error", "websocket", "connecting", "cost", "provider_cost", "response")),
    "group_ids": [],
    "tries": [],
    "tags": {},
}
"""What is shown of fields that a document lacks."""

_LISTS = ("user_prompts", "tool_usages", "model_thoughts")
_NUMBER_OF = {name: number << 12 for number, name in enumerate((*_LISTS, "token_usages"), start=1)}
"""The numbers of the lists of a call, which have up to 4,096 entries each.

The id of an entry is that of the call with this number and its index in the random bits.
"""


def _entries(document: Document, name: str) -> list[Document]:
    """Return the entries of a list with an id, always the same, and when it was made: with the call, or when that ended."""
    id_, list_number = document["_id"].int, _NUMBER_OF[name]
    known_at = document.get("ended_at") or document.get("checkpointed_at")
    at = document["started_at"] if name == "user_prompts" else known_at
    return [
        {**entry, "id": UUID(int=id_ ^ (list_number | index)), "created_at": at}
        for index, entry in enumerate(document.get(name, ()))
    ]


class InterceptionList(Struct):
    """A page of interceptions, newest first."""

    count: Annotated[Count, doc("The number of matches that the caller may see, on all pages.")]
    results: list[Interception]
    next_after_id: Annotated[
        UUID | None,
        doc(
            "The `after_id` to go on with, where the page was cut at 8 MiB, or enough texts were read for it, "
            "and it has fewer than `limit`; else null."
        ),
    ] = None
    count_is_exact: Annotated[
        bool,
        doc(
            "False where words in an order were searched for and more than 1,000 calls have the words: "
            "`count` is then how many have them."
        ),
    ] = True


_TEXTS: Mapping[str, str] = {"user_prompts": "prompt", "tool_usages": "input", "model_thoughts": "content"}


def without_texts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of an interception with empty texts, each marked `withheld`.

    The texts are prompts, inputs of tools, thoughts, responses, and the messages of errors: providers quote requests in them.
    """
    copy = dict(document)
    for name, text in _TEXTS.items():
        copy[name] = [_withheld(entry, text) for entry in document.get(name, ())]
    if response := document.get("response"):
        copy["response"] = _withheld(response, "text")
    if error := document.get("error"):
        copy["error"] = {**error, "message": ""}
    if tries := document.get("tries"):
        copy["tries"] = [{**one, "error": one["error"] and {**one["error"], "message": ""}} for one in tries]
    return copy


def has_texts(document: Mapping[str, Any]) -> bool:
    """Whether the document of an interception has texts that `without_texts` would withhold."""
    own = (document.get(name) for name in (*_TEXTS, "response", "error"))
    return any(own) or any(one["error"] for one in document.get("tries", ()))


def _withheld(entry: Mapping[str, Any], text: str) -> dict[str, Any]:
    copy = {**entry, text: "", "metadata": {**entry["metadata"], "withheld": True}}
    if copy.get("invocation_error"):
        copy["invocation_error"] = ""
    return copy


def session_without_texts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a session without its prompts."""
    return {**document, "first_prompt": None, "last_prompt": None}


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


class RecordedCost(Struct):
    """What the call cost by published prices, not by anybody's bill."""

    usd: Annotated[float, Meta(ge=0, description="US dollars.")]
    prices: Annotated[str, doc("The price list and its version.")]


class EarlierCost(Struct):
    """What the call cost before it was priced again."""

    usd: Annotated[Annotated[float, Meta(ge=0)] | None, doc("US dollars; null without a price.")]
    prices: str | None
    replaced_at: Time


class ProviderCost(Struct):
    """What the provider itself says that the call costs."""

    usd: float
    source: Annotated[str, doc("The field of its usage that says so: `cost` or `cost_in_usd_ticks`.")]


class RecordedTokenUsage(Struct):
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


class RecordedPrompt(Struct):
    """The text of the last message of the user."""

    id: UUID
    interception_id: UUID
    provider_response_id: str
    prompt: str
    metadata: PromptMetadata
    created_at: Time


class RecordedToolResult(Struct):
    """What a tool call gave, as the next request of its client says."""

    bytes: Annotated[Count, doc("Its size in the request; of a text without quotation marks.")]
    is_error: Annotated[bool | None, doc("Whether the tool failed; null if the API does not say.")]


class RecordedToolUsage(Struct):
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
        RecordedToolResult | None, doc("Null until a later request has it; then it appears within a few seconds.")
    ]


class RecordedThought(Struct):
    """A piece of reasoning that the model showed."""

    id: UUID
    interception_id: UUID
    content: str
    metadata: ThoughtMetadata
    created_at: Time


class RecordedResponse(Struct):
    """The text that the model responded with, where a policy says that it is recorded."""

    text: Annotated[str, doc("The text of all its parts, without tool calls and thoughts.")]
    metadata: TextMetadata


class Agent(Struct):
    """The agent of Claude Code that sent the request."""

    id: Annotated[str | None, doc("Null for the main agent.")]
    parent_id: Annotated[str | None, doc("The agent that started it.")]
    hints: Annotated[
        dict[str, str],
        doc("What was sent of `request_class`, `agent_type`, `compaction`, `prompt_id` and `prev_tool_durations`."),
    ]


class RecordedTry(Struct):
    """One try at a provider."""

    provider_name: str
    credential_hint: Annotated[str, doc("The hint of the key that was sent; empty without one.")]
    status: Annotated[int | None, doc("The status of the provider's response; null if there was none.")]
    error: Annotated[
        RecordedError | None,
        doc("Why there was none: its `type` is an `end_reason`. Null if the call was stopped before."),
    ]
    ms: Annotated[Count, doc("Milliseconds until the head of its response, or until the failure.")]


class WebSocketOrigin(Struct):
    """Where a call came from that is one of several over a WebSocket."""

    id: Annotated[UUID, doc("That of the WebSocket, as in `X-AI-Bridge-WebSocket-Id` of its handshake.")]
    lane: Annotated[str | None, doc("Its `stream_id`; null without one.")]
    warm_up: Annotated[bool, doc("Whether the request was a warm-up that only returns an id.")]


class RecordedConnecting(Struct):
    """How long making the connection to the provider took, in milliseconds. The wait for the provider includes it."""

    dns_ms: Annotated[float, Meta(ge=0, description="To look up its address.")]
    connect_ms: Annotated[float, Meta(ge=0, description="To connect, through the proxy if there is one.")]
    tls_ms: Annotated[Annotated[float, Meta(ge=0)] | None, doc("For the handshake; null without TLS.")]


RecordedSince: TypeAlias = Annotated[
    Time | UnsetType, doc("These values are computed from records. Records of calls before this time were removed.")
]
