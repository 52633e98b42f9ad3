"""One connection to a provider: a request goes out and its answer comes in, then perhaps the next."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import TypeAlias, cast

from httptools import HttpParserError

from upstream.answer import Answer
from upstream.idle_timer import IdleTimer
from upstream.urls import Origin

# What is read ahead of a stream while its client takes nothing. What one read of the socket brings comes on top.
READ_BUFFER_BYTES = 64 * 1024
# A larger body of a request is written in steps of this size, each when the one before was taken.
STEP_BYTES = 64 * 1024
_NOTHING = memoryview(b"")

Sink: TypeAlias = Callable[[bytes], bool]
"""Takes a piece of a body; whether it would take the next one now."""


class Connection(asyncio.Protocol):
    """Asks and is answered, one after the other. Everything here runs on one event loop, on which it was made.

    A wait ends with `TimeoutError` when the provider is silent for too long, `ConnectionError` when the connection is
    gone, and `HttpParserError` when what came is not HTTP or goes beyond the bounds of `Answer`.

    Args:
        origin: Where it leads.
        idle_timeout: How long the provider may be silent, in seconds.
        made: Called when the connection is there.
        lost: Called when it is gone, whoever ended it.
    """

    __slots__ = (
        "_answer",
        "_drained",
        "_failure",
        "_held_back",
        "_idle_timeout",
        "_idle_timer",
        "_looking",
        "_loop",
        "_lost",
        "_made",
        "_sink",
        "_taken_at",
        "_transport",
        "_unsent",
        "_waiter",
        "_writable",
        "origin",
    )
    _idle_timer: IdleTimer
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
        self._answer: Answer | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._sink: Sink | None = None
        self._failure: Exception | None = None
        self._unsent = _NOTHING
        self._taken_at = 0.0
        self._writable = True
        self._drained = asyncio.Event()
        self._held_back = False

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: none is under way, and nobody has closed the connection."""
        return self._answer is None and not self._transport.is_closing()

    @property
    def has_unread_input(self) -> bool:
        """Whether there is something to read that the event loop has not come to yet, such as the other side's closing."""
        return bool(self._looking.poll(0))

    def ask(self, method: str, head: bytes, body: bytes | bytearray, *, upgrades: bool = False) -> Answer:
        """Begin to send a request; the answer that will come. To be called on a usable connection.

        With `upgrades` the request asks for another protocol.
        """
        self._answer = answer = Answer(method, upgrades=upgrades)
        self._taken_at = self._loop.time()
        if len(body) <= STEP_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._unsent = memoryview(body)
            self._send_on()
        return answer

    async def head(self, answer: Answer) -> None:
        """Wait for the head of the answer: as long as the body is taken, and then for twice the idle timeout at most."""
        with self._idle_timer:
            while not answer.has_head:
                await self._more()
                if self._loop.time() < self._taken_at + self._idle_timeout:
                    self._idle_timer.renew()

    async def stream_to(self, answer: Answer, sink: Sink) -> bool:
        """Hand over what comes of the body, each piece in the turn of the event loop in which it comes.

        Return True at its end, or False once `sink` says that it takes no more for now. What `sink` raises is raised here.
        """
        with self._idle_timer:
            while True:
                if answer.size:
                    if not sink(self.take(answer)):
                        return False
                    self._idle_timer.renew()
                elif answer.whole:
                    return True
                elif not await self._more(sink):
                    return False

    async def send(self, data: bytes) -> None:
        """Send bytes of another protocol, after a 101; return when they are taken.

        Raises:
            ConnectionError: The connection is closed.
        """
        if not self._transport.is_closing():
            self._transport.write(data)
        while not self._writable and not self._transport.is_closing():
            self._drained.clear()
            await self._drained.wait()
        if self._transport.is_closing():
            raise ConnectionError("closed")

    def take(self, answer: Answer) -> bytes:
        """What has come of the body and was not taken yet."""
        body = answer.take()
        if self._held_back:
            self._held_back = False
            self._transport.resume_reading()
        return body

    def finish(self) -> None:
        """Be usable again where the answer is whole and leaves the connection so, else close at once."""
        answer, sent = self._answer, self._writable and not self._unsent
        if answer is None or not (answer.whole and answer.keeps_connection and sent):
            self.abort()
            return
        self._answer = None
        if self._held_back:
            self._held_back = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once, whatever is under way. May be called more than once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        self._looking = select.poll()
        self._looking.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._idle_timer = IdleTimer(self._idle_timeout, lambda: self._fail(TimeoutError()))
        self._made(self)

    def data_received(self, data: bytes) -> None:
        """Read on in the answer."""
        answer = self._answer
        if answer is None or answer.whole:
            # Nobody asked, so it must not be taken for the answer to what is asked next.
            self.abort()
            return
        try:
            answer.feed(data)
        except HttpParserError as error:
            self._fail(error)
            return
        if self._sink is not None and answer.size:
            self._stream_on(answer, self._sink)
            return
        if answer.size > READ_BUFFER_BYTES and not self._held_back:
            self._held_back = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Close: nothing more comes, and who said all that it had to say waits for no more of a request."""
        if self._answer is not None:
            self._answer.end()
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits, and let go of all that refers back."""
        self._unsent = _NOTHING
        self._drained.set()
        self._idle_timer.close()
        if self._answer is not None:
            self._answer.let_go()
        if self._failure is None:
            self._failure = ConnectionError("closed")
            self._failure.__cause__ = exc
        self._wake()
        self._lost(self)

    def pause_writing(self) -> None:
        """Send no further step."""
        self._writable = False

    def resume_writing(self) -> None:
        """Send the next step, as the one before was taken."""
        self._writable = True
        self._drained.set()
        self._taken_at = self._loop.time()
        self._idle_timer.renew()
        self._send_on()

    def _send_on(self) -> None:
        while self._unsent and self._writable and not self._transport.is_closing():
            step, self._unsent = self._unsent[:STEP_BYTES], self._unsent[STEP_BYTES:] or _NOTHING
            self._transport.write(step)

    def _stream_on(self, answer: Answer, sink: Sink) -> None:
        """Hand a piece over without waking who waits, unless it was the last one or is one too many."""
        try:
            takes_more = sink(self.take(answer))
        except Exception as error:  # noqa: BLE001 - it is for who waits
            self._fail(error)
            return
        if takes_more and not answer.whole:
            self._idle_timer.renew()
        else:
            self._wake(takes_more)

    async def _more(self, sink: Sink | None = None) -> bool:
        """Wait until something has happened that is more than a piece for `sink`; whether that takes more."""
        if self._failure is not None:
            raise self._failure
        self._waiter, self._sink = self._loop.create_future(), sink
        try:
            return await self._waiter
        finally:
            self._waiter = self._sink = None

    def _wake(self, takes_more: bool = True) -> None:
        self._sink = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(takes_more)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._wake()
        self.abort()
