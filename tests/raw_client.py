"""An HTTP/1.1 client that hides nothing: it sends bytes, and returns the response as it came."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Response:
    """A response, as far as it came. `whole` is False when the connection ended before the body did."""

    status: int
    headers: list[tuple[str, str]]
    body: bytearray = field(default_factory=bytearray)
    whole: bool = False
    pieces: list[bytes] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b"", version: str = "1.1"
    ) -> None:
        lines = [
            f"{method} {path} HTTP/{version}",
            "Host: bridge",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        await self.send_raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    async def send_raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self) -> Response:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
        return Response(int(head[0].split(" ")[1]), headers)

    async def piece(self, response: Response) -> bytes:
        """The next piece of the body as it was framed; b"" at its end. A chunked body comes chunk by chunk."""
        try:
            if response.header("Transfer-Encoding") == "chunked":
                size = int(await self._reader.readuntil(b"\r\n"), 16)
                piece = (await self._reader.readexactly(size + 2))[:-2]
            else:
                left = int(response.header("Content-Length") or 0) - len(response.body)
                piece = await self._reader.read(left) if left else b""
                if left and not piece:
                    return b""
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        response.body += piece
        if piece:
            response.pieces.append(piece)
        else:
            response.whole = True
        return piece

    async def rest(self, response: Response) -> Response:
        while await self.piece(response):
            pass
        return response

    async def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Response:
        await self.send(method, path, headers, body)
        response = await self.head()
        return response if method == "HEAD" else await self.rest(response)

    @property
    def has_ended(self) -> bool:
        """Whether the other side, or this one, has closed the connection."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def at_end(self) -> bytes:
        """Whatever comes until the connection ends."""
        return await self._reader.read()

    def close(self) -> None:
        self._writer.close()

    async def closed(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    def reset(self) -> None:
        raw: socket.socket = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
