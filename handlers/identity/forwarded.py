"""The client's address and scheme, through reverse proxies that are known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from tornado.httputil import HTTPServerRequest

# `192.0.2.1:4711`, and `[2001:db8::1]` with and without a port, in the forms of RFC 7239, section 6.
_PORT = re.compile(r"\A(?:\[(.+)\]|([^:]+))(?::[0-9]+)?\Z")


def client_address(peer: str, forwarded_for: str, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The nearest address that is not a trusted proxy, walking `X-Forwarded-For` from its end.

    `peer` is the address of the connection. A port behind an address, as some gateways add it, is left out. Text that is
    not an address ends the walk: everything before it is untrusted.
    """
    address = peer
    hops = [_PORT.sub(r"\1\2", hop.strip()) for hop in forwarded_for.split(",")] if forwarded_for else []
    while is_trusted(address, trusted) and hops:
        hop = hops.pop()
        if not _is_address(hop):
            break
        address = hop
    return address


def scheme_of(request: HTTPServerRequest, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """How the client reached the bridge, or the nearest proxy, which has to be trusted to say so in `X-Forwarded-Proto`."""
    if request.protocol == "https":
        return "https"
    said = ",".join(request.headers.get_list("X-Forwarded-Proto")).rpartition(",")[2].strip().lower()
    return "https" if said == "https" and is_trusted(request.remote_ip or "", trusted) else "http"


def is_trusted(address: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address is that of a proxy that is believed."""
    if not trusted or not _is_address(address):
        return False
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None  # as sockets for both versions have it
    both = [one for one in (parsed, mapped) if one is not None]
    return any(one in network for network in trusted for one in both if one.version == network.version)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
