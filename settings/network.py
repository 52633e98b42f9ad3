"""The way to a server that has no proxy of its own."""

from __future__ import annotations

from urllib.parse import urlsplit

from settings.declarations import Settings
from settings.kinds import NO_PROXY
from upstream.connections.network import DIRECT, Network, Proxy, is_direct


def network_to(settings: Settings, url: str) -> Network:
    """The network path to a server: through `upstream-proxy`, if there is one and `no-proxy` does not name the host."""
    proxy = settings.upstream_proxy
    if proxy in {"", NO_PROXY} or is_direct(urlsplit(url).hostname or "", settings.no_proxy):
        return DIRECT
    return Network(Proxy.of(proxy))
