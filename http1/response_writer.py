"""Writes to a client, and knows whether the client has taken it."""

from __future__ import annotations

import asyncio
from asyncio import Future

from tornado.iostream import StreamClosedError


class ResponseWriter:
    """The writing half of one connection, with flow control.

    What the client does not take at once is buffered in the transport. Whoever writes has to wait for the client before
    writing more, or the buffer grows.

    Args:
        transport: Takes the bytes. It must call `pause_writing` as soon as it buffers any of them.

    Attributes:
        drained: Whether the client has taken all that was written.
        ended: Whether nothing more may be written.
    """

    __slots__ = ("_done", "_loop", "_transport", "_waiters", "drained", "ended")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self.drained = True
        self.ended = False
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiters: list[Future[None]] = []
        self._done: Future[None] = self._loop.create_future()
        self._done.set_result(None)

    def write(self, data: bytes) -> Future[None]:
        """Send bytes.

        Returns:
            A future that is done when the client has taken them, which may be at once. It fails with `StreamClosedError`
            if the client has left, or if nothing more may be written.
        """
        if self.ended:
            return _failed(self._loop.create_future())
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._transport.is_closing():
            return _failed(self._loop.create_future())
        if self.drained:
            return self._done
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def end(self) -> None:
        """Send what is buffered, then close the writing half of the connection. Every later write fails.

        TLS has no such half: there the whole connection is closed.
        """
        self.ended = True
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def wake_waiters(self) -> None:
        """Complete the futures of all writes: the client has taken everything, or has left."""
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            if future.done():  # whoever waited for it was cancelled
                continue
            if self._transport.is_closing():
                _failed(future)
            else:
                future.set_result(None)


def _failed(future: Future[None]) -> Future[None]:
    future.set_exception(StreamClosedError())
    future.exception()  # nobody has to retrieve it
    return future
