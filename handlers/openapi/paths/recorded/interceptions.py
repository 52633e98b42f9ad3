"""Interceptions: the list, a single one, all of them to take away, and as they happen."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from handlers.api.pagination import DEFAULT_LIMIT, MAX_LIMIT, MAX_OFFSET
from handlers.api.recorded.export import MAX_ROWS
from handlers.api.recorded.export import TOO_MANY as TOO_MANY_EXPORTS
from handlers.api.recorded.interceptions import UNKNOWN_INTERCEPTION
from handlers.api.recorded.live import FORGOTTEN_EVENT_ID, LAST_EVENT
from handlers.api.recorded.live import TOO_MANY as TOO_MANY_LISTENERS
from handlers.api.recorded.live import TOO_MANY_OF_USER as TOO_MANY_LIVE_TAILS_OF_USER
from handlers.openapi.errors import BUSY, WORDS, problem, retriable
from handlers.openapi.methods import get
from handlers.openapi.parts import (
    Described,
    body,
    header,
    header_parameter,
    in_path,
    json_response,
    query,
    response,
)
from limits.protection.user_shares import MAX_LIVE_TAILS
from resources.recorded.interceptions import Interception, InterceptionList
from storage.queries.filters.search_language import SEARCH_KEYS

SEARCH_EXAMPLE = 'user:me model:claude-sonnet-4-5 started_after:"2026-01-01T00:00:00Z"'
SEARCH = query(
    "q",
    str,
    "A search: words separated by spaces. `key:value`, `key:a,b` for one of several values, `-key:value` for what is not so; "
    "values with a space, a comma or a colon in double quotes. Words without a key are searched for in prompts, inputs of tools, "
    "thoughts, responses and errors; those in double quotes have to follow one another, and `-word` leaves calls out. "
    f"Keys are {', '.join(SEARCH_KEYS)}.",
    example=SEARCH_EXAMPLE,
)
LIMIT = query("limit", Annotated[int, Meta(ge=1, le=MAX_LIMIT)], "The maximum number of items.", default=DEFAULT_LIMIT)
OFFSET = query("offset", Annotated[int, Meta(ge=0, le=MAX_OFFSET)], "The number of items to skip.", default=0)
AFTER = query("after_id", UUID, "Start after this one: the last of the previous page. Not together with `offset`.")

FORMAT = query(
    "format",
    Literal["ndjson", "csv"],
    "Lines of JSON, each an interception, or CSV (RFC 4180) with a row of names first.",
    default="ndjson",
)
ROWS = query("limit", Annotated[int, Meta(ge=1, le=MAX_ROWS)], "The maximum number of items; without it all.")
LAST_EVENT_ID = header_parameter(LAST_EVENT, str, "Continue after the event with this id.")
_EVENT = 'event: interception\nid: 8265D3\ndata: {"id":"3dc9afb2-d8d4-49f1-9cf7-ad523218a70b"}\n\n'

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/interceptions": get(
        "listInterceptions",
        "What was recorded",
        "Newest first. Calls in flight are left out unless the search has a `status`.",
        parameters=(SEARCH, LIMIT, AFTER, OFFSET),
        responses={"200": json_response("A page.", InterceptionList)} | WORDS,
    ),
    "/api/v2/aibridge/interceptions/{id}": get(
        "getInterception",
        "One interception",
        "Calls in flight have one too.",
        parameters=(in_path("id", UUID, "The id of the interception."),),
        responses={
            "200": json_response("The interception.", Interception),
            "404": problem("There is no such interception that the caller may see.", UNKNOWN_INTERCEPTION),
        },
    ),
    "/api/v2/aibridge/interceptions/export": get(
        "exportInterceptions",
        "Export all that match",
        "Newest first. To continue an interrupted export, pass the last received id as `after_id`.",
        parameters=(FORMAT, SEARCH, AFTER, ROWS),
        responses=WORDS
        | {
            "200": response(
                "A download. If something fails half way, the connection is closed early.",
                {"application/x-ndjson": {"schema": str}, "text/csv": {"schema": str}},
                {"Content-Disposition": header(str, "A file name.", 'attachment; filename="interceptions.csv"')},
            ),
            "429": BUSY,
            "503": retriable(
                "The database is unavailable, or the maximum number of exports is running.", TOO_MANY_EXPORTS
            ),
        },
    ),
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
