"""`GET /api/v2/aibridge/providers/configured`: the providers that clients may call, and how the bridge's keys fare."""

from __future__ import annotations

from collections.abc import Mapping

from handlers.api.pagination import single_values
from handlers.control import ControlHandler
from intercept.times import format_time
from resources.providers import ConfiguredProvider, KeyState, ProviderKey, RefusedKey
from upstream.credentials.access import credential_hint
from upstream.credentials.keys import KeyPool, KeyRefusal
from upstream.providers import Provider


class ConfiguredProvidersHandler(ControlHandler):
    """All providers, for everybody who has a token: each of them may call every provider."""

    async def respond(self) -> None:
        """Answer an array in the order of the settings, the demo provider last.

        Raises:
            ValidationProblem: there is a parameter.
        """
        single_values(self.request.query_arguments, ())
        pools, health = self.bridge.key_pools, self.bridge.key_health
        providers = self.bridge.providers.values()
        self.write_json(
            [configured(provider, pools.get(provider.name), health.find_refusals(provider)) for provider in providers]
        )


def configured(provider: Provider, pool: KeyPool | None, refusals: Mapping[str, KeyRefusal]) -> ConfiguredProvider:
    """What the API says of a provider. Its address is the operator's, and of its keys there is a hint."""
    if pool is None:
        state = KeyState.KEYLESS if provider.keyless else KeyState.NO_KEY
        signed = provider.authorizer is not None
        return ConfiguredProvider(provider.name, provider.type, KeyState.KEY if signed else state, [])
    keys = [_key(provider, pool, key, refusals.get(key)) for key in pool.keys]
    return ConfiguredProvider(provider.name, provider.type, KeyState.KEY, keys)


def _key(provider: Provider, pool: KeyPool, key: str, refusal: KeyRefusal | None) -> ProviderKey:
    refused = None if refusal is None else RefusedKey(refusal.status, format_time(refusal.since), refusal.calls)
    return ProviderKey(credential_hint(key), provider.keys_setting, pool.count_cooldowns(key), refused)
