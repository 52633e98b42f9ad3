"""The summary of a request for its record, read from the body and the headers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import UUID

from msgspec.structs import replace

from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.upstream_request import Destination, UpstreamRequest
from handlers.problems import Problem
from intercept.apis import FORM_FIELDS, Api, InvalidRequestError, RequestSummary
from intercept.callers import CLAUDE_CODE, SessionAgent, client_name, read_agent, retry_count, session_id
from intercept.dialects.request_bodies import MAX_PATH_MODEL
from intercept.formats.content_encoding import ENCODINGS, IDENTITY, check_utf8, inflated
from intercept.formats.form_data import is_form, read_fields
from intercept.provider_state import references, windows
from intercept.records import StartRecord
from intercept.refusals import Rule
from intercept.tags import read_tags, together
from upstream.providers.presets import ProviderType

# User agents are recorded for people to look at; a hostile one is cut.
USER_AGENT_CHARACTERS = 512
# A compressed body up to this size is inflated in the event loop, in a few milliseconds.
INFLATED_AT_ONCE_BYTES = 16 * 1024
# Between the two looks at a larger body others have their turn: both together take up to 250 ms of 64 MiB.
READ_AT_ONCE_BYTES = 1024 * 1024
NO_AGENT = SessionAgent()
LONG_PATH = f"the path names more than {MAX_PATH_MODEL} characters"


def encoding_of(handler: ProxyHandler) -> str:
    """How the body of a request is encoded, `IDENTITY` where it is not."""
    return handler.request.headers.get("Content-Encoding", "").strip().lower() or IDENTITY


def streams_form(handler: ProxyHandler, to: Destination) -> bool:
    """Whether the body of a request is a form that goes to the provider while it arrives.

    A compressed one has to be inflated first, and where the request is signed, the signature is about the whole body.
    """
    is_plain = encoding_of(handler) == IDENTITY and not to.provider.preset.aws_service
    return is_plain and is_form(handler.request.headers.get("Content-Type", ""))


async def read_summary(handler: ProxyHandler, to: Destination, api: Api) -> RequestSummary:
    """Read the body of a request.

    Raises:
        Problem: 400, 413 or 415, it cannot be read.
    """
    encoding, body, bridge = encoding_of(handler), handler.body, handler.bridge
    if handler.form is not None:
        return _by_deployment(to, _parse_form(handler.form.found, to, api))
    if encoding not in (IDENTITY, *ENCODINGS):
        message = f"Content-Encoding {encoding!r} is not supported in requests: allowed are {', '.join(ENCODINGS)}."
        raise Problem(415, message, rule=Rule.COMPRESSED_BODY)
    body = await plain_body(body, encoding, bridge.settings.max_body_bytes)
    content_type = handler.request.headers.get("Content-Type", "")
    if api.parse_form is not None and is_form(content_type):
        return _by_deployment(to, _parse_form(read_fields(body, content_type, FORM_FIELDS), to, api))
    check_utf8(body)
    if len(body) > READ_AT_ONCE_BYTES:
        await asyncio.sleep(0)
    return await parse_body(to, api, body)


async def plain_body(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """A body without its encoding. A large one is inflated in a thread.

    Raises:
        InvalidRequestError: It is not compressed as it says, or too large.
    """
    if encoding == IDENTITY:
        return body
    if len(body) <= INFLATED_AT_ONCE_BYTES:
        return inflated(body, encoding, max_bytes)
    return await asyncio.to_thread(inflated, body, encoding, max_bytes)


def _parse_form(fields: Mapping[str, str], to: Destination, api: Api) -> RequestSummary:
    """Read the fields of a form, and what the path says of the model."""
    named = _names_in(to)
    assert api.parse_form is not None  # noqa: S101 - only such a body is read as a form
    summary = api.parse_form(fields, named.get("deployment", ""))
    return replace(summary, model=named.get("model") or summary.model, deployment=named.get("deployment", ""))


async def parse_body(to: Destination, api: Api, body: bytes) -> RequestSummary:
    """Read a body that is not compressed.

    Raises:
        InvalidRequestError: It cannot be read.
    """
    return replace(_by_deployment(to, _parse(body, to, api)), references=await _references(body))


async def _references(body: bytes) -> frozenset[str]:
    """The ids by which a request names what a provider may have kept; others have their turn between the windows of it."""
    found: set[str] = set()
    for number, window in enumerate(windows(body)):
        if number > 0:
            await asyncio.sleep(0)
        found |= references(window)
    return frozenset(found)


def _parse(body: bytes, to: Destination, api: Api) -> RequestSummary:
    """Read the body, and what the path says of the model and of streaming."""
    named = _names_in(to)
    model, deployment = named.get("model", ""), named.get("deployment", "")
    summary = api.parse_request(body, model or deployment)
    if (vendor := to.route.vendor) and summary.model.lower().startswith(vendor):
        summary = replace(summary, model=summary.model[len(vendor) :])
    if named or to.route.streams:
        stream = summary.stream or to.route.streams
        return replace(summary, model=model or summary.model, stream=stream, deployment=deployment)
    return summary


def _names_in(to: Destination) -> dict[str, str]:
    """What the path names, by what it is."""
    named = to.route.names_in(to.path)
    if max(map(len, named.values()), default=0) > MAX_PATH_MODEL:
        raise InvalidRequestError(LONG_PATH)
    return named


def _by_deployment(to: Destination, summary: RequestSummary) -> RequestSummary:
    """Take the deployment for the model: Azure calls that one, whatever model the body names. Policies hold for both."""
    named = summary.deployment
    if to.provider.type is not ProviderType.AZURE or named in ("", summary.model):
        return summary
    others = None if summary.other_models is None else (*summary.other_models, summary.model)
    return replace(summary, model=named, other_models=others)


def start_of(
    handler: ProxyHandler,
    to: Destination,
    api: Api,
    summary: RequestSummary,
    sent: UpstreamRequest,
    *,
    id_: UUID | None = None,
) -> StartRecord:
    """Make the record of a call's start; `id_` is a new one unless given."""
    bridge, identity, headers = handler.bridge, handler.identity, handler.request.headers
    client = client_name(headers)
    session = session_id(client, headers, summary.session_hint, summary.conversation_id)
    return StartRecord(
        id=id_ or bridge.new_id(),
        api_key_id=identity.token_id,
        initiator_id=identity.user.id,
        provider=str(to.provider.type),
        provider_name=to.provider.name,
        route=to.route.pattern,
        model=summary.model,
        streaming=summary.stream,
        client=client,
        client_session_id=session,
        user_agent=headers.get("User-Agent", "")[:USER_AGENT_CHARACTERS],
        credential_kind=sent.credential_kind,
        credential_hint=sent.credential_hint,
        started_at=bridge.now(),
        agent=read_agent(headers) if client == CLAUDE_CODE else NO_AGENT,
        user_prompt=summary.user_prompt,
        answered_tool_call_id=summary.answered_tool_call_id,
        conversation=None if session else summary.conversation,
        previous_response_id=None if session else summary.previous_response_id,
        billed=api.billed,
        group_ids=identity.user.group_ids,
        blocks=None if summary.previous_response_id else summary.blocks,
        recording=handler.policy.recording if handler.policy else None,
        tool_results=summary.tool_results,
        retry_count=retry_count(headers),
        tags=together(read_tags(headers), summary.tags),
    )
