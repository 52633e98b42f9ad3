"""What is written to a client, and whether the client has taken it."""

from __future__ import annotations

import asyncio
from asyncio import Future

from tornado.iostream import StreamClosedError


class Outlet:
    """The way out of one connection.

    What the client does not take at once waits in the transport; whoever wrote it is to wait as well, or it grows there.

    Args:
        transport: Takes the bytes. It has to be told to pause as soon as any of them wait.

    Attributes:
        free: Whether the client has taken all that was written.
        ended: Whether nothing more may be written.
    """

    __slots__ = ("_loop", "_taken", "_transport", "_untaken", "ended", "free")

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self.free = True
        self.ended = False
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._untaken: list[Future[None]] = []
        self._taken: Future[None] = self._loop.create_future()
        self._taken.set_result(None)

    def write(self, data: bytes) -> Future[None]:
        """Send; the future is done when the client has taken it, which it may have by now.

        It fails with `StreamClosedError` when the client has left, or nothing more may be written.
        """
        if self.ended:
            return _failed(self._loop.create_future())
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._transport.is_closing():
            return _failed(self._loop.create_future())
        if self.free:
            return self._taken
        untaken = self._loop.create_future()
        self._untaken.append(untaken)
        return untaken

    def end(self) -> None:
        """Send what was written and the end of the connection's half; every later write fails."""
        self.ended = True
        if not self._transport.is_closing():
            self._transport.write_eof()

    def settle(self) -> None:
        """Tell those who wait that the client has taken all, or has left."""
        untaken, self._untaken = self._untaken, []
        for future in untaken:
            if future.done():  # by who no longer waits
                continue
            if self._transport.is_closing():
                _failed(future)
            else:
                future.set_result(None)


def _failed(future: Future[None]) -> Future[None]:
    future.set_exception(StreamClosedError())
    future.exception()  # nobody has to look at it
    return future
