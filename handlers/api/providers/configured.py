"""`GET /api/v2/aibridge/providers/configured`: the providers that clients may call, and how the bridge's keys fare."""

from __future__ import annotations

from handlers.api.control import ControlHandler
from handlers.bridge import Bridge
from intercept.times import format_time
from resources.providers import ConfiguredProvider, KeyState, ProviderKey, RefusedKey
from upstream.credentials.access import credential_hint
from upstream.credentials.keys import KeyPool, KeyRefusal
from upstream.providers.provider import Provider


class ConfiguredProvidersHandler(ControlHandler):
    """All providers, for all users with a token: all may call every provider."""

    async def respond(self) -> None:
        """Respond with an array: those of the settings in their order, the demo provider, those of the database."""
        self.parameters()
        self.write_json([configured(self.bridge, provider) for provider in self.bridge.providers.values()])


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
