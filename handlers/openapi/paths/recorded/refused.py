"""Refusals: calls that the bridge refused before they became interceptions."""

from __future__ import annotations

from uuid import UUID

from handlers.openapi.errors import ALWAYS
from handlers.openapi.example import EXAMPLE as INTERCEPTION
from handlers.openapi.operations import JSON, Described, body, get, query, response
from handlers.openapi.paths.recorded.interceptions import AFTER, LIMIT, OFFSET
from intercept.refusals import Rule
from resources.recorded.refusals import Refusal, RefusalList
from storage.queries.filters.refusals import RefusalSearch

REFUSAL = Refusal(
    id=UUID("2c0d3a52-7b0e-5c7c-93a4-5b1ec1c5d8a1"),
    at="2026-11-24T23:14:05.112Z",
    initiator=INTERCEPTION.initiator,
    api_key_id="d3W24SnZZB",
    client_ip=None,
    provider="openai",
    route="/v1/chat/completions",
    model=None,
    status=429,
    rule=Rule.RATE,
    retry_after_ms=740,
    more=12,
)
_SEARCH = query(
    "q",
    str,
    "A search: words separated by spaces, `key:value`, values with a space or a colon in double quotes, each key once. "
    f"Keys are {', '.join(RefusalSearch.__struct_fields__)}.",
    example="initiator:me rule:rate",
)

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/refusals": get(
        "listRefusals",
        "Which calls the bridge refused",
        "Newest first. Equal refusals of a minute are one row; the statistics count all of them.",
        tag="refusals",
        parameters=(_SEARCH, LIMIT, AFTER, OFFSET),
        responses={"200": response("A page of them.", {JSON: body(RefusalList, page=RefusalList(1, [REFUSAL]))})}
        | ALWAYS,
    ),
}
