"""One connection to a provider: a request goes out and its response comes in, then perhaps the next."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import TypeAlias, cast

from httptools import HttpParserError

from deadline import Deadline
from upstream.body_stream import BodyStream
from upstream.connections.network import Origin
from upstream.response import Response

# How much of a stream is read ahead while its client takes nothing. One read of the socket may exceed it.
READ_BUFFER_BYTES = 64 * 1024
# A larger request body is written in steps of this size, each when the previous one is written.
STEP_BYTES = 64 * 1024
_NOTHING = memoryview(b"")

OnChunk: TypeAlias = Callable[[bytes], bool]
"""Receives a chunk of a body; returns whether it wants the next one now."""


class Connection(asyncio.Protocol):
    """Sends requests and receives their responses, one after the other. Belongs to the event loop that it was made on.

    A wait ends with `TimeoutError` when the provider is silent for too long, `ConnectionError` when the connection is
    gone, and `HttpParserError` when the bytes are not HTTP or go beyond the bounds of `Response`.

    Args:
        idle_timeout: How long the provider may be silent, in seconds.
        made: Called when the connection is there.
        lost: Called when it is gone, whoever ended it.

    Attributes:
        is_writable: Whether the next piece of a body may be sent.
    """

    __slots__ = (
        "_drained",
        "_failure",
        "_idle",
        "_idle_timeout",
        "_last_write_at",
        "_loop",
        "_lost",
        "_made",
        "_on_chunk",
        "_poll",
        "_raised",
        "_reading_paused",
        "_response",
        "_stream",
        "_transport",
        "_unsent",
        "_waiter",
        "is_writable",
        "origin",
    )
    _idle: Deadline
    _transport: asyncio.Transport

    def __init__(
        self,
        origin: Origin,
        idle_timeout: float,
        made: Callable[[Connection], None],
        lost: Callable[[Connection], None],
    ) -> None:
        self.origin = origin
        self._idle_timeout = idle_timeout
        self._made = made
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._response: Response | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._on_chunk: OnChunk | None = None
        self._failure: Exception | None = None
        self._raised: Exception | None = None  # by `on_chunk`
        self._unsent = _NOTHING
        self._stream: BodyStream | None = None
        self._last_write_at = 0.0
        self.is_writable = True
        self._drained = asyncio.Event()
        self._reading_paused = False

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: none is running, and the connection is open."""
        return self._response is None and not self._transport.is_closing()

    @property
    def has_unread_input(self) -> bool:
        """Whether there is unread input, such as the end of the connection, that the event loop has not handled yet."""
        return bool(self._poll.poll(0))

    def send_request(self, method: str, head: bytes, body: bytes | bytearray, *, upgrades: bool = False) -> Response:
        """Begin to send a request; return its response, still empty. To be called on a usable connection.

        With `upgrades` the request is for another protocol.
        """
        self._response = response = Response(method, upgrades=upgrades)
        self._last_write_at = self._loop.time()
        if len(body) <= STEP_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._unsent = memoryview(body)
            self._send_on()
        return response

    def send_streamed(self, method: str, head: bytes, body: BodyStream) -> Response:
        """Begin to send a request whose body comes piece by piece, as `send_request`. Its head says how it is framed."""
        response = self.send_request(method, head, b"")
        self._stream = body
        body.send_to(self)
        return response

    def send_piece(self, piece: bytes) -> None:
        """Send a piece of the body."""
        if self._stream is None or not piece or self._transport.is_closing():
            return
        self._transport.write(piece if self._stream.length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
        self._last_write_at = self._loop.time()
        self._idle.renew()

    def end_pieces(self) -> None:
        """End the body."""
        if self._stream is not None and self._stream.length is None and not self._transport.is_closing():
            self._transport.write(b"0\r\n\r\n")
        self._last_write_at = self._loop.time()
        self._idle.renew()

    def give_up(self, error: Exception) -> None:
        """End the request with an error, which is raised where the response is awaited."""
        self._failure = error
        self._wake()
        self.abort()

    async def head(self, response: Response) -> None:
        """Wait for the head of the response: at most twice the idle timeout after the body was written."""
        with self._idle:
            while not response.has_head:
                await self._more()
                if self._loop.time() < self._last_write_at + self._idle_timeout:
                    self._idle.renew()

    async def stream_to(self, response: Response, on_chunk: OnChunk) -> bool:
        """Pass each chunk of the body on in the event loop iteration in which it arrives.

        Return True at its end, or False when `on_chunk` returns False. Exceptions of `on_chunk` pass through.
        """
        with self._idle:
            while True:
                if response.size:
                    if not on_chunk(self.read_buffered(response)):
                        return False
                    self._idle.renew()
                elif response.whole:
                    return True
                elif not await self._more(on_chunk):
                    return False

    async def send(self, data: bytes) -> None:
        """Send bytes of another protocol, after a 101; return when they are written.

        Raises:
            ConnectionError: The connection is closed.
        """
        if not self._transport.is_closing():
            self._transport.write(data)
        while not self.is_writable and not self._transport.is_closing():
            self._drained.clear()
            await self._drained.wait()
        if self._transport.is_closing():
            raise ConnectionError("closed")

    def read_buffered(self, response: Response) -> bytes:
        """Remove and return the buffered bytes of the body."""
        body = response.read_buffered()
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        return body

    def finish(self) -> None:
        """Make the connection usable again if the response is complete and keeps it open; else close it at once."""
        response, sent = self._response, self.is_writable and not self._unsent
        sent = sent and (self._stream is None or self._stream.is_sent)
        if response is None or not (response.whole and response.keeps_connection and sent):
            self.abort()
            return
        self._response = self._stream = None
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once. May be called more than once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._idle = Deadline(self._loop, self._check_idle, self._idle_timeout)
        self._made(self)

    def data_received(self, data: bytes) -> None:
        """Parse more of the response."""
        response = self._response
        if response is None or response.whole:
            # There was no request, so these bytes must not become the response to the next one.
            self.abort()
            return
        try:
            response.feed(data)
        except HttpParserError as error:
            self.give_up(error)
            return
        if self._on_chunk is not None and response.size:
            self._stream_on(response, self._on_chunk)
            return
        if response.size > READ_BUFFER_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Close: a provider that has closed its side does not read requests either."""
        if self._response is not None:
            self._response.end()
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the waiter, and drop everything that refers back."""
        self._unsent = _NOTHING
        self._drained.set()
        if self._stream is not None:
            self._stream.resume()
        self._idle.close()
        if self._response is not None:
            self._response.release_parser()
        if self._failure is None:
            self._failure = ConnectionError("closed")
            self._failure.__cause__ = exc
        self._wake()
        self._lost(self)

    def pause_writing(self) -> None:
        """Send no further step."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """Write the next step: the previous one is written."""
        self.is_writable = True
        self._drained.set()
        self._last_write_at = self._loop.time()
        self._idle.renew()
        if self._stream is not None:
            self._stream.resume()
        self._send_on()

    def _check_idle(self) -> None:
        """Fail, unless it is the client that is waited for, to send more of the body."""
        if self._stream is not None and not self._stream.is_sent and self.is_writable:
            self._idle.renew()
        else:
            self.give_up(TimeoutError())

    def _send_on(self) -> None:
        while self._unsent and self.is_writable and not self._transport.is_closing():
            step, self._unsent = self._unsent[:STEP_BYTES], self._unsent[STEP_BYTES:] or _NOTHING
            self._transport.write(step)

    def _stream_on(self, response: Response, on_chunk: OnChunk) -> None:
        """Pass a chunk on without waking the waiting task, unless it was the last one or `on_chunk` pauses."""
        try:
            wants_more = on_chunk(self.read_buffered(response))
        except Exception as error:  # noqa: BLE001 - it is for the waiter
            self._raised = error
            self.give_up(error)
            return
        if wants_more and not response.whole:
            self._idle.renew()
        else:
            self._wake(wants_more)

    async def _more(self, on_chunk: OnChunk | None = None) -> bool:
        """Wait for anything but another chunk for `on_chunk`; return whether that wants more."""
        if self._failure is not None:
            raise self._failure
        self._waiter, self._on_chunk = self._loop.create_future(), on_chunk
        try:
            wants_more = await self._waiter
        finally:
            self._waiter = self._on_chunk = None
        if self._raised is not None:  # also where the same read brought the end of the body
            raise self._raised
        return wants_more

    def _wake(self, wants_more: bool = True) -> None:
        self._on_chunk = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(wants_more)
