"""The providers that clients may call, and how the bridge's keys fare."""

from __future__ import annotations

from handlers.bridge import Bridge
from handlers.operations.operation import Ask, operation
from intercept.times import format_time
from resources.providers import ConfiguredProvider, KeyState, ProviderKey, RefusedKey
from upstream.credentials.access import credential_hint
from upstream.credentials.keys import KeyPool, KeyRefusal
from upstream.providers.provider import Provider


@operation("GET", "providers/configured")
async def list_configured_providers(ask: Ask) -> list[ConfiguredProvider]:
    """List all providers.

    Those of the settings in their order, then those of the database, whether they were called or not. `key_state` is `key`
    where the bridge holds a key, `keyless` where the provider is called without one, `no_key` where only clients with a
    key of their own are served. `refused` covers all server processes on the database, `cooldowns` only the one that
    answers.
    """
    return [configured(ask.bridge, provider) for provider in ask.bridge.providers.values()]


def configured(bridge: Bridge, provider: Provider) -> ConfiguredProvider:
    """The resource of a provider. Only operators see its address; keys appear as hints."""
    pool, refusals = bridge.key_pools.get(provider.name), bridge.key_health.find_refusals(provider)
    keys = [] if pool is None else [_described(provider, pool, key, refusals.get(key)) for key in pool.keys]
    state = key_state(provider)
    return ConfiguredProvider(provider.name, provider.type, state, keys, provider.source, provider.availability)


def key_state(provider: Provider) -> KeyState:
    """Where the credential for a provider comes from."""
    if provider.keys or provider.authorizer is not None:
        return KeyState.KEY
    return KeyState.KEYLESS if provider.keyless else KeyState.NO_KEY


def _described(provider: Provider, pool: KeyPool, key: str, refusal: KeyRefusal | None) -> ProviderKey:
    cooldowns = pool.count_cooldowns(key)
    return ProviderKey(credential_hint(key), provider.keys_setting, cooldowns, describe_refusal(refusal))


def describe_refusal(refusal: KeyRefusal | None) -> RefusedKey | None:
    """That a key is refused, if it is."""
    return None if refusal is None else RefusedKey(refusal.status, format_time(refusal.since), refusal.calls)
