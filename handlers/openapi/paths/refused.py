"""Refusals: calls that the bridge refused before they became interceptions."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from handlers.openapi.errors import ALWAYS
from handlers.openapi.operations import JSON, Count, Described, Time, answer, body, get, query
from handlers.openapi.paths.interceptions import AFTER, LIMIT, OFFSET
from handlers.openapi.records import EXAMPLE as INTERCEPTION
from handlers.openapi.records import Initiator
from intercept.refusals import Rule
from storage.queries.refusal_search import RefusalSearch


class Refusal(Struct):
    """A refused call, and how many equal ones there were in the same minute."""

    id: UUID
    at: Annotated[Time, Meta(description="When; of several, the first.")]
    initiator: Annotated[Initiator | None, Meta(description="The user; null while nobody knows who it is.")]
    api_key_id: Annotated[
        str | None, Meta(description="The public part of the token, also of one that is not valid any more.")
    ]
    client_ip: Annotated[
        str | None,
        Meta(
            description="The client's address, of IPv6 its /64 network, where the user is not known; null also where too "
            "many others were refused to name each."
        ),
    ]
    provider: Annotated[str | None, Meta(description="The name of the provider; null where there is none.")]
    route: Annotated[str | None, Meta(description="The route; null where the path leads to none.")]
    model: Annotated[str | None, Meta(description="The model, where the body was read.")]
    status: Annotated[int, Meta(ge=400, le=599)]
    rule: Annotated[Rule, Meta(description="Why.")]
    retry_after_ms: Annotated[
        Count | None, Meta(description="How long the client was told to wait; null where it was told nothing.")
    ]
    more: Annotated[Count, Meta(description="How many more there were that have no row of their own.")]


class RefusalList(Struct):
    """A page of refusals, newest first."""

    count: Annotated[Count, Meta(description="How many rows match the search and may be seen, whatever the page.")]
    results: list[Refusal]


_EXAMPLE = Refusal(
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
        answers={"200": answer("A page of them.", {JSON: body(RefusalList, page=RefusalList(1, [_EXAMPLE]))})} | ALWAYS,
    ),
}
