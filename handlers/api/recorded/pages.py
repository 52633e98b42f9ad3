"""Lists as they are sent: row by row, as fast as the client takes them. Unsent rows are kept as MongoDB sent them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import msgspec

from handlers.api.control import PIECE_BYTES
from handlers.operations.operation import Ask
from storage.accounts.users import User
from storage.mongo.documents.rows import Rows


class Row(Protocol):
    """A resource that has an id."""

    id: UUID


MakeRow: TypeAlias = Callable[[Mapping[str, Any], Mapping[UUID, User]], Row]
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
    async for piece, id_ in _rows_of(ask, rows, make_row, complete):
        yield piece
        last = id_
    yield around_list(make_page(last if rows.is_cut else None))[1]


async def rows_of(ask: Ask, rows: Rows, make_row: MakeRow) -> AsyncGenerator[bytes, None]:
    """Make rows with commas between them, piece by piece; raises as `page_of`."""
    async for piece, _ in _rows_of(ask, rows, make_row, None):
        yield piece


async def _rows_of(
    ask: Ask, rows: Rows, make_row: MakeRow, complete: Complete | None
) -> AsyncGenerator[tuple[bytes, UUID], None]:
    """Make rows, some at a time, each time with the id of the last one."""
    users: dict[UUID, User] = {}
    comma = b""
    for chunk in rows.take(PIECE_BYTES):
        if unknown := {document["initiator_id"] for document in chunk} - users.keys():
            users |= await ask.bridge.identities.users_by_id(unknown)
        made = [make_row(document, users) for document in chunk]
        if complete is not None:
            await complete(chunk, made)
        yield comma + b",".join(map(msgspec.json.encode, made)), made[-1].id
        comma = b","
