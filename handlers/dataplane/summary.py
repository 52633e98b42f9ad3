"""What the bridge has to know of a request to make its record: read from the body, and taken from the headers."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace

from handlers.bridge import Bridge
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.upstream_request import Destination, UpstreamRequest
from handlers.problems import Problem
from intercept.agents import Agent, read_agent
from intercept.apis import Api, FormParser, InvalidRequestError, RequestSummary
from intercept.clients import CLAUDE_CODE, client_name, session_id
from intercept.dialects.request_bodies import MAX_PATH_MODEL
from intercept.formats.form_data import is_form
from intercept.formats.large_bodies import Body, abridged
from intercept.formats.request_encoding import ENCODINGS, IDENTITY, InflatedTooLargeError, inflated
from intercept.formats.weight import is_light
from intercept.records import Interception
from intercept.refusals import Rule

# User agents are recorded for people to look at; a hostile one is cut.
USER_AGENT_CHARACTERS = 512
NO_AGENT = Agent()


def encoding_of(handler: ProxyHandler) -> str:
    """How the body of a request is encoded, `IDENTITY` where it is not."""
    return handler.request.headers.get("Content-Encoding", "").strip().lower() or IDENTITY


async def read_summary(handler: ProxyHandler, to: Destination, api: Api) -> RequestSummary:
    """Read the body of a request, a large one in pieces.

    Raises:
        Problem: 400, 413 or 415, it cannot be read.
    """
    encoding, body, bridge = encoding_of(handler), handler.body, handler.bridge
    if encoding not in (IDENTITY, *ENCODINGS):
        message = f"Content-Encoding {encoding!r} is not supported in requests: allowed are {', '.join(ENCODINGS)}."
        raise Problem(415, message, rule=Rule.COMPRESSED_BODY)
    user_id = handler.identity.user.id
    if encoding != IDENTITY:
        try:
            body = await bridge.pieces.finish(inflated(body, encoding, bridge.options.max_body_bytes), user_id)
        except InflatedTooLargeError as error:
            raise Problem(413, str(error), rule=Rule.BODY_TOO_LARGE) from error
        except InvalidRequestError as error:
            raise Problem(400, str(error), rule=Rule.UNUSABLE_BODY) from error
    content_type = handler.request.headers.get("Content-Type", "")
    if api.parse_form is not None and is_form(content_type):
        try:
            return _parse_form(body, content_type, to, api.parse_form)
        except InvalidRequestError as error:
            raise Problem(400, str(error), rule=Rule.UNUSABLE_BODY) from error
    return await parse_body(bridge, to, api, body, user_id)


def _parse_form(body: Body, content_type: str, to: Destination, parse: FormParser) -> RequestSummary:
    """Read a form, and what the path says of the model."""
    named = to.route.names_in(to.path)
    if max(map(len, named.values()), default=0) > MAX_PATH_MODEL:
        raise InvalidRequestError(f"the path names more than {MAX_PATH_MODEL} characters")
    summary = parse(body, content_type, named.get("deployment", ""))
    return replace(summary, model=named.get("model") or summary.model)


async def parse_body(bridge: Bridge, to: Destination, api: Api, body: Body, user_id: UUID) -> RequestSummary:
    """Read a body that is not compressed, a large one in pieces.

    Raises:
        Problem: 400, it cannot be read.
    """
    try:
        if not is_light(body):
            body = await bridge.pieces.finish(abridged(body), user_id)
        return _parse(body if isinstance(body, bytes) else bytes(body), to, api)
    except InvalidRequestError as error:
        raise Problem(400, str(error), rule=Rule.UNUSABLE_BODY) from error


def _parse(body: bytes, to: Destination, api: Api) -> RequestSummary:
    """Read the body, and what the path says of the model and of streaming."""
    named = to.route.names_in(to.path)
    model = named.get("model", "")
    if max(map(len, named.values()), default=0) > MAX_PATH_MODEL:
        raise InvalidRequestError(f"the path names more than {MAX_PATH_MODEL} characters")
    summary = api.parse_request(body, model or named.get("deployment", ""))
    if model or to.route.streams:
        return replace(summary, model=model or summary.model, stream=summary.stream or to.route.streams)
    return summary


def start_of(
    handler: ProxyHandler, to: Destination, api: Api, summary: RequestSummary, sent: UpstreamRequest
) -> Interception:
    """Make the record of a call's start."""
    bridge, identity, headers = handler.bridge, handler.identity, handler.request.headers
    client = client_name(headers)
    session = session_id(client, headers, summary.session_hint, summary.conversation_id)
    return Interception(
        id=bridge.new_id(),
        api_key_id=identity.token_id,
        initiator_id=identity.user.id,
        provider=to.provider.type.value,
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
    )
