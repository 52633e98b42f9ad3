"""Refusals: calls that the bridge refused before they became interceptions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from handlers.openapi.errors import WORDS
from handlers.openapi.example import EXAMPLE as INTERCEPTION
from handlers.openapi.methods import get
from handlers.openapi.operations import JSON, Described, body, json_response, lines, query, response
from handlers.openapi.paths.recorded.interceptions import AFTER, LIMIT, OFFSET, SEARCH
from intercept.errors.explanations import explain
from intercept.records import EndReason
from intercept.refusals import Rule
from resources.recorded.errors import ErrorKind, ErrorList
from resources.recorded.refusals import Refusal, RefusalList
from storage.queries.filters.refusals import RefusalSearch

REFUSAL = Refusal(
    id=UUID("2c0d3a52-7b0e-5c7c-93a4-5b1ec1c5d8a1"),
    at="2026-11-24T23:14:05.112Z",
    initiator=INTERCEPTION.initiator,
    api_key_id="d3W24SnZZB",
    client_ip=None,
    method="POST",
    path="/api/v2/aibridge/openai/v1/chat/completions",
    provider="openai",
    route="/v1/chat/completions",
    model=None,
    status=429,
    rule=Rule.RATE,
    retry_after_ms=740,
    message="Rate limit exceeded. Please try again later.",
    request_ids=[UUID("019abf1c-52d8-7c3a-9f0e-6b1ec1c5d8a1")],
    more=12,
)
_SEARCH = query(
    "q",
    str,
    "A search: words separated by spaces, `key:value`, values with a space or a colon in double quotes, each key once. "
    f"Keys are {', '.join(RefusalSearch.__struct_fields__)}.",
    example="user:me rule:rate",
)

FAILURE = ErrorKind(
    kind="call",
    provider="anthropic",
    model="claude-sonnet-4-5",
    status=429,
    end_reason=EndReason.UPSTREAM_ERROR,
    type="rate_limit_error",
    rule=None,
    template="This request would exceed your limit of # input tokens per minute",
    message="This request would exceed your limit of 30,000 input tokens per minute",
    explanation=explain(EndReason.UPSTREAM_ERROR, 429),
    calls=31,
    users=1,
    initiators=[INTERCEPTION.initiator],
    first_at="2026-11-24T22:50:11.032Z",
    last_at="2026-11-24T23:14:05.112Z",
    example_id=INTERCEPTION.id,
    is_new=True,
)
_FROM = query("from", datetime, "The start of the range; without it seven days before its end.")
_TO = query("to", datetime, "The end of the range, exclusive; without it now.")
_PROVIDER = query("provider", str, "Only those of the provider with this name.", example="anthropic")

_ERRORS = ErrorList(
    from_="2026-11-17T23:14:30.000Z",
    to="2026-11-24T23:14:30.000Z",
    count=1,
    calls=31,
    is_complete=True,
    results=[FAILURE],
)
_LINES = lines('{"progress":{"read":2000,"of":16000,"seconds_left":0.3}}', _ERRORS)

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/errors": get(
        "listErrors",
        "Errors and refusals, by kind",
        "Failed calls by provider, model, status, type and message, and refusals by provider, model, status and rule; the most "
        "frequent first. Refusals are left out where the search asks for what they do not have. With "
        "`Accept: application/x-ndjson` lines of progress come before the result, where there is much to read.",
        parameters=(_FROM, _TO, SEARCH, _PROVIDER, LIMIT, OFFSET),
        responses={"200": response("A page.", {JSON: body(page=_ERRORS)} | _LINES)} | WORDS,
    ),
    "/api/v2/aibridge/refusals": get(
        "listRefusals",
        "Refused calls",
        "Newest first. Equal refusals within a minute are one row; the statistics count each of them.",
        parameters=(_SEARCH, LIMIT, AFTER, OFFSET),
        responses={"200": json_response("A page.", page=RefusalList(1, [REFUSAL]))},
    ),
}
