"""A connection through a proxy: how it is requested."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from upstream.connections.network import Proxy

MAX_RESPONSE_BYTES: Final = 16 * 1024
"""The largest head of a proxy's response."""
_READ_BYTES: Final = 4096
_END_OF_HEAD: Final = b"\r\n\r\n"


class ProxyError(OSError):
    """A proxy refused a connection. The text is for clients: it has no address and no secret."""


async def open_tunnel(raw: socket.socket, authority: str, proxy: Proxy) -> None:
    """Have a proxy connect a socket to a server (RFC 9110, section 9.3.6).

    The socket is connected to the proxy. `authority` is host and port of the server.

    Raises:
        ProxyError: It does not do that.
        OSError: The connection to it broke.
    """
    loop = asyncio.get_running_loop()
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    await loop.sock_sendall(raw, "\r\n".join([*lines, "", ""]).encode())
    response = b""
    while _END_OF_HEAD not in response:
        piece = await loop.sock_recv(raw, _READ_BYTES)
        response += piece
        if not piece or len(response) > MAX_RESPONSE_BYTES:
            raise ProxyError("the proxy did not answer in HTTP")
    status = response.split(b"\r\n", 1)[0].split(b" ")[1:2]
    if not status or not status[0].isdigit():
        raise ProxyError("the proxy did not answer in HTTP")
    if not status[0].startswith(b"2"):
        raise ProxyError(f"the proxy refused with status {status[0].decode()}")
    if response.split(_END_OF_HEAD, 1)[1]:
        raise ProxyError("the proxy sent something of its own into the connection")
