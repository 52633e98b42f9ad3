"""The record of one call.

A record is written twice: a `StartRecord` before the first byte goes to the provider, an `Ending` when the call has ended.
Times are aware datetimes in UTC with whole milliseconds, the precision MongoDB keeps. Counts are tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from intercept.callers import SessionAgent
from intercept.recording import Keep, Recording


class Status(StrEnum):
    """The status of an interception; follows from its end reason."""

    IN_FLIGHT = "in_flight"
    COMPLETED = "completed"
    FAILED = "failed"


class EndReason(StrEnum):
    """How an exchange ended. Every interception gets exactly one."""

    COMPLETED = "completed"
    CLIENT_DISCONNECTED = "client_disconnected"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_STREAM_ERROR = "upstream_stream_error"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    CIRCUIT_OPEN = "circuit_open"
    SERVER_SHUTDOWN = "server_shutdown"
    SERVER_CRASHED = "server_crashed"

    @property
    def status(self) -> Status:
        """The status an interception has after ending this way."""
        return Status.COMPLETED if self is EndReason.COMPLETED else Status.FAILED


class CredentialKind(StrEnum):
    """Whose provider credential paid for the call."""

    CENTRALIZED = "centralized"
    BYOK = "byok"


class UsageSource(StrEnum):
    """How final a token count is: the provider's last word, or the last figure before the stream was cut."""

    PROVIDER = "provider"
    PARTIAL = "partial"


class ProviderPrice(Struct, frozen=True, kw_only=True):
    """What the provider itself says that a response costs, in US dollars, and the field of its usage that says so."""

    usd: Decimal
    source: str


class TokenUsage(Struct, frozen=True, kw_only=True):
    """Tokens of one response. The four counts are disjoint; None is what the provider did not report, zero what it did.

    `price` is None where the provider does not say what it takes. `usage` is the provider's own usage object, whole.
    `model` is another one than the call's, such as an advisor, or what serves a deployment; it is empty where the tokens are
    those of the call's.
    """

    provider_response_id: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    source: UsageSource = UsageSource.PROVIDER
    price: ProviderPrice | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    model: str = ""

    @property
    def has_counts(self) -> bool:
        """Whether any tokens were reported, and not only a duration or something else that was used."""
        counts = self.input_tokens, self.output_tokens, self.cache_read_input_tokens, self.cache_write_input_tokens
        return any(count is not None for count in counts)


class UserPrompt(Struct, frozen=True, kw_only=True):
    """The text of the last user message of a request. A `synthetic` one was written by the client, not by its user.

    `kept` is what is kept of the text, here and in the structs below.
    """

    prompt: str
    truncated: bool = False
    synthetic: bool = False
    kept: Keep = Keep.FULL


class Conversation(Struct, frozen=True, kw_only=True):
    """Where a request stands in its conversation, as `intercept.conversations` reads it.

    `key` is a digest of its first and its last message, None if one of them has no text. A request that goes on from there
    has the same bytes in `continues`; it is None before the model's first message.
    """

    key: bytes | None
    continues: bytes | None = None


class ToolUsage(Struct, frozen=True, kw_only=True):
    """A tool call the model chose. `input` is the JSON text as the provider sent it, cut off where the stream was."""

    provider_response_id: str
    provider_tool_call_id: str
    tool: str
    input: str
    server_url: str | None = None
    invocation_error: str | None = None
    injected: bool = False
    truncated: bool = False
    kept: Keep = Keep.FULL


class ToolResult(Struct, frozen=True, kw_only=True):
    """What a client says that a tool call of an earlier response gave: `bytes` of it, as they were sent.

    `is_error` is None where the API has no mark of errors.
    """

    id: str
    bytes: int
    is_error: bool | None = None


class ModelThought(Struct, frozen=True, kw_only=True):
    """A piece of reasoning the model showed. `source`: `thinking`, `reasoning`, `reasoning_summary` or `commentary`."""

    content: str
    source: str
    truncated: bool = False
    kept: Keep = Keep.FULL


class ModelResponse(Struct, frozen=True, kw_only=True):
    """The text that the model responded with, where it is kept: without tool calls and thoughts."""

    text: str
    truncated: bool = False
    kept: Keep = Keep.FULL


class ProviderError(Struct, frozen=True, kw_only=True):
    """An error in the provider's own words."""

    type: str
    message: str


class Try(Struct, frozen=True, kw_only=True):
    """One try to get a response from a provider.

    `status` is that of its response, None if it gave none; then `error` says why, or is None if the call was stopped before.
    `seconds` is how long the head of its response took, or how long was waited for one. `credential_hint` is of the
    credential that was sent.
    """

    provider_name: str
    credential_hint: str = ""
    status: int | None = None
    error: ProviderError | None = None
    seconds: float = 0.0


class Connecting(Struct, frozen=True, kw_only=True):
    """How long making the connection to a provider took, part by part, in seconds.

    `dns` is finding its address, of which there is nothing to do where that is known; `connect` making the connection,
    through a proxy where there is one; `tls` the handshake, None without TLS.
    """

    dns: float
    connect: float
    tls: float | None = None


class Reading(Struct, frozen=True, kw_only=True):
    """What a reader worked out of a response, or of as much of it as there was.

    `complete` says the response reached its own end (see `intercept.apis.Reader`), not that the connection did.
    `open_ended` says that only the connection's end tells: all but the last mark of the end came, or bytes that could not
    be read (an unknown encoding, too many of them). `between_parts` says that a part of it has ended and no other has begun,
    so that its end may follow at once. `truncated` says that more was there to record than is kept of one
    response. `response` is None where the response has no text, and where its text is not kept. `background_model` is the
    model of a response that ran in the background and has ended, "" of every other one. `model` is what the
    response says has made it, "" where it does not say.
    """

    response_id: str = ""
    model: str = ""
    complete: bool = False
    open_ended: bool = False
    between_parts: bool = False
    truncated: bool = False
    error: ProviderError | None = None
    token_usages: tuple[TokenUsage, ...] = ()
    tool_usages: tuple[ToolUsage, ...] = ()
    model_thoughts: tuple[ModelThought, ...] = ()
    response: ModelResponse | None = None
    background_model: str = ""


class SocketOrigin(Struct, frozen=True, kw_only=True):
    """Where a call came from that is one of several over a WebSocket.

    `websocket_id` is the same for all of one WebSocket. `lane` is the client's name for those that follow one another, "" where
    it gives none. A `warm_up` asks for an id alone, and has no output.
    """

    websocket_id: UUID
    lane: str = ""
    warm_up: bool = False


class PlainFacts(Struct, frozen=True, kw_only=True):
    """What a record has of the start of a call as it is, under the same names."""

    api_key_id: str
    provider: str
    provider_name: str
    route: str
    model: str
    client: str
    client_session_id: str | None
    user_agent: str
    streaming: bool
    credential_hint: str
    answered_tool_call_id: str | None = None
    started_at: datetime


class StartRecord(PlainFacts, frozen=True, kw_only=True):
    """The start record: everything known before the first byte goes upstream.

    `conversation` and `previous_response_id` are for finding the session, so they are None where the client names it.
    `billed` is false where calls of the API cost nothing. `group_ids` are the groups its user was in then.
    `requested_provider_name` is set where more than one provider may serve the call: the one that the client named.
    `blocks` are those that the provider may cache, packed (see `intercept.blocks`).
    `recording` says what is kept of its texts; None is everything. `tool_results` are those of calls of the response before.
    `retry_count` is how many tries its client says were before this one. `tags` are those of its client, by name.
    `websocket` is None for a call over HTTP.
    """

    id: UUID
    initiator_id: UUID
    credential_kind: CredentialKind
    agent: SessionAgent = SessionAgent()
    user_prompt: UserPrompt | None = None
    conversation: Conversation | None = None
    previous_response_id: str | None = None
    billed: bool = True
    group_ids: tuple[UUID, ...] = ()
    requested_provider_name: str | None = None
    blocks: bytes | None = None
    recording: Recording | None = None
    tool_results: tuple[ToolResult, ...] = ()
    retry_count: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    websocket: SocketOrigin | None = None

    @property
    def keeps_response(self) -> bool:
        """Whether anything of the text of its response is kept."""
        return self.recording is not None and self.recording.response_text is not Keep.NONE


class Ending(Struct, frozen=True, kw_only=True):
    """The end record.

    `upstream_asked_at` is when the request was handed to the upstream, the last time if it was more than once; None if it
    never was. `first_byte_at` is when the first byte of the response body arrived, None if none did. `credential_hint` is
    of the credential that the response was given to; empty leaves the start record's. So do `provider` and `provider_name`,
    those of the provider that gave it. `tries` has each time that a provider was asked, if that was more than once.
    `connecting` is None where a connection was there already, and where no response came.
    """

    interception_id: UUID
    end_reason: EndReason
    ended_at: datetime
    upstream_asked_at: datetime | None = None
    first_byte_at: datetime | None = None
    upstream_status: int | None = None
    upstream_request_id: str | None = None
    error: ProviderError | None = None
    credential_hint: str = ""
    provider: str = ""
    provider_name: str = ""
    tries: tuple[Try, ...] = ()
    connecting: Connecting | None = None
    reading: Reading = Reading()
