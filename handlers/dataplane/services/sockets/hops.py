"""The two ends of a relayed WebSocket: the client's and the provider's. Messages go through unchanged.

Source: RFC 6455. Frames are read and written by the `websockets` library; here they become whole text messages. No extension
is used: compression would hide from the reader what is in a message.
"""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final

from tornado.iostream import StreamClosedError
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol, Side, State

from handlers.base import STALL_SECONDS
from http1.request_cycle import RequestCycle
from upstream.client import UpstreamResponse, UpstreamTruncatedError

GOING_AWAY: Final = 1001
UNSUPPORTED_DATA: Final = 1003
NO_STATUS: Final = 1005
INVALID_DATA: Final = 1007


class WebSocket:
    """Reads and writes after the handshake.

    Output is collected; `drain_output` returns it. Pings and closes are answered automatically.

    Args:
        side: `SERVER` towards a client, `CLIENT` towards a provider.
        max_message_bytes: The largest message that may come. A larger one closes the connection with 1009.
    """

    def __init__(self, side: Side, max_message_bytes: int) -> None:
        self._protocol = Protocol(side, max_size=max_message_bytes)
        self._message = bytearray()
        self._is_broken = False
        self._is_closing = False

    @property
    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self._protocol.state is State.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether no close of the other side is to be awaited: it has come, or that side has broken the protocol."""
        is_failed = self._is_broken or self._protocol.parser_exc is not None
        return is_failed or self._protocol.close_rcvd is not None or self._protocol.state is State.CLOSED

    @property
    def close_code(self) -> int | None:
        """The code with which it was closed, `NO_STATUS` where none was named; None while it is open.

        Without a close frame of the other side it is the code of the frame that was sent.
        """
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return None if close is None else int(close.code)

    @property
    def close_reason(self) -> str:
        """The reason that came with the code."""
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return "" if close is None else close.reason

    def feed(self, data: bytes) -> list[bytes]:
        """Read what has arrived; return the messages that are whole now, each text in UTF-8.

        What breaks the protocol closes the connection: a binary message with 1003, text that is not UTF-8 with 1007.
        """
        if self._protocol.state is State.CLOSED:
            return []
        self._protocol.receive_data(data)
        frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
        return [message for frame in frames if (message := self._join(frame)) is not None]

    @property
    def unfinished_bytes(self) -> int:
        """How much has arrived of a message that is not whole."""
        return len(self._message) + len(self._protocol.reader.buffer)

    def feed_eof(self) -> None:
        """Note that nothing more comes."""
        if self._protocol.state is not State.CLOSED:
            self._protocol.receive_eof()

    def send(self, message: bytes) -> None:
        """Send a text message; nothing once the connection is closed or about to be."""
        if self.is_open:
            self._protocol.send_text(message)

    def ping(self) -> None:
        """Send a ping."""
        if self.is_open:
            self._protocol.send_ping(b"")

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close; what comes from now on is dropped. Again is harmless."""
        self._is_closing = True
        self._message.clear()
        if self.is_open:
            self._protocol.send_close(None if code == NO_STATUS else code, "" if code == NO_STATUS else reason)

    def drain_output(self) -> bytes:
        """Return the bytes to send."""
        return b"".join(self._protocol.data_to_send())

    def _join(self, frame: Frame) -> bytes | None:
        """Add a frame to its message; return that when it is whole."""
        if frame.opcode is Opcode.BINARY:
            self._break(UNSUPPORTED_DATA, "text is expected")
        if frame.opcode not in {Opcode.TEXT, Opcode.CONT} or self._is_closing:
            return None
        self._message += frame.data
        if not frame.fin:
            return None
        message = bytes(self._message)
        self._message.clear()
        if not _is_utf8(message):
            self._break(INVALID_DATA, "text has to be UTF-8")
            return None
        return message

    def _break(self, code: int, reason: str) -> None:
        self._is_broken = True
        self.close(code, reason)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


MAX_HELD_BYTES = 64 * 1024
"""Bytes of a client's messages that may wait before no more is read from it, and of one before it needs a slot."""
MAX_PROVIDER_MESSAGE_BYTES = 32 * 1024 * 1024
"""The largest message of a provider. A larger one closes the connection with 1009."""
CUT = "the provider closed the WebSocket before the response was complete"


class ClientHop:
    """The client's end.

    Args:
        cycle: The cycle of the handshake request. Its head is about to be written.
        max_message_bytes: The largest message that the client may send.
    """

    def __init__(self, cycle: RequestCycle, max_message_bytes: int) -> None:
        self.socket = WebSocket(SERVER, max_message_bytes)
        self._cycle = cycle
        self._messages: deque[bytes] = deque()
        self._held_bytes = 0
        self._is_held = False
        self._sent: Future[None] | None = None
        self._arrived = asyncio.Event()
        cycle.receiver = self._receive_bytes

    @property
    def is_drained(self) -> bool:
        """Whether the client has taken all that was sent."""
        sent = self._sent
        return sent is None or (sent.done() and not sent.cancelled() and sent.exception() is None)

    async def receive(self, hold: Callable[[], AbstractAsyncContextManager[None]]) -> bytes | None:
        """Wait for the next message; None when no more come.

        Of one that is large no more is read before `hold` is entered, which lasts until it is whole.
        """
        async with AsyncExitStack() as stack:
            while not self._messages:
                if not self.socket.is_open:
                    return None
                if self._is_large and not self._is_held:
                    await stack.enter_async_context(hold())
                    self._is_held = True
                    stack.callback(setattr, self, "_is_held", False)
                    self._hold_back()
                self._arrived.clear()
                await self._arrived.wait()
        message = self._messages.popleft()
        self._held_bytes -= len(message)
        self._hold_back()
        return message

    @property
    def _is_large(self) -> bool:
        """Whether a message that is not whole is as large as may wait."""
        return self.socket.unfinished_bytes > MAX_HELD_BYTES

    async def wait_closed(self) -> None:
        """Wait until the client has answered the close, and drop what it sends before that."""
        while not self.socket.is_closed:
            self._messages.clear()
            self._held_bytes = 0
            self._hold_back()
            self._arrived.clear()
            await self._arrived.wait()

    async def send(self, message: bytes) -> None:
        """Send a message; return when the client has taken it, or has left.

        Raises:
            TimeoutError: It did not take it within `STALL_SECONDS`.
        """
        self.socket.send(message)
        await self.flush()

    async def flush(self) -> None:
        """Send what is to be sent, as `send` does."""
        self._write()
        if self._sent is not None and not self._sent.done():
            async with asyncio.timeout(STALL_SECONDS):
                try:
                    await self._sent
                except StreamClosedError:
                    return

    def _receive_bytes(self, data: bytes) -> None:
        for message in self.socket.feed(data):
            self._messages.append(message)
            self._held_bytes += len(message)
        self._write()
        self._hold_back()
        self._arrived.set()

    def _write(self) -> None:
        if output := self.socket.drain_output():
            self._sent = self._cycle.write(output)
            if not self._sent.done():
                self._sent.add_done_callback(self._on_written)

    def _on_written(self, sent: Future[None]) -> None:
        if not sent.cancelled():
            sent.exception()  # a client that left is noticed elsewhere
        self._hold_back()

    def _hold_back(self) -> None:
        """Pause reading from a client that is faster than the provider, or that does not read."""
        is_unheld = self._is_large and not self._is_held
        if is_unheld or self._held_bytes > MAX_HELD_BYTES or not (self._sent is None or self._sent.done()):
            self._cycle.pause_reading()
        else:
            self._cycle.resume_reading()


class ProviderHop:
    """The provider's end.

    Args:
        response: The 101 of the provider.
    """

    def __init__(self, response: UpstreamResponse) -> None:
        self.socket = WebSocket(CLIENT, MAX_PROVIDER_MESSAGE_BYTES)
        self._response = response
        self._messages: deque[bytes] = deque()

    async def receive(self) -> bytes | None:
        """Wait for the next message; None when no more come.

        Raises:
            UpstreamError: The connection broke, or nothing came for longer than the idle timeout.
        """
        while not self._messages:
            if not self.socket.is_open:
                return None
            if await self._response.stream_to(self._receive_bytes):
                self.socket.feed_eof()
                if self.socket.close_code is None:
                    raise UpstreamTruncatedError(CUT)
            await self.flush()
        return self._messages.popleft()

    def take_arrived(self) -> list[bytes]:
        """Remove and return the messages that have arrived and were not received."""
        self._receive_bytes(self._response.buffered())
        messages = list(self._messages)
        self._messages.clear()
        return messages

    async def send(self, message: bytes) -> None:
        """Send a message; return when the provider has taken it.

        Raises:
            UpstreamError: The connection is closed.
        """
        self.socket.send(message)
        await self.flush()

    async def flush(self) -> None:
        """Send what is to be sent, as `send` does."""
        if output := self.socket.drain_output():
            await self._response.send(output)

    def _receive_bytes(self, piece: bytes) -> bool:
        """Read a piece; whether the next one may come before anything is done about this one."""
        self._messages += self.socket.feed(piece)
        return False
