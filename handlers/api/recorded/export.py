"""Everything that matches a search, as one download."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from handlers.api.recorded.interceptions import AfterId
from handlers.api.recorded.visibility import NOT_FOR_READERS, SearchText, Sight
from handlers.operations.operation import Ask, Download, operation
from handlers.operations.query import Query
from handlers.problems import Problem
from resources.fields import doc
from resources.recorded.export_formats import FORMATS, Format
from storage.accounts.events import Way
from storage.queries.interceptions import TooManyExportsError

TOO_MANY = "The maximum number of exports is reached. Please try again later."
MAX_ROWS = 2**31 - 1
# Interceptions that are written before other requests run: about two milliseconds' work.
CHUNK = 25

Pages: TypeAlias = AsyncGenerator[list[dict[str, Any]], None]


class ExportQuery(Query, frozen=True):
    """What is exported, and how it is written."""

    format: Annotated[
        Literal["ndjson", "csv"],
        doc("Lines of JSON, each an interception, or CSV (RFC 4180) with a row of names first."),
    ] = "ndjson"
    q: SearchText = ""
    after_id: AfterId = None
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_ROWS)] | None, doc("The maximum number of items; without it all.")
    ] = None


@operation(
    "GET",
    "interceptions/export",
    shares=True,
    media=("application/x-ndjson", "text/csv"),
    raises={403: NOT_FOR_READERS},
)
async def export_interceptions(ask: Ask, query: ExportQuery) -> Download:
    """Export all interceptions that match.

    Newest first. To continue an interrupted export, pass the last received id as `after_id`. If something fails half way,
    the connection is closed early.
    """
    bridge, written = ask.bridge, FORMATS[query.format]
    search = await Sight(ask, Way.EXPORT).query(query.q)
    if search.search.texts is not None:
        pages: Pages = bridge.search.pages(search, after_id=query.after_id, limit=query.limit)
    else:
        pages = bridge.interceptions.pages(
            search.conditions, visible_to=ask.visible_to, after_id=query.after_id, limit=query.limit
        )
    return Download(written.content_type, f"interceptions.{query.format}", _written(ask, written, pages))


async def _written(ask: Ask, written: Format, reading: Pages) -> AsyncGenerator[bytes, None]:
    """Write pages. The next one is read when the client has read the one before; only one is in memory."""
    sight, begin = Sight(ask, Way.EXPORT), written.head
    try:
        async with aclosing(reading) as pages:
            async for page in pages:
                users = await ask.bridge.identities.users_by_id({document["initiator_id"] for document in page})
                for start in range(0, len(page), CHUNK):
                    interceptions = [sight.resource_of(document, users) for document in page[start : start + CHUNK]]
                    yield begin + written.rows(ask.bridge.secrets.hide(interceptions))
                    begin = b""
    except TooManyExportsError as error:
        raise Problem(503, TOO_MANY, {"Retry-After": "5"}) from error
    if begin:
        yield begin
