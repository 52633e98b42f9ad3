"""Reads the reports of providers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from upstream.client import UpstreamClient
from upstream.connections.network import DIRECT, Network
from upstream.reports.anthropic import headers_of, read_anthropic
from upstream.reports.openai import read_openai
from upstream.reports.pages import ReportPages
from upstream.reports.reported import Reported, ReportError


class MissingKeyError(ReportError):
    """There is no key for the reports."""


class ReportAccess(NamedTuple):
    """Where a provider's reports are, and the admin key that may read them; `key` is empty where none is set."""

    url: str
    key: str
    network: Network = DIRECT


async def read_report(
    client: UpstreamClient, access: Mapping[str, ReportAccess], provider: str, start: datetime, end: datetime
) -> list[Reported]:
    """Read what one of `READABLE` reports of the days in [start, end), in UTC. It may take minutes.

    Raises:
        MissingKeyError: No key is set.
        ReportError: It cannot be read; the message has no key in it.
    """
    url, key, network = access[provider]
    if not key:
        raise MissingKeyError(f"reconcile-{provider}-key is not set: give an admin key of {provider}")
    headers = headers_of(key) if provider == "anthropic" else [("Authorization", f"Bearer {key}")]
    pages = ReportPages(client, url, headers, f"reconcile-{provider}-key", network)
    read = read_anthropic if provider == "anthropic" else read_openai
    return await read(pages, start, end)
