"""Lists as they are written: row by row, as fast as the client takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import msgspec

from handlers.api.control import PIECE_BYTES
from handlers.api.recorded.visibility import VisibilityHandler
from storage.accounts.users import User
from storage.mongo.documents.rows import Rows


class Row(Protocol):
    """A resource that has an id."""

    id: UUID


MakeRow: TypeAlias = Callable[[Mapping[str, Any], Mapping[UUID, User]], Row]
MakePage: TypeAlias = Callable[[UUID | None], msgspec.Struct]


def around_list(resource: msgspec.Struct) -> tuple[bytes, bytes]:
    """Return what stands in front of the items of a resource's last list, which is empty, and what behind them."""
    head, _, tail = msgspec.json.encode(resource).rpartition(b"[]")
    return head + b"[", b"]" + tail


class PageHandler(VisibilityHandler):
    """A resource with rows that may be large. Unsent rows are kept as MongoDB sent them."""

    async def write_page(self, make_page: MakePage, rows: Rows, make_row: MakeRow) -> None:
        """Write a page with its rows.

        Args:
            make_page: Makes the page, without its rows, of the id of its last row, None unless it was cut for its size.
            rows: The rows, which are taken.
            make_row: Makes a resource of a document, with the users that are known.

        Raises:
            DatabaseUnavailableError: The names of users cannot be read.
            StreamClosedError: The client has left, or takes nothing.
        """
        self.set_header("Content-Type", "application/json")
        await self.write_piece(around_list(make_page(None))[0])
        last = await self.write_rows(rows, make_row)
        await self.write_piece(around_list(make_page(last if rows.is_cut else None))[1])

    async def complete(self, documents: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> None:
        """Add to rows what takes long to find in their documents; nothing here."""

    async def write_rows(self, rows: Rows, make_row: MakeRow) -> UUID | None:
        """Write rows with commas between them; return the id of the last one, None if there is none."""
        users: dict[UUID, User] = {}
        last, comma = None, b""
        for chunk in rows.take(PIECE_BYTES):
            if unknown := {document["initiator_id"] for document in chunk} - users.keys():
                users |= await self.bridge.identities.users_by_id(unknown)
            made = [make_row(document, users) for document in chunk]
            await self.complete(chunk, made)
            await self.write_piece(comma + b",".join(map(msgspec.json.encode, made)))
            last, comma = made[-1].id, b","
        return last
