"""The providers that clients may call, and how the bridge's keys fare."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from upstream.presets import ProviderType


class KeyState(StrEnum):
    """Where the credential for a provider comes from."""

    KEY = "key"
    KEYLESS = "keyless"
    NO_KEY = "no_key"


class RefusedKey(Struct):
    """That the provider does not accept a key: the status, since when, and to how many calls it said so."""

    status: int
    since: str
    calls: int


class ProviderKey(Struct):
    """A key of the bridge. `cooldowns` is for how many models another key comes first at the moment."""

    hint: str
    setting: str
    cooldowns: int
    refused: RefusedKey | None


class ConfiguredProvider(Struct):
    """A provider of the settings, or the demo provider."""

    name: str
    type: ProviderType
    key_state: KeyState
    keys: list[ProviderKey]
