"""Which keys of the bridge providers refuse: in the log and a metric when it changes, in `/readyz` while it lasts.

A process knows its own responses at once, and those of the other processes on its database from their heartbeats, see
`storage.members.membership`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from handlers.monitoring.metrics import Metrics
from intercept.times import format_time
from upstream.credentials.access import credential_hint
from upstream.credentials.keys import KeyChange, KeyPool, KeyRefusal, merge_refusals
from upstream.providers.provider import Provider, ProviderSource
from upstream.providers.table import Routing

MAX_REPORTED_KEYS = 100
"""Refused keys that a process reports to the others."""

_log = logging.getLogger(__name__)


def report_change(provider: Provider, key: str, change: KeyChange, metrics: Metrics) -> None:
    """Log once that a provider began to refuse a key, or accepts it again. The log has only a hint of the key."""
    refused, hint = change is KeyChange.REFUSED, credential_hint(key)
    metrics.key_refused(provider.name, hint).set(refused)
    if refused:
        _log.warning(
            "provider key refused: provider=%s key=%s status=401; look at %s",
            *(provider.name, hint, provider.keys_location),
        )
    else:
        _log.info("provider key accepted again: provider=%s key=%s", provider.name, hint)


def report_refused_keys(routing: Routing) -> list[dict[str, Any]]:
    """What this process reports to the others: `[{"provider", "key", "status", "since", "calls"}, ..]`.

    `key` is a hint, the rest is that of a `KeyRefusal`. At most `MAX_REPORTED_KEYS`, in the order of the settings.
    """
    table = routing.table
    refused = (
        {
            "provider": provider.name,
            "key": credential_hint(key),
            "status": refusal.status,
            "since": refusal.since,
            "calls": refusal.calls,
        }
        for provider in table.providers.values()
        if (pool := table.key_pools.get(provider.name)) is not None and pool.refusals
        for key in pool.keys
        if (refusal := pool.refusals.get(key)) is not None
    )
    return list(islice(refused, MAX_REPORTED_KEYS))


class KeyHealth:
    """Which keys of this bridge are refused: in this process, or in another one on its database. Waits for nothing.

    Reports have a hint of the key only: two keys of one provider with the same hint share what others report. A key
    that this bridge does not hold is left out.

    Args:
        routing: The providers, their keys, and what this process was answered.
        elsewhere: What the other processes reported last, each as `report_refused_keys` has it.
    """

    def __init__(self, routing: Routing, elsewhere: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        self._routing = routing
        self._elsewhere = elsewhere

    def find_refusals(self, provider: Provider) -> dict[str, KeyRefusal]:
        """The refused keys of a provider, in the order in which they are used."""
        pool = self._routing.table.key_pools.get(provider.name)
        if pool is None:
            return {}
        reports = [report for report in self._elsewhere() if report["provider"] == provider.name]
        merged = {key: merge_refusals(_refusals_of(key, pool, reports)) for key in pool.keys}
        return {key: refusal for key, refusal in merged.items() if refusal is not None}

    def describe(self) -> str:
        """Name each key that its provider refuses, by its setting and without a hint, as anybody may read it; or `ok`."""
        refused = [
            _describe(provider, self._routing.table.key_pools[provider.name].keys.index(key) + 1, refusal)
            for provider in self._routing.table.providers.values()
            for key, refusal in self.find_refusals(provider).items()
        ]
        return "; ".join(refused) or "ok"


def _refusals_of(key: str, pool: KeyPool, reports: Sequence[Mapping[str, Any]]) -> list[KeyRefusal]:
    """What this process and each of the others say of a key, where they say that it is refused."""
    hint, own = credential_hint(key), pool.refusals.get(key)
    said = [KeyRefusal(one["status"], one["since"], one["calls"]) for one in reports if one["key"] == hint]
    return said if own is None else [own, *said]


def _describe(provider: Provider, number: int, refusal: KeyRefusal) -> str:
    calls = f"{refusal.calls} call{'' if refusal.calls == 1 else 's'}"
    since = format_time(refusal.since)
    where = provider.keys_setting if provider.source is ProviderSource.ENVIRONMENT else "the database"
    return f"{provider.name}: key {number} of {where} refused ({refusal.status}) since {since}; {calls}"
