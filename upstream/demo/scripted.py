"""A provider of which each byte is scripted: an HTTP server that answers a request with the steps of a script.

A script is what is played once a request is there, head and body. Its steps are

- bytes, which are written as they are, after the other side has taken what was written before,
- a number of seconds to wait,
- an `asyncio.Event` to wait for,
- `RESET`, which resets the connection, and `CLOSE`, which closes it in an orderly way.

A script may be an iterator, so that a step is made when it is due. Without `RESET` or `CLOSE` at its end the connection stays
open for the next request.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias, cast

import msgspec

RESET: Final = "reset"
CLOSE: Final = "close"
LAST_CHUNK: Final = b"0\r\n\r\n"
MAX_HEAD_BYTES: Final = 1024 * 1024
"""The largest head of a request; a connection with a larger one is cut off."""

Step: TypeAlias = bytes | float | asyncio.Event | str

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


@dataclass
class Received:
    """A request as it arrived. A chunked body is as it was sent. `closed` is set when its connection is gone."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def header(self, name: str) -> list[str]:
        """The values of a header, whose name may be in any case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class ScriptedProvider(ABC):
    """Plays a script for each request, between `start` and `stop`.

    Args:
        sleep: Waits for so many seconds.
        kept_body_bytes: How much of the body of a request is kept at least. Of the rest little is.

    Attributes:
        url: Where it is.
        open: The connections that are there.
        written: How many bytes were given to the other sides.
    """

    url: str
    _server: asyncio.Server

    def __init__(
        self, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep, kept_body_bytes: int = sys.maxsize
    ) -> None:
        self.sleep = sleep
        self.kept_body_bytes = kept_body_bytes
        self.open: set[ScriptedConnection] = set()
        self.written = 0

    @abstractmethod
    def script_of(self, request: Received) -> Iterable[Step]:
        """Return what is played for a request."""

    async def start(
        self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", sock: socket.socket | None = None
    ) -> Self:
        """Start serving on an unused port, or on a socket.

        Raises:
            OSError: No port could be opened.
        """
        place = {"host": host, "port": 0} if sock is None else {"sock": sock}
        self._server = await asyncio.get_running_loop().create_server(self.connect, ssl=tls, **place)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"{'http' if tls is None else 'https'}://{host}:{port}/"
        return self

    def connect(self) -> ScriptedConnection:
        """Make a connection of somebody who connects."""
        return ScriptedConnection(self)

    async def stop(self) -> None:
        """Stop listening, and cut every connection that is still open."""
        self._server.close()
        for connection in tuple(self.open):
            await connection.abort()
        await self._server.wait_closed()


class ScriptedConnection(asyncio.Protocol):
    """One connection: requests in, scripts out, one after the other."""

    def __init__(self, provider: ScriptedProvider) -> None:
        self.transport: asyncio.Transport
        self._provider = provider
        self._buffer = bytearray()
        self._size: int | None = None  # of the request that is arriving, where it is known
        self._current: Received | None = None
        self._playing: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self._provider.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Stop playing."""
        self._provider.open.discard(self)
        if self._current is not None:
            self._current.closed.set()
        if self._playing is not None:
            self._playing.cancel()

    def pause_writing(self) -> None:
        """Wait before more is written."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on writing."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, and begin to play for a whole request."""
        self._buffer += data
        head_end = self._buffer.find(_HEAD_END) + len(_HEAD_END)
        if head_end < len(_HEAD_END):
            if len(self._buffer) > MAX_HEAD_BYTES:
                self.transport.abort()
            return
        if self._size is None and _CHUNKED.search(self._buffer, 0, head_end) is None:
            length = _LENGTH.search(self._buffer, 0, head_end)
            self._size = head_end + (int(length[1]) if length else 0)
        if len(self._buffer) < self._size if self._size is not None else not self._buffer.endswith(LAST_CHUNK):
            self._drop(head_end + self._provider.kept_body_bytes)
            return
        size = len(self._buffer) if self._size is None else self._size
        first, *lines = self._buffer[:head_end].decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        method, target, *_ = [*first.split(" "), ""]
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        self._current = Received(method, target, headers, bytes(self._buffer[head_end:size]))
        del self._buffer[:size]
        self._size = None
        self._playing = asyncio.get_running_loop().create_task(self._play(self._current))

    def _drop(self, begin: int) -> None:
        """Drop what has arrived of a body behind a place, but for its last bytes: the end may begin with them."""
        arrived = len(self._buffer)
        del self._buffer[begin : -len(LAST_CHUNK)]
        if self._size is not None:
            self._size -= arrived - len(self._buffer)

    async def abort(self) -> None:
        """Cut it off."""
        self.transport.abort()
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.wait({self._playing})

    async def _play(self, request: Received) -> None:
        for step in self._provider.script_of(request):
            if isinstance(step, bytes):
                await self._writable.wait()
                if self.transport.is_closing():
                    return
                self.transport.write(step)
                self._provider.written += len(step)
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, str):
                if step == RESET:
                    raw: socket.socket = self.transport.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.close()
            else:
                await self._provider.sleep(step)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """The head of a response."""
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def whole(status: int, headers: Mapping[str, str], body: bytes) -> list[bytes]:
    """A response with JSON in it: its head, and its body."""
    return [head(status, {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}), body]


def stream_head(headers: Mapping[str, str]) -> bytes:
    """The head of a stream of events, which come in chunks."""
    return head(200, {**headers, "Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"})


def chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def data_event(data: Mapping[str, Any]) -> bytes:
    """An event without a name, as chat completions have them."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def typed_event(data: Mapping[str, Any]) -> bytes:
    """An event that is named by the `type` of its data, as messages and responses have them."""
    return f"event: {data['type']}\n".encode() + data_event(data)
