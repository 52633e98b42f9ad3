"""Lists as they are written: row by row, as fast as the client takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from handlers.api.visibility import VisibilityHandler
from handlers.control import PIECE_BYTES
from storage.accounts.users import User
from storage.mongo.rows import Rows

Show: TypeAlias = Callable[[Mapping[str, Any], Mapping[UUID, User]], dict[str, Any]]


class PageHandler(VisibilityHandler):
    """A resource with rows that may be large. What the client has not taken yet is held as MongoDB sent it."""

    async def write_page(self, count: int, rows: Rows, show: Show, next_name: str) -> None:
        """Write `{"count": n, "results": [..], next_name: id}`; the id is null unless the page was cut for its size.

        Args:
            count: How many rows there are, whatever the page.
            rows: The rows, which are taken.
            show: Makes of a document, with the users that are known, what the API shows.
            next_name: What the id is called of the last row of a page that was cut.

        Raises:
            DatabaseUnavailableError: The names of users cannot be read.
            StreamClosedError: The client has left, or takes nothing.
        """
        self.set_header("Content-Type", "application/json")
        await self.write_piece(b'{"count":%d,"results":[' % count)
        last = await self.write_rows(rows, show)
        rest = msgspec.json.encode({next_name: last if rows.is_cut else None})
        await self.write_piece(b"]," + rest[1:])

    async def write_rows(self, rows: Rows, show: Show) -> str | None:
        """Write rows with commas between them; return the id of the last one, None if there is none."""
        users: dict[UUID, User] = {}
        last, comma = None, b""
        for chunk in rows.take(PIECE_BYTES):
            if unknown := {document["initiator_id"] for document in chunk} - users.keys():
                users |= await self.bridge.identities.users_by_id(unknown)
            shown = [show(document, users) for document in chunk]
            await self.write_piece(comma + b",".join(map(msgspec.json.encode, shown)))
            last, comma = shown[-1]["id"], b","
        return last
