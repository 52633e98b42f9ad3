"""Interceptions: the list, a single one, all of them to take away, and as they happen."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from handlers.api.pagination import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET
from handlers.api.recorded.live import FORGOTTEN_EVENT_ID, LAST_EVENT
from handlers.api.recorded.live import TOO_MANY as TOO_MANY_LISTENERS
from handlers.api.recorded.live import TOO_MANY_OF_USER as TOO_MANY_LIVE_TAILS_OF_USER
from handlers.api.recorded.visibility import SearchText
from handlers.openapi.errors import WORDS, problem, retriable
from handlers.openapi.methods import get
from handlers.openapi.parts import (
    Described,
    body,
    header_parameter,
    query,
    response,
)
from limits.protection.user_shares import MAX_LIVE_TAILS

SEARCH = query("q", SearchText, "A search.")
LIMIT = query("limit", Annotated[int, Meta(ge=1, le=MAX_LIMIT)], "The maximum number of items.", default=DEFAULT_LIMIT)
OFFSET = query("offset", Annotated[int, Meta(ge=0, le=MAX_OFFSET)], "The number of items to skip.", default=0)
LAST_EVENT_ID = header_parameter(LAST_EVENT, str, "Continue after the event with this id.")
_EVENT = 'event: interception\nid: 8265D3\ndata: {"id":"3dc9afb2-d8d4-49f1-9cf7-ad523218a70b"}\n\n'

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/interceptions/live": get(
        "watchInterceptions",
        "Live events: interceptions as they start and end",
        "Server-sent events: `interception` with one as its data, when it starts and when it ends; `reset` when the events "
        "since `Last-Event-ID` are not known any more.",
        parameters=(SEARCH, LAST_EVENT_ID),
        responses=WORDS
        | {
            "200": response("Events, until the client leaves.", {"text/event-stream": body(interception=_EVENT)}),
            "429": retriable(
                "The user has the maximum number of live tails open.",
                TOO_MANY_LIVE_TAILS_OF_USER.format(MAX_LIVE_TAILS),
            ),
            "410": problem("The events since `Last-Event-ID` are no longer available.", FORGOTTEN_EVENT_ID),
            "503": retriable(
                "The database is unavailable, or the maximum number of listeners is reached.", TOO_MANY_LISTENERS
            ),
        },
    ),
}
