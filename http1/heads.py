"""The bytes of unfinished heads of requests, of all connections of a process."""

from __future__ import annotations

from typing import Protocol

MAX_HEADS_BYTES = 16 * 1024 * 1024
"""How many there may be in total."""


class HeadReader(Protocol):
    """A connection that waits for the rest of a head."""

    def refuse_head(self) -> None:
        """Refuse the request, and note that its head holds no bytes any more."""


class UnfinishedHeads:
    """Counts their bytes. If there are too many, the request whose head has been waited for longest is refused.

    A client that sends its head in one piece is never refused because others do not.

    Attributes:
        total: How many there are.
    """

    def __init__(self) -> None:
        self.total = 0
        self._sizes: dict[HeadReader, int] = {}

    def note(self, connection: HeadReader, size: int) -> None:
        """Note how many bytes a connection holds of a head; 0 when it is complete or refused."""
        self.total += size - self._sizes.get(connection, 0)
        if size:
            self._sizes[connection] = size  # a known connection keeps its place in the order
        else:
            self._sizes.pop(connection, None)
        while self.total > MAX_HEADS_BYTES:
            next(iter(self._sizes)).refuse_head()
