"""An interception: one recorded exchange, and what belongs to it.

Made of its document, see `storage.recording.documents`. Times are made texts, and whole numbers, which BSON may have as
a type of its own, plain ones; all else stays as it is and is encoded so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import encode

from intercept.records import CredentialKind, EndReason, Status
from resources.fields import Count, Initiator, Time, doc, format_decimal, of_fields
from resources.recorded.figures import without_texts
from resources.recorded.parts import (
    Agent,
    Connecting,
    Cost,
    Document,
    EarlierCost,
    Metadata,
    ModelResponse,
    ModelThought,
    ProviderCost,
    RecordedError,
    TokenUsage,
    ToolUsage,
    Try,
    UserPrompt,
    WebSocketOrigin,
)
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
    connecting: Annotated[Connecting | None, doc("Null if the connection was kept, or there was no response.")]
    attempt: Annotated[
        Count, doc("The number of the client's try, from 0: as the client says, or as worked out from equal requests.")
    ]
    retry_of: Annotated[UUID | None, doc("The try before it; null if there is none, or it was not recorded.")]
    attempts: Annotated[Count | None, doc("For the last of several tries, the number of tries; else null.")]
    tries: Annotated[list[Try], doc("Every try at a provider, if there was more than one; else empty.")]
    cost: Annotated[Cost | None, doc("Null if it is unknown.")]
    provider_cost: Annotated[ProviderCost | None, doc("Null if the provider does not say.")]
    metadata: Metadata
    cache: Annotated[CallCache | None, doc("Its prompt cache; null if no tokens were reported.")]
    token_usages: list[TokenUsage]
    user_prompts: list[UserPrompt]
    tool_usages: list[ToolUsage]
    model_thoughts: list[ModelThought]
    response: Annotated[
        ModelResponse | None,
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
        agent, error, cost, provider_cost = get("agent"), get("error"), get("cost"), get("provider_cost")
        return of_fields(
            cls,
            {**_ABSENT, **document},
            id=id_,
            initiator=Initiator.of(document["initiator_id"], users),
            requested_provider_name=get("requested_provider_name") or document["provider_name"],
            agent=agent and Agent(**agent),
            error=error and RecordedError(**error),
            websocket=(origin := get("websocket")) and WebSocketOrigin.of(origin),
            connecting=(made := get("connecting")) and Connecting(**made),
            attempt=int(get("attempt", get("retry_count", 0))),
            tries=[Try.of(one) for one in get("tries", ())],
            cost=cost and Cost(format_decimal(cost["usd"]), cost["prices"]),
            provider_cost=provider_cost and ProviderCost(format_decimal(provider_cost["usd"]), provider_cost["source"]),
            metadata=Metadata(truncated=True) if get("truncated") else Metadata(),
            cache=CallCache.of(document),
            token_usages=[TokenUsage.of(usage, id_) for usage in get("token_usages", ())],
            user_prompts=[UserPrompt.of(prompt, id_, get("response_id", "")) for prompt in get("user_prompts", ())],
            tool_usages=[ToolUsage.of(usage, id_) for usage in get("tool_usages", ())],
            model_thoughts=[ModelThought.of(thought, id_) for thought in get("model_thoughts", ())],
            response=(response := get("response")) and ModelResponse.of(response),
            earlier_costs=[EarlierCost.of(one) for one in get("earlier_costs", ())] or UNSET,
            matches=UNSET,
        )


_ABSENT: Document = {
    **dict.fromkeys(("session_id", "parent_id", "root_id", "end_reason", "retry_of", "attempts")),
    **dict.fromkeys(("upstream_status", "upstream_request_id", "upstream_asked_at", "first_byte_at", "ended_at")),
    "group_ids": [],
    "tags": {},
}
"""What is shown of fields that a document lacks."""


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


def interception_as_json(document: Document, users: Mapping[UUID, User], texts: bool = True) -> bytes:
    """Write what `Interception.of` makes; without `texts`, see `resources.recorded.figures`."""
    return encode(Interception.of(document if texts else without_texts(document), users))
