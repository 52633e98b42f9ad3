"""Documents as MongoDB sent them: bounded in bytes, and decoded a few at a time, when they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, TypeAlias, cast

import bson
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorCollection, AsyncIOMotorCommandCursor, AsyncIOMotorCursor

from storage.mongo.database import Collection

PAGE_BYTES = 8 << 20
"""Most bytes of a page, as BSON. A single document may be larger."""

BATCH_ROWS = 250
"""Most documents that MongoDB sends at a time; it sends at most 16 MiB of them."""

Cursor: TypeAlias = AsyncIOMotorCursor[RawBSONDocument] | AsyncIOMotorCommandCursor[RawBSONDocument]
"""Of what is found, or of an aggregation."""


class Rows:
    """Some documents of a collection, in their order.

    Args:
        collection: Where they are from.
        max_bytes: Most bytes of all of them, as BSON; the first one is taken whatever its size.

    Attributes:
        size: Bytes of all of them.
        is_cut: Whether there is a further document that was left out.
    """

    def __init__(self, collection: Collection, max_bytes: int = PAGE_BYTES) -> None:
        self.raw: list[bytes] = []
        self.size = 0
        self.is_cut = False
        self._max_bytes = max_bytes
        self._options = collection.codec_options

    def __len__(self) -> int:
        return len(self.raw)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._decode, self.raw)

    def take(self, size: int) -> Iterator[list[dict[str, Any]]]:
        """Decode some of them at a time, of about `size` bytes and at least one, and hold these no longer."""
        self.raw.reverse()
        while self.raw:
            chunk, taken = [], 0
            while self.raw and taken < size:
                raw = self.raw.pop()
                taken += len(raw)
                chunk.append(self._decode(raw))
            yield chunk

    def add(self, raw: bytes) -> None:
        """Put a document behind the others."""
        self.raw.append(raw)
        self.size += len(raw)

    async def read(self, cursor: Cursor, max_rows: int) -> Self:
        """Add what a cursor has until there are enough rows or bytes, and close it. Whatever the driver raises passes."""
        try:
            async for document in cursor.batch_size(min(max_rows + 1, BATCH_ROWS)):
                is_full = len(self.raw) >= max_rows or self.size + len(document.raw) > self._max_bytes
                self.is_cut = bool(self.raw) and is_full
                if self.is_cut:
                    break
                self.add(bytes(document.raw))  # a view would hold all that was sent with it
        finally:
            await cursor.close()
        return self

    def _decode(self, raw: bytes) -> dict[str, Any]:
        decoded: dict[str, Any] = bson.decode(raw, self._options)
        return decoded


def as_sent(collection: Collection) -> AsyncIOMotorCollection[RawBSONDocument]:
    """Return the same collection, with documents as MongoDB sends them."""
    options = collection.codec_options.with_options(document_class=RawBSONDocument)
    return cast("AsyncIOMotorCollection[RawBSONDocument]", collection.with_options(codec_options=options))
