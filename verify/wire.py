"""HTTP/1.1 as it is on the wire: bytes and when they came, with nothing hidden by a client library."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

CONNECT_SECONDS = 5.0
"""How long a connection may take."""

RESPONSE_SECONDS = 30.0
"""How long the next bytes of a response may take. Some models think for longer; the checks do not wait for that."""

_MAX_HEAD = 64 * 1024


class UnreachableError(Exception):
    """Nothing answers at the address. Its text is one line."""


class BrokenOffError(Exception):
    """The connection ended before the response did, or nothing came for `RESPONSE_SECONDS`."""


@dataclass(frozen=True)
class BridgeAddress:
    """Where a bridge answers."""

    host: str
    port: int
    tls: bool
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            ValueError: It is not http or https, or has no host.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"not an address: {url}; it looks like http://127.0.0.1:4001")
        tls = parts.scheme == "https"
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))


class Reply:
    """The head of a response; its body is still to come."""

    def __init__(self, status: int, headers: list[tuple[str, str]], reader: asyncio.StreamReader) -> None:
        self.status = status
        self.headers = headers
        self._reader = reader

    def header(self, name: str) -> str:
        """The value of a header, empty when it is not there."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, each piece as it comes.

        Raises:
            BrokenOffError: It ends before its own end, or stops.
        """
        try:
            if "chunked" in self.header("Transfer-Encoding").lower():
                while size := int((await self._line()).split(b";")[0], 16):
                    yield await self._exactly(size)
                    await self._line()
                await self._line()
            elif self.header("Content-Length"):
                if length := int(self.header("Content-Length")):
                    yield await self._exactly(length)
            elif self.status not in {204, 304}:
                while data := await asyncio.wait_for(self._reader.read(65536), RESPONSE_SECONDS):
                    yield data
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise BrokenOffError("the connection ended before the body did") from error
        except TimeoutError as error:
            raise BrokenOffError(f"the body stopped for {RESPONSE_SECONDS:.0f} s") from error

    async def body(self) -> bytes:
        """The whole body, as `chunks` gives it."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def json(self) -> Any:
        """The whole body as JSON; None if it is not JSON."""
        try:
            return json.loads(await self.body())
        except ValueError:
            return None

    async def _line(self) -> bytes:
        line = await asyncio.wait_for(self._reader.readuntil(b"\r\n"), RESPONSE_SECONDS)
        return line[:-2]

    async def _exactly(self, size: int) -> bytes:
        return await asyncio.wait_for(self._reader.readexactly(size), RESPONSE_SECONDS)


@asynccontextmanager
async def request(
    address: BridgeAddress, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
) -> AsyncIterator[Reply]:
    """Send a request on a connection of its own, which is closed at once at the end.

    Raises:
        UnreachableError: Nobody is there.
        BrokenOffError: The connection ended before the head came.
    """
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"{method} {address.prefix}{path} HTTP/1.1", f"Host: {host}:{address.port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    reader, writer = await _connect(address)
    try:
        head = await _exchange(reader, writer, "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
        first, *rest = head.decode("latin-1").split("\r\n")[:-2]
        fields = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in rest)]
        yield Reply(int(first.split()[1]), fields, reader)
    finally:
        writer.transport.abort()


async def _connect(address: BridgeAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context() if address.tls else None
    opening = asyncio.open_connection(address.host, address.port, ssl=context, limit=_MAX_HEAD)
    try:
        return await asyncio.wait_for(opening, CONNECT_SECONDS)
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no answer"
        raise UnreachableError(f"{address.host}:{address.port} cannot be reached: {reason}") from error


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> bytes:
    """Send a request, and wait for the head of its response."""
    try:
        writer.write(sent)
        await writer.drain()
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), RESPONSE_SECONDS)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError) as error:
        raise BrokenOffError("the connection ended before an answer came") from error
    except TimeoutError as error:
        raise BrokenOffError(f"no answer came within {RESPONSE_SECONDS:.0f} s") from error
