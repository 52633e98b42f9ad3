"""What providers say of the bridge's keys: in the log and a metric when it changes, in `/readyz` while it lasts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from handlers.operation.metrics import Metrics
from intercept.times import format_time
from upstream.keys import KeyChange, KeyPool, KeyRefusal
from upstream.providers import Provider, credential_hint

_log = logging.getLogger(__name__)


def report_change(provider: Provider, key: str, change: KeyChange, metrics: Metrics) -> None:
    """Say once that a provider began to refuse a key, or that it accepts it again. No more than a hint of it is said."""
    refused, hint = change is KeyChange.REFUSED, credential_hint(key)
    metrics.provider_key(provider.name, hint, refused=refused)
    if refused:
        _log.warning(
            "provider key refused: provider=%s key=%s status=401; look at the setting %s",
            *(provider.name, hint, provider.keys_setting),
        )
    else:
        _log.info("provider key accepted again: provider=%s key=%s", provider.name, hint)


def describe_refused_keys(providers: Iterable[Provider], pools: Mapping[str, KeyPool]) -> str:
    """Name each key that its provider refuses, by its setting and without a hint, as anybody may read it; or `ok`."""
    refused = [
        _describe(provider, number, refusal)
        for provider in providers
        if (pool := pools.get(provider.name)) is not None and pool.refusals
        for number, key in enumerate(pool.keys, start=1)
        if (refusal := pool.refusals.get(key)) is not None
    ]
    return "; ".join(refused) or "ok"


def _describe(provider: Provider, number: int, refusal: KeyRefusal) -> str:
    calls = f"{refusal.calls} call{'' if refusal.calls == 1 else 's'}"
    since = format_time(refusal.since)
    return f"{provider.name}: key {number} of {provider.keys_setting} refused ({refusal.status}) since {since}; {calls}"
