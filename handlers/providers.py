"""`GET /api/v2/aibridge/providers/configured`: the providers that clients may call, and whether the bridge has a key."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from handlers.control import ControlHandler
from handlers.pagination import single_values
from upstream.providers import Provider, ProviderType


class KeyState(StrEnum):
    """Where the credential for a provider comes from."""

    KEY = "key"
    KEYLESS = "keyless"
    NO_KEY = "no_key"


class ConfiguredProvider(Struct):
    """A provider of the settings, or the demo provider."""

    name: str
    type: ProviderType
    key_state: KeyState


class ConfiguredProvidersHandler(ControlHandler):
    """All providers, for everybody who has a token: each of them may call every provider."""

    async def answer(self) -> None:
        """Answer an array in the order of the settings, the demo provider last.

        Raises:
            InvalidQueryError: there is a parameter.
        """
        single_values(self.request.query_arguments, ())
        self.write_json([configured(provider) for provider in self.bridge.providers.values()])


def configured(provider: Provider) -> ConfiguredProvider:
    """What the API says of a provider. Its address and its keys are the operator's."""
    without_key = KeyState.KEYLESS if provider.keyless else KeyState.NO_KEY
    return ConfiguredProvider(provider.name, provider.type, KeyState.KEY if provider.keys else without_key)
