"""Both ends of the socket between a worker and its supervisor, on an event loop.

The worker first sends one line: empty when it serves, else the reason why not. From then on both sides send frames.
What one event loop iteration brings goes into one message. Neither side buffers without bound: while the other one does not
read, the worker collects what it would say (which is bounded), and the supervisor reads nothing more from it.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

from runtime.authority.messages import FrameError, FromWorker, MessageReader, ToWorker, encode
from runtime.authority.server import Desk, ServerAuthority
from runtime.authority.worker import TICK_SECONDS, WorkerAuthority

MAX_LINE_BYTES = 64 * 1024
"""The line in which a worker says why it cannot serve."""

PING_TICKS = 4
"""Ticks between two pings of a worker: once a second."""

_log = logging.getLogger(__name__)


class _Link(asyncio.Protocol, ABC):
    """What both ends have in common."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._flushing = False
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def _wake(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    @abstractmethod
    def _flush(self) -> None:
        """Send all that there is."""


class SupervisorLink(_Link):
    """The supervisor's end.

    Args:
        authority: What decides for the worker.

    Attributes:
        first_line: What the worker says of its start; None if it ended without a word.
    """

    def __init__(self, authority: ServerAuthority) -> None:
        super().__init__()
        self._authority = authority
        self._reader = MessageReader(FromWorker)
        self._line = b""
        self._desk: Desk | None = None
        self.first_line: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    def send_line(self, line: bytes) -> None:
        """Send the worker its configuration, before everything else."""
        self._transport.write(line + b"\n")

    def data_received(self, data: bytes) -> None:
        """Take what the worker says."""
        if self._closed:
            return
        try:
            if self._desk is None:
                data = self._receive_line(data)
            if self._desk is not None:
                self._receive(self._desk, data)
        except FrameError as error:
            _log.error("closing the link to a worker: %s", error)
            self.close()

    def pause_writing(self) -> None:
        """Read nothing more from a worker that does not read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """The worker is gone: free what it holds at once."""
        self.close()

    def close(self) -> None:
        """End it. A worker that still runs ends with that."""
        if self._closed:
            return
        self._closed = True
        if not self.first_line.done():
            self.first_line.set_result(None)
        if self._desk is not None:
            self._desk.close()
        self._transport.close()

    def _receive_line(self, data: bytes) -> bytes:
        """Read the first line, as far as it has arrived; return the bytes after it."""
        self._line += data
        line, end, rest = self._line.partition(b"\n")
        if end:
            if not self.first_line.done():
                self.first_line.set_result(line)
            self._desk = self._authority.open_desk(self._wake)
        elif len(line) > MAX_LINE_BYTES:
            raise FrameError("a worker begins with no line")
        return rest

    def _receive(self, desk: Desk, data: bytes) -> None:
        self._flushing = True  # below, with all replies
        try:
            for message in self._reader.feed(data):
                desk.received(message)
        finally:
            self._flush()

    def _flush(self) -> None:
        self._flushing = False
        while self._desk is not None and not self._closed and (message := self._desk.take_outgoing()) is not None:
            self._transport.write(encode(message))


class WorkerLink(_Link):
    """The worker's end.

    Args:
        on_lost: Called when the supervisor is gone, or violates the protocol.
    """

    def __init__(self, on_lost: Callable[[], None]) -> None:
        super().__init__()
        self.authority = WorkerAuthority(self._wake)
        self._reader = MessageReader(ToWorker)
        self._on_lost = on_lost
        self._serving = False
        self._paused = False
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    def serve(self) -> None:
        """Report to the supervisor that this worker serves."""
        self._transport.write(b"\n")
        self._serving = True
        self._tick()

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the supervisor."""
        try:
            for message in self._reader.feed(data):
                self.authority.received(message)
        except FrameError as error:
            _log.error("closing the link to the supervisor: %s", error)
            self._on_lost()

    def pause_writing(self) -> None:
        """Send nothing more to a supervisor that does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._paused = False
        self._wake()

    def connection_lost(self, _error: Exception | None) -> None:
        """The supervisor is gone."""
        if not self._closed:
            self._on_lost()

    def close(self) -> None:
        """End it, with the worker."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()

    def _flush(self) -> None:
        self._flushing = False
        if self._closed or not self._serving:
            return
        while not self._paused and (message := self.authority.take_outgoing()) is not None:
            self._transport.write(encode(message))

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)
        self._ticks += 1
        self.authority.tick(ping=self._ticks % PING_TICKS == 0)
