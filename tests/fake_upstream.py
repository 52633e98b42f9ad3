"""A scripted upstream on a real socket: it plays bytes and gates, and notes the requests.

A script is a sequence of steps, played once the request is there, head and body:

- `bytes`: written as they are, after the other side has taken what was written before,
- `asyncio.Event`: waited for, so that a test decides when the rest comes,
- `RESET`: the connection is reset; `CLOSE`: it is closed in an orderly way.

Without a final `RESET` or `CLOSE` the connection stays open for the next request.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

RESET = "reset"
CLOSE = "close"
Step = bytes | asyncio.Event | str


@dataclass
class Received:
    """A request as it arrived; `closed` is set when its connection is gone."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class FakeUpstream:
    """Plays one script per request, the last one again and again when there are more requests than scripts."""

    def __init__(self) -> None:
        self.scripts: list[Sequence[Step]] = []
        self.requests: list[Received] = []
        self.connections: list[Connection] = []
        self.written = 0
        self._arrived = asyncio.Condition()
        self._server: asyncio.Server
        self._scheme: str

    @classmethod
    async def start(cls, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> FakeUpstream:
        upstream = cls()
        loop = asyncio.get_running_loop()
        upstream._server = await loop.create_server(lambda: Connection(upstream), host, 0, ssl=tls)
        upstream._scheme = "http" if tls is None else "https"
        return upstream

    @property
    def url(self) -> str:
        host, port = self._server.sockets[0].getsockname()
        return f"{self._scheme}://{host}:{port}/"

    def play(self, *steps: Step) -> None:
        """Answer the next request with these steps."""
        self.scripts.append(steps)

    def forget(self) -> None:
        """Begin as if nothing had been played or asked yet."""
        self.scripts, self.requests = [], []

    async def request(self, number: int = 0) -> Received:
        """Wait for the request of that number, counted from 0."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) > number)
        return self.requests[number]

    async def stalled(self) -> int:
        """Wait until the other side takes nothing more; how many bytes it was given by then."""
        written, turns = -1, 0
        while turns < 1000:
            turns = turns + 1 if self.written == written else 0
            written = self.written
            await asyncio.sleep(0)
        return written

    async def received(self, request: Received) -> Sequence[Step]:
        self.requests.append(request)
        async with self._arrived:
            self._arrived.notify_all()
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]

    async def stop(self) -> None:
        self._server.close()
        for connection in self.connections:
            await connection.abort()
        await self._server.wait_closed()


class Connection(asyncio.Protocol):
    """One connection: requests in, scripts out, one after the other."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.upstream = upstream
        self._buffer = b""
        self._current: Received | None = None
        self._playing: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.upstream.connections.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._current is not None:
            self._current.closed.set()
        if self._playing is not None:
            self._playing.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.decode("latin-1").split("\r\n")
        method, target, _version = lines[0].split(" ")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        self._current = Received(method, target, headers, rest[:length])
        self._playing = asyncio.get_running_loop().create_task(self._play(self._current))

    async def abort(self) -> None:
        self.transport.abort()
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.wait({self._playing})

    async def _play(self, request: Received) -> None:
        for step in await self.upstream.received(request):
            if isinstance(step, bytes):
                await self._writable.wait()
                if self.transport.is_closing():
                    return
                self.transport.write(step)
                self.upstream.written += len(step)
            elif isinstance(step, asyncio.Event):
                await step.wait()
            else:
                if step == RESET:
                    raw: socket.socket = self.transport.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.close()
