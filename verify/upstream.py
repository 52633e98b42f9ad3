"""A scripted provider: it keeps the requests it gets, and sends given bytes at given times."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import Self


@dataclass
class ReceivedRequest:
    """One request that came, and what becomes of it.

    The check sets `proceed`: the next piece of the response goes out. `left` is set when the other side closed.
    """

    head: str
    body: bytes
    proceed: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def header(self, name: str) -> str | None:
        """The value of a header that came."""
        for line in self.head.split("\r\n")[1:]:
            known, _, value = line.partition(":")
            if known.lower() == name.lower():
                return value.strip()
        return None


@dataclass(frozen=True)
class Script:
    """A scripted response: its head, and pieces of its body. Each piece after the first waits for `proceed`.

    A `cut` one ends without its own end.
    """

    status: str = "200 OK"
    headers: Sequence[str] = ("Content-Type: application/json",)
    pieces: Sequence[bytes] = ()
    cut: bool = False
    silent: bool = False


class Upstream:
    """Listens on a free port of this machine. `url` is where it is, `script` how it answers next."""

    def __init__(self) -> None:
        self.url = ""
        self.script = Script()
        self.received_requests: asyncio.Queue[ReceivedRequest] = asyncio.Queue()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """Listen until the end of the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")[:-4]
            received = ReceivedRequest(head, b"")
            received.body = await reader.readexactly(int(received.header("Content-Length") or 0))
            self.received_requests.put_nowait(received)
            answering = asyncio.create_task(self._respond(received, self.script, writer))  # noqa: TID251 - waited for below
            leaving = asyncio.create_task(reader.read())  # noqa: TID251 - waited for below
            # Nobody may be left to say `proceed`, and a task that waits for nothing but that is lost.
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                received.left.set()
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _respond(self, received: ReceivedRequest, script: Script, writer: asyncio.StreamWriter) -> None:
        head = [f"HTTP/1.1 {script.status}", *script.headers, "Transfer-Encoding: chunked", "Connection: close", "", ""]
        writer.write("\r\n".join(head).encode("latin-1"))
        for number, piece in enumerate(script.pieces):
            if number:
                await received.proceed.wait()
                received.proceed.clear()
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        if script.silent:
            await received.left.wait()
        elif not script.cut:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
