"""Where a URL leads, and which URLs may be used."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from upstream.connections.network import DIRECT, Network

_DEFAULT_PORTS = {"http": 80, "https": 443}
_REMEMBERED = 256


class Origin(NamedTuple):
    """A server, and the network path to it.

    `authority` is its name for the header `Host`: an IPv6 address stands in brackets there.
    """

    host: str
    port: int
    tls: bool
    authority: str
    network: Network = DIRECT

    @property
    def host_and_port(self) -> str:
        """Its name with the port, as sent to a proxy."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def locate(url: str) -> tuple[Origin, str]:
    """The server of an absolute http or https URL with a path, and the request target, unchanged.

    Raises:
        ValueError: the URL has another form.
    """
    scheme, _, rest = url.partition("://")
    server, slash, path = rest.partition("/")
    return _origin(f"{scheme}://{server}"), slash + path


@lru_cache(_REMEMBERED)
def _origin(server: str) -> Origin:
    parts = urlsplit(server)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("neither http nor https")
    host, default = parts.hostname, _DEFAULT_PORTS[parts.scheme]
    port = parts.port or default
    name = f"[{host}]" if ":" in host else host
    return Origin(host, port, parts.scheme == "https", name if port == default else f"{name}:{port}")


def is_usable_url(text: str) -> bool:
    """Whether a URL may be used: https, or http on this machine, without user and fragment."""
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc or "#" in text or port == 0:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
