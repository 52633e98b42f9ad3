"""Heads of requests that are not whole yet, of all connections of a process."""

from __future__ import annotations

from typing import Protocol

MAX_HEADS_BYTES = 16 * 1024 * 1024
"""The most that they may have together."""


class Waiting(Protocol):
    """A connection that waits for the rest of a head."""

    def refuse_head(self) -> None:
        """Give the head up, and note that nothing is held of it any more."""


class UnfinishedHeads:
    """Counts their bytes. With too many, the head that has been on its way longest is given up.

    Whoever sends a head in one piece is never among them, however many others do not.

    Args:
        max_bytes: How many there may be.

    Attributes:
        total: How many there are.
    """

    def __init__(self, max_bytes: int = MAX_HEADS_BYTES) -> None:
        self.total = 0
        self._max_bytes = max_bytes
        self._sizes: dict[Waiting, int] = {}

    def note(self, connection: Waiting, size: int) -> None:
        """Note what a connection holds of a head, in bytes; 0 when it is whole or given up."""
        self.total += size - self._sizes.get(connection, 0)
        if size:
            self._sizes[connection] = size  # and stays where it stood
        else:
            self._sizes.pop(connection, None)
        while self.total > self._max_bytes:
            next(iter(self._sizes)).refuse_head()
