"""Refusals: calls that the bridge refused before they became interceptions."""

from __future__ import annotations

from datetime import datetime

from handlers.openapi.errors import WORDS
from handlers.openapi.methods import get
from handlers.openapi.parts import JSON, NAMED_RANGE, ZONE, Described, lines, query, response
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET, SEARCH
from resources.recorded.errors import ErrorList

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
        parameters=(_FROM, _TO, NAMED_RANGE, ZONE, SEARCH, _PROVIDER, LIMIT, OFFSET),
        responses={"200": response("A page.", {JSON: {"schema": ErrorList}} | _LINES)} | WORDS,
    ),
}
