"""Refusals: calls that the bridge refused before they became interceptions."""

from __future__ import annotations

from datetime import datetime

from handlers.openapi.errors import WORDS
from handlers.openapi.methods import get
from handlers.openapi.parts import JSON, Described, json_response, lines, query, response
from handlers.openapi.paths.recorded.interceptions import AFTER, LIMIT, OFFSET, SEARCH
from resources.fields import ListPage
from resources.recorded.errors import ErrorList
from resources.recorded.refusals import Refusal
from storage.queries.filters.refusals import RefusalSearch

_SEARCH = query(
    "q",
    str,
    "A search: words separated by spaces, `key:value`, values with a space or a colon in double quotes, each key once. "
    f"Keys are {', '.join(RefusalSearch.__struct_fields__)}.",
    example="user:me rule:rate",
)

_FROM = query("from", datetime, "The start of the range; without it seven days before its end.")
_TO = query("to", datetime, "The end of the range, exclusive; without it now.")
_PROVIDER = query("provider", str, "Only those of the provider with this name.", example="anthropic")

_LINES = lines('{"progress":{"read":2000,"of":16000,"seconds_left":0.3}}')

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/errors": get(
        "listErrors",
        "Errors and refusals, by kind",
        "Failed calls by provider, model, status, type and message, and refusals by provider, model, status and rule; the most "
        "frequent first. Refusals are left out where the search asks for what they do not have. With "
        "`Accept: application/x-ndjson` lines of progress come before the result, where there is much to read.",
        parameters=(_FROM, _TO, SEARCH, _PROVIDER, LIMIT, OFFSET),
        responses={"200": response("A page.", {JSON: {"schema": ErrorList}} | _LINES)} | WORDS,
    ),
    "/api/v2/aibridge/refusals": get(
        "listRefusals",
        "Refused calls",
        "Newest first. Equal refusals within a minute are one row; the statistics count each of them.",
        parameters=(_SEARCH, LIMIT, AFTER, OFFSET),
        responses={"200": json_response("A page.", ListPage[Refusal])},
    ),
}
