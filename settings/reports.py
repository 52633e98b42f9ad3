"""How the settings let the reports of providers be read."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from settings.declarations import Settings
from settings.kinds import NO_PROXY
from upstream.connections.network import DIRECT, Network, Proxy, is_direct
from upstream.reports.reader import ReportAccess


def report_access(settings: Settings) -> Mapping[str, ReportAccess]:
    """Where the reports of each provider are, with its key; the way there is that to providers."""
    openai, anthropic = settings.reconcile_openai_url, settings.reconcile_anthropic_url
    return {
        "openai": ReportAccess(openai, settings.reconcile_openai_key, _network(settings, openai)),
        "anthropic": ReportAccess(anthropic, settings.reconcile_anthropic_key, _network(settings, anthropic)),
    }


def _network(settings: Settings, url: str) -> Network:
    proxy, parts = settings.upstream_proxy, urlsplit(url)
    if proxy in {"", NO_PROXY} or parts.scheme != "https" or is_direct(parts.hostname or "", settings.no_proxy):
        return DIRECT
    return Network(Proxy.of(proxy))
