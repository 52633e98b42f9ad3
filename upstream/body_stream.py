"""A request body that goes to the provider while it arrives from the client. It is sent once, and held within bounds."""

from __future__ import annotations

import asyncio
from asyncio import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upstream.connections.connection import Connection


class BodyStream:
    """Pieces of a body between the client, which `feed` them, and one connection, which sends them.

    Args:
        length: Of the body in bytes; None if it is unknown.

    Attributes:
        has_begun: Whether a connection got any of it, so that it cannot be sent again.
        held_bytes: The bytes that no connection has yet.
        is_sent: Whether all of it has been written to the connection.
        failure: Why the rest does not arrive; None while it may.
    """

    def __init__(self, length: int | None) -> None:
        self.length = length
        self.has_begun = False
        self.held_bytes = 0
        self.is_sent = False
        self.failure: Exception | None = None
        self._pieces: list[bytes] = []
        self._connection: Connection | None = None
        self._has_ended = False
        self._is_closed = False
        self._room: Future[None] | None = None

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self._connection is not None:
            self._connection.send_piece(piece)
        elif not self._is_closed:
            self._pieces.append(piece)
            self.held_bytes += len(piece)

    def wait_for_room(self) -> Future[None] | None:
        """A future to wait for before the next piece; None if there is room."""
        if self._is_closed or (self._connection is not None and self._connection.is_writable):
            return None
        if self._room is None or self._room.done():
            self._room = asyncio.get_running_loop().create_future()
        return self._room

    def end(self) -> None:
        """Note that the body is whole."""
        self._has_ended = True
        if self._connection is not None and not self.is_sent:
            self.is_sent = True
            self._connection.end_pieces()

    def fail(self, error: Exception) -> None:
        """Note that the rest does not come: the request ends with this error, and the provider never has it whole."""
        self.failure = self.failure or error
        if self._connection is not None:
            self._connection.give_up(self.failure)

    def send_to(self, connection: Connection) -> None:
        """Send the pieces to a connection, as they arrive. They cannot be sent to another one."""
        self._connection, self.has_begun = connection, True
        pieces, self._pieces, self.held_bytes = self._pieces, [], 0
        for piece in pieces:
            connection.send_piece(piece)
        if self._has_ended:
            self.end()
        if connection.is_writable:
            self.resume()

    def resume(self) -> None:
        """There is room again."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def close(self) -> None:
        """Drop what comes from now on: the response has been dealt with."""
        self._is_closed, self._connection = True, None
        self._pieces.clear()
        self.held_bytes = 0
        self.resume()
