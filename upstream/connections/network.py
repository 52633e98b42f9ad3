"""How a provider is reached: where a URL leads and which may be used, through which proxy, and whose certificates count."""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit


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
    """The network path to a provider.

    Without a proxy it is direct; without `tls` the system's authorities are trusted.
    """

    proxy: Proxy | None = None
    tls: ssl.SSLContext | None = None


DIRECT: Final = Network()


def is_named(host: str, hosts: str) -> bool:
    """Whether `hosts`, with commas between, has the name of a host, a domain that it is in, or `*`."""
    names = [name.strip().strip("[]").removeprefix(".").lower() for name in hosts.split(",")]
    host = host.lower()
    return any(name in {"*", host} or host.endswith(f".{name}") for name in names if name)


def make_tls(ca_file: str = "", certificate_file: str = "", key_file: str = "") -> ssl.SSLContext:
    """Trust the system's authorities and those in a file; present the client certificate if there is one.

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


def make_tls_of_texts(ca_certificates: str, client_certificate: str = "") -> ssl.SSLContext:
    """What TLS needs, from texts in PEM; the client certificate includes its key.

    Raises:
        OSError, ValueError: A text is not what it should be.
    """
    context = make_tls()
    if ca_certificates:
        context.load_verify_locations(cadata=ca_certificates)
    if client_certificate:
        # OpenSSL reads a certificate with a key from a file only: one without a name, in memory.
        with os.fdopen(os.memfd_create("certificate"), "wb") as file:
            file.write(client_certificate.encode())
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=lambda: "")
    return context


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
