"""How a provider is reached, beside its address: through which proxy, and whom TLS trusts."""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

MAX_ANSWER_BYTES: Final = 16 * 1024
"""The largest head with which a proxy may answer."""
_READ_BYTES: Final = 4096
_END_OF_HEAD: Final = b"\r\n\r\n"


class ProxyError(OSError):
    """A proxy did not let a connection through. The text is fit for a client: it names no address and no secret."""


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy. `authorization` is the value of its header, empty where it needs none."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> Proxy:
        """Read `http://user:password@host:port`; user, password and the scheme may be left out.

        Raises:
            ValueError: It is something else.
        """
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("not http://host:port")
        user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        authorization = "" if parts.username is None else f"Basic {b64encode(user.encode()).decode()}"
        return cls(parts.hostname, parts.port or 80, authorization)


@dataclass(frozen=True)
class Network:
    """The way to a provider. Without a proxy it is the direct one; without `tls` the system says who is trusted."""

    proxy: Proxy | None = None
    tls: ssl.SSLContext | None = None


DIRECT: Final = Network()


def is_direct(host: str, no_proxy: str) -> bool:
    """Whether a host is reached without a proxy: `no_proxy` has its name, a domain that it is in, or `*`."""
    names = [name.strip().strip("[]").removeprefix(".").lower() for name in no_proxy.split(",")]
    host = host.lower()
    return any(name in {"*", host} or host.endswith(f".{name}") for name in names if name)


def make_tls(ca_file: str = "", certificate_file: str = "", key_file: str = "") -> ssl.SSLContext:
    """Trust the system's authorities and those in a file; show a certificate where there is one.

    Raises:
        OSError: A file cannot be read, or is not what it should be.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_file:
        context.load_verify_locations(ca_file)
    if certificate_file:
        context.load_cert_chain(certificate_file, key_file or None)
    return context


async def open_tunnel(raw: socket.socket, authority: str, proxy: Proxy) -> None:
    """Have a proxy connect a socket to a server (RFC 9110, section 9.3.6).

    Args:
        raw: A connection to the proxy.
        authority: Host and port of the server.
        proxy: The proxy.

    Raises:
        ProxyError: It does not do that.
        OSError: The connection to it broke.
    """
    loop = asyncio.get_running_loop()
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    await loop.sock_sendall(raw, "\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while _END_OF_HEAD not in answer:
        piece = await loop.sock_recv(raw, _READ_BYTES)
        answer += piece
        if not piece or len(answer) > MAX_ANSWER_BYTES:
            raise ProxyError("the proxy did not answer in HTTP")
    status = answer.split(b"\r\n", 1)[0].split(b" ")[1:2]
    if not status or not status[0].isdigit():
        raise ProxyError("the proxy did not answer in HTTP")
    if not status[0].startswith(b"2"):
        raise ProxyError(f"the proxy refused with status {status[0].decode()}")
    if answer.split(_END_OF_HEAD, 1)[1]:
        raise ProxyError("the proxy sent something of its own into the connection")
