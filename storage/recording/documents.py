"""How an interception is kept as one MongoDB document. Pure: no I/O, no clock.

A document looks like its API resource (`resources.recorded.interceptions`), with native times and UUIDs. `metadata` says what
of a text was left out, and how a policy had it kept. These fields differ from the resource:

- `initiator_id` is the initiator, and `request_ids` has every id that `request_id` finds the interception by.
- `usage`, the provider's own object, is JSON text, since no key or number of a provider's may disturb the database.
- Prompts, usages, tool calls and thoughts lack their ids and times: those follow from the call.
- `truncated` says that the top level lost something.
- `billed` is false where the API costs nothing, else absent.
- Only some documents have `requested_provider_name` (several providers may serve the call), `tries` (there was more than one),
  `connecting` (a connection was made), `response` (its text is kept), `tags` (the client gave any), `retry_count` (there
  were tries before), and `websocket` (it came over one).
- `blocks` are packed checksums of what the provider may cache (`intercept.blocks`), and `fingerprint` is a digest of them with
  user and model.
- `texts_until`, `response_until` and `removal_at` say when texts are removed before the call is
  (`storage.recording.text_retention`).
- `attempt`, `attempts`, `retry_of` and `retried` are as `storage.derived.sessions.grouping` finds them.
- `links` are digests by which calls that belong together are found, all of them by one index. A call has one for the name of
  its session, for its conversation, for each tool call that it issued and, if it failed, for what it asked. Conversations and
  tool calls of two users have different links. Whoever finds calls by a link compares what it stands for, as far as that
  matters: a digest is short.
- `storage.derived.sessions.grouping` works with `tool_results`, `continues` and `previous_response_id`.
- What has ended has `storage.recording.figures`.
- `changed` and `was` are as `storage.recording.operations` sets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID, uuid5
from zlib import crc32

import msgspec
from bson.decimal128 import Decimal128

from intercept.ids import format_id, in_any_case
from intercept.recording import Keep, Recording
from intercept.records import (
    Ending,
    ModelResponse,
    ModelThought,
    PlainFacts,
    StartRecord,
    Status,
    TokenUsage,
    ToolResult,
    ToolUsage,
    Try,
    UserPrompt,
)
from storage.mongo.codec import binary
from storage.prices.pricing import Cost
from storage.recording.figures import figures_of

SCHEMA_VERSION = 1
"""The version of what is written here."""

MAX_LIST = 2_000
"""Most entries of a list that are kept, the first ones."""

MAX_ID = 256
"""Longest id, in characters, that an interception is found by."""

FINGERPRINT_BYTES = 16
"""Size of a fingerprint."""

REMEMBERED = 1_000
"""Names of sessions that are remembered with their ids."""


@lru_cache(REMEMBERED)
def session_id_of(initiator_id: UUID, client_session_id: str | None) -> UUID | None:
    """Return the id of the session that a client names: each of a user's, and of another user's another one."""
    if not client_session_id:
        return None
    return uuid5(initiator_id, client_session_id.encode(errors="replace").decode())


def start_document(interception: StartRecord, *, instance_id: UUID) -> dict[str, Any]:
    """Make the document of an interception that starts now, in flight at the server `instance_id`."""
    document = {
        "_id": interception.id,
        "schema_version": SCHEMA_VERSION,
        "instance_id": binary(instance_id),
        "request_ids": [format_id(interception.id), *websocket_ids(interception)],
        **{name: getattr(interception, name) for name in PlainFacts.__struct_fields__},
        "initiator_id": binary(interception.initiator_id),
        "status": str(Status.IN_FLIGHT),
        "credential_kind": str(interception.credential_kind),
        "user_prompts": prompts_of(interception),
    }
    document |= _fields_of_some(interception)
    conversation = _conversation_fields(interception)
    document |= conversation
    if links := _links(interception):
        document["links"] = links
    is_tool_result = bool(_distinct_ids(interception.answered_tool_call_id))
    continues = is_tool_result or not conversation.keys().isdisjoint(("continues", "previous_response_id"))
    results = [_tool_result(one) for one in interception.tool_results if _distinct_ids(one.id)]
    if results:
        document["tool_results"] = results
    if session_id := session_id_of(interception.initiator_id, interception.client_session_id):
        document["session_id"] = binary(session_id)
    elif not continues:  # it begins a session
        document["session_id"] = binary(interception.id)
    return document


def _fields_of_some(interception: StartRecord) -> dict[str, Any]:
    """Return the fields that only some documents have."""
    agent = interception.agent
    fields: dict[str, Any] = {}
    if not interception.billed:
        fields["billed"] = False
    if interception.requested_provider_name is not None:
        fields["requested_provider_name"] = interception.requested_provider_name
    if interception.group_ids:
        fields["group_ids"] = list(map(binary, interception.group_ids))
    if interception.blocks is not None:
        fields["blocks"] = interception.blocks
        fields["fingerprint"] = fingerprint_of(interception, interception.blocks)
    if interception.tags:
        fields["tags"] = dict(interception.tags)
    if (origin := interception.websocket) is not None:
        fields["websocket"] = {"id": origin.websocket_id, "lane": origin.lane or None, "warm_up": origin.warm_up}
    if interception.retry_count:
        fields["retry_count"] = interception.retry_count
    if interception.recording is not None:
        fields |= _times_of_removal(interception.recording, interception)
    if agent.id or agent.parent_id or agent.hints:
        fields["agent"] = {"id": agent.id, "parent_id": agent.parent_id, "hints": agent.hints}
    return fields


def _times_of_removal(recording: Recording, interception: StartRecord) -> dict[str, datetime]:
    """Return when texts are removed, when the response is if that is earlier, and which comes first."""
    times, texts, response = {}, recording.retention, recording.responses_retention
    if texts is not None:
        times["texts_until"] = interception.started_at + timedelta(days=texts)
    if response is not None and interception.keeps_response and (texts is None or response < texts):
        times["response_until"] = interception.started_at + timedelta(days=response)
    return {**times, "removal_at": min(times.values())} if times else {}


def fingerprint_of(interception: StartRecord, blocks: bytes) -> bytes:
    """Return what two calls have in common that send the same request: of one user, to one model, with the same blocks."""
    model = interception.model.encode(errors="replace")
    return blake2b(interception.initiator_id.bytes + model + b"\0" + blocks, digest_size=FINGERPRINT_BYTES).digest()


def prompts_of(interception: StartRecord) -> list[dict[str, Any]]:
    """Make the prompts of the document of an interception."""
    prompt = interception.user_prompt
    return [] if prompt is None else [_user_prompt(prompt)]


def ended_document(started: Mapping[str, Any], ending: Ending, *, cost: Cost | None = None) -> dict[str, Any]:
    """Make the document of an interception that has ended from that of its start. `cost` is None where it is unknown."""
    fields = ending_fields(ending, cost=cost)
    fields["request_ids"] = list(dict.fromkeys(fields["request_ids"] + started["request_ids"]))
    initiator_id, tool_usages = started["initiator_id"], ending.reading.tool_usages[:MAX_LIST]
    issued = _distinct_ids(*[call.provider_tool_call_id for call in tool_usages])
    links = started.get("links", []) + [Link.TOOL_CALL.of(id_, initiator_id) for id_ in issued]
    if "fingerprint" in started and ending.end_reason.status is Status.FAILED:
        links.append(Link.FAILURE.of(started["fingerprint"]))
    if links:
        fields["links"] = links
    document = {**started, **fields}
    return document | figures_of(document)


def ending_fields(ending: Ending, *, cost: Cost | None = None) -> dict[str, Any]:
    """Make the fields that an end brings, aside from figures. `cost` is None where it is unknown."""
    reading = ending.reading
    usages, calls, thoughts = reading.token_usages, reading.tool_usages, reading.model_thoughts
    fields = {
        "schema_version": SCHEMA_VERSION,
        "status": str(ending.end_reason.status),
        "end_reason": str(ending.end_reason),
        "error": None if ending.error is None else {"type": ending.error.type, "message": ending.error.message},
        "upstream_status": ending.upstream_status,
        "upstream_request_id": ending.upstream_request_id,
        "upstream_asked_at": ending.upstream_asked_at,
        "first_byte_at": ending.first_byte_at,
        "ended_at": ending.ended_at,
        "response_id": reading.response_id,
        "request_ids": _request_ids(ending),
        "token_usages": [_token_usage(usage) for usage in usages[:MAX_LIST]],
        "tool_usages": [_tool_usage(call) for call in calls[:MAX_LIST]],
        "model_thoughts": [_model_thought(thought) for thought in thoughts[:MAX_LIST]],
        "cost": None if cost is None else cost.stored,
    }
    if (response := reading.response) is not None:
        fields["response"] = _model_response(response)
    if price := _provider_cost(usages):
        fields["provider_cost"] = price
    if ending.credential_hint:
        fields["credential_hint"] = ending.credential_hint
    if ending.provider_name:
        fields |= {"provider": ending.provider, "provider_name": ending.provider_name}
    if (made := ending.connecting) is not None:
        fields["connecting"] = {"dns_ms": _ms(made.dns), "connect_ms": _ms(made.connect), "tls_ms": _ms(made.tls)}
    if ending.tries:
        fields["tries"] = [_try(one) for one in ending.tries[:MAX_LIST]]
    if reading.truncated or max(len(usages), len(calls), len(thoughts)) > MAX_LIST:
        fields["truncated"] = True
    return fields


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _try(one: Try) -> dict[str, Any]:
    return {
        "provider_name": one.provider_name,
        "credential_hint": one.credential_hint,
        "status": one.status,
        "error": None if one.error is None else {"type": one.error.type, "message": one.error.message},
        "ms": round(one.seconds * 1000),
    }


def _conversation_fields(interception: StartRecord) -> dict[str, Any]:
    """Return the fields with the position of a call in its conversation; none where its client names the session."""
    if interception.client_session_id:
        return {}
    position = interception.conversation
    conversation = {
        "continues": position and position.continues,
        "previous_response_id": next(iter(_distinct_ids(interception.previous_response_id)), None),
    }
    return {name: value for name, value in conversation.items() if value}


def _links(interception: StartRecord) -> list[bytes]:
    """Return the links of a call that has just started: that of its session, else that of its conversation."""
    if interception.client_session_id:
        return [Link.SESSION.of(interception.client_session_id)]
    position = interception.conversation
    return (
        [] if position is None or not position.key else [Link.CONVERSATION.of(position.key, interception.initiator_id)]
    )


def _request_ids(ending: Ending) -> list[str]:
    reading = ending.reading
    ids = _distinct_ids(
        format_id(ending.interception_id),
        ending.upstream_request_id,
        reading.response_id,
        *[usage.provider_response_id for usage in reading.token_usages[:MAX_LIST]],
        *[usage.provider_response_id for usage in reading.tool_usages[:MAX_LIST]],
    )
    return list(map(in_any_case, ids))


def websocket_ids(interception: StartRecord) -> list[str]:
    """Return the id of the WebSocket that a call came over, by which it is found too; nothing for a call over HTTP."""
    return [] if interception.websocket is None else [format_id(interception.websocket.websocket_id)]


def _distinct_ids(*ids: str | None) -> list[str]:
    """Return those that an interception can be found by, each once."""
    return list(dict.fromkeys([id_ for id_ in ids if id_ and len(id_) <= MAX_ID]))


def _provider_cost(usages: Sequence[TokenUsage]) -> dict[str, Any] | None:
    """What the provider says that all of a call costs; None where it says it of no response."""
    prices = [usage.price for usage in usages if usage.price is not None]
    if not prices:
        return None
    return {"usd": Decimal128(sum((price.usd for price in prices), Decimal())), "source": prices[0].source}


def _user_prompt(prompt: UserPrompt) -> dict[str, Any]:
    return {
        "prompt": prompt.prompt,
        "metadata": {name: True for name in ("truncated", "synthetic") if getattr(prompt, name)} | _kept(prompt),
    }


def _token_usage(usage: TokenUsage) -> dict[str, Any]:
    return {
        "provider_response_id": usage.provider_response_id,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "cache_write_input_tokens": usage.cache_write_input_tokens,
        "source": str(usage.source),
        "metadata": _usage_metadata(usage.usage),
        **({"model": usage.model} if usage.model else {}),
    }


def _tool_usage(usage: ToolUsage) -> dict[str, Any]:
    return {
        "provider_response_id": usage.provider_response_id,
        "provider_tool_call_id": usage.provider_tool_call_id,
        "server_url": usage.server_url,
        "tool": usage.tool,
        "input": usage.input,
        "injected": usage.injected,
        "invocation_error": usage.invocation_error,
        "metadata": ({"truncated": True} if usage.truncated else {}) | _kept(usage),
        **({"checksum": crc32(usage.input.encode(errors="replace"))} if usage.input else {}),
    }


def _tool_result(result: ToolResult) -> dict[str, Any]:
    return {"id": result.id, "bytes": result.bytes, "is_error": result.is_error}


def _model_thought(thought: ModelThought) -> dict[str, Any]:
    return {
        "content": thought.content,
        "metadata": {"source": thought.source, **({"truncated": True} if thought.truncated else {}), **_kept(thought)},
    }


def _model_response(response: ModelResponse) -> dict[str, Any]:
    return {"text": response.text, "metadata": ({"truncated": True} if response.truncated else {}) | _kept(response)}


def _kept(text: UserPrompt | ToolUsage | ModelThought | ModelResponse) -> dict[str, str]:
    return {} if text.kept is Keep.FULL else {"recording": text.kept.value}


def _usage_metadata(usage: dict[str, Any]) -> dict[str, Any]:
    """Return the object as JSON, and what has half of a character as truncated. `intercept.tokens` has bounded it."""
    try:
        return {"usage": msgspec.json.encode(usage).decode()}
    except ValueError:
        return {"truncated": True}


LINK_BYTES: Final = 8
"""Size of a link."""


class Link(Enum):
    """What a link stands for."""

    SESSION = b"session"
    CONVERSATION = b"conversation"
    TOOL_CALL = b"tool call"
    FAILURE = b"failure"

    def of(self, value: str | bytes, initiator_id: UUID | bytes = b"") -> bytes:
        """Return the link of a name, an id or a digest, which is another one for each initiator that is given."""
        data = value.encode(errors="replace") if isinstance(value, str) else value
        key = initiator_id.bytes if isinstance(initiator_id, UUID) else initiator_id
        return blake2b(data, digest_size=LINK_BYTES, key=key, person=self.value).digest()
