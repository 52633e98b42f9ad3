"""Recorded calls: lists of them, one of them, and all of them as a download.

A list is sent row by row, as fast as the client takes it; unsent rows are kept as MongoDB sent them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta

from handlers.api.recorded.visibility import NOT_FOR_READERS, SearchText, Sight
from handlers.operations.operation import PIECE_BYTES, Ask, Download, Pieces, operation
from handlers.operations.query import Paged, Query
from handlers.problems import Problem, sentence
from intercept.ids import format_id
from resources.fields import doc
from resources.recorded.export_formats import FORMATS, Format
from resources.recorded.interceptions import Interception, InterceptionList
from storage.accounts.events import Way
from storage.accounts.users import User
from storage.mongo.documents.rows import Rows
from storage.queries.interceptions import TooManyExportsError

UNKNOWN_INTERCEPTION = "there is no interception with this id that you may see"

AfterId = Annotated[
    UUID | None, doc("Start after this one: the last of the previous page. Not together with `offset`.")
]


class InterceptionQuery(Paged, frozen=True):
    """Which interceptions."""

    q: SearchText = ""
    after_id: AfterId = None


@operation("GET", "interceptions", raises={403: NOT_FOR_READERS})
async def list_interceptions(ask: Ask, query: InterceptionQuery) -> Pieces[InterceptionList]:
    """List interceptions.

    What was recorded, newest first. Calls in flight are left out unless the search has a `status`.
    """
    search = await Sight(ask).query(query.q)
    paging: dict[str, Any] = {"limit": query.limit, "after_id": query.after_id, "offset": query.offset}
    if search.search.texts is None and not search.is_for_index:
        count, rows = await ask.bridge.interceptions.page(search.conditions, visible_to=ask.visible_to, **paging)
        pieces = page_of(ask, lambda last: InterceptionList(count, [], last), rows, Sight(ask).resource_of)
        return Pieces(pieces)
    found = await ask.bridge.search.page(search, **paging)
    is_by_words = search.search.texts is not None

    async def add_matches(documents: Sequence[Mapping[str, Any]], rows: Sequence[Any]) -> None:
        """Add what matches, as far as there is time for it."""
        for row, matches in zip(rows, await ask.bridge.search.matches(search, documents), strict=False):
            row.matches = matches

    return Pieces(
        page_of(
            ask,
            lambda last: InterceptionList(found.count, [], last or found.next_after, found.is_exact),
            found.rows,
            Sight(ask, Way.SEARCH if is_by_words else Way.LIST).resource_of,
            add_matches if is_by_words else None,
        )
    )


@operation("GET", "interceptions/{id}", unknown=UNKNOWN_INTERCEPTION)
async def get_interception(ask: Ask, id_: Annotated[UUID, doc("The id of the interception.")]) -> Interception:
    """Read an interception.

    Calls in flight have one too.
    """
    document = await ask.bridge.interceptions.find(id_, visible_to=ask.visible_to)
    if document is None:
        raise Problem(404, sentence(UNKNOWN_INTERCEPTION))
    sight = Sight(ask, Way.DETAIL, (("interception_id", format_id(document["_id"])),))
    return sight.resource_of(document, await ask.bridge.identities.users_by_id([document["initiator_id"]]))


MakeRow: TypeAlias = Callable[[Mapping[str, Any], Mapping[UUID, User]], msgspec.Struct]
MakePage: TypeAlias = Callable[[UUID | None], msgspec.Struct]
Complete: TypeAlias = Callable[[Sequence[Mapping[str, Any]], Sequence[Any]], Awaitable[None]]
"""Adds to rows what takes long to find in their documents."""


def around_list(resource: msgspec.Struct) -> tuple[bytes, bytes]:
    """Return what stands in front of the items of a resource's last list, which is empty, and what behind them."""
    head, _, tail = msgspec.json.encode(resource).rpartition(b"[]")
    return head + b"[", b"]" + tail


async def page_of(
    ask: Ask, make_page: MakePage, rows: Rows, make_row: MakeRow, complete: Complete | None = None
) -> AsyncGenerator[bytes, None]:
    """Make a page with its rows, piece by piece.

    Args:
        ask: Who asks.
        make_page: Makes the page, without its rows, of the id of its last row, None unless it was cut for its size.
        rows: The rows, which are taken.
        make_row: Makes a resource of a document, with the users that are known.
        complete: See `Complete`.

    Raises:
        DatabaseUnavailableError: The names of users cannot be read.
    """
    yield around_list(make_page(None))[0]
    last = None
    async for piece, id_ in rows_of(ask, rows, make_row, complete):
        yield piece
        last = id_
    yield around_list(make_page(last if rows.is_cut else None))[1]


async def rows_of(
    ask: Ask, rows: Rows, make_row: MakeRow, complete: Complete | None = None
) -> AsyncGenerator[tuple[bytes, UUID], None]:
    """Make rows with commas between them, some at a time, each time with the id of the last one; raises as `page_of`."""
    users: dict[UUID, User] = {}
    comma = b""
    for chunk in rows.take(PIECE_BYTES):
        if unknown := {document["initiator_id"] for document in chunk} - users.keys():
            users |= await ask.bridge.identities.users_by_id(unknown)
        made = [make_row(document, users) for document in chunk]
        if complete is not None:
            await complete(chunk, made)
        yield comma + b",".join(map(msgspec.json.encode, made)), chunk[-1]["_id"]
        comma = b","


TOO_MANY_EXPORTS = "The maximum number of exports is reached. Please try again later."
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
        raise Problem(503, TOO_MANY_EXPORTS, {"Retry-After": "5"}) from error
    if begin:
        yield begin
