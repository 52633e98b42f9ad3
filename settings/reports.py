"""How the settings let the reports of providers be read."""

from __future__ import annotations

from collections.abc import Mapping

from settings.declarations import Settings
from settings.network import network_to
from upstream.reports.reader import ReportAccess


def report_access(settings: Settings) -> Mapping[str, ReportAccess]:
    """Where the reports of each provider are, with its key; the way there is that to providers."""
    openai, anthropic = settings.reconcile_openai_url, settings.reconcile_anthropic_url
    return {
        "openai": ReportAccess(openai, settings.reconcile_openai_key, network_to(settings, openai)),
        "anthropic": ReportAccess(anthropic, settings.reconcile_anthropic_key, network_to(settings, anthropic)),
    }
