"""The providers that clients may call, and how the bridge's keys fare."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from limits.protection.circuit_breaker import State as CircuitState
from resources.fields import Count, Time
from upstream.presets import ProviderType
from upstream.providers import Availability, Source


class KeyState(StrEnum):
    """Where the credential for a provider comes from."""

    KEY = "key"
    KEYLESS = "keyless"
    NO_KEY = "no_key"


class KeyCondition(StrEnum):
    """How a key fares. `SEALED`: this server has no encryption key that opens it."""

    READY = "ready"
    COOLING_DOWN = "cooling_down"
    REFUSED = "refused"
    SEALED = "sealed"


class RefusedKey(Struct):
    """That the provider does not accept a key: the status, since when, and to how many calls it said so."""

    status: int
    since: str
    calls: int


class ProviderKey(Struct):
    """A key of the bridge. `cooldowns` is for how many models another key comes first at the moment."""

    hint: str
    setting: Annotated[str, Meta(description="The setting that it comes from; empty for a key in the database.")]
    cooldowns: int
    refused: RefusedKey | None


class ConfiguredProvider(Struct):
    """A provider that may be called."""

    name: str
    type: ProviderType
    key_state: KeyState
    keys: list[ProviderKey]
    source: Annotated[Source, Meta(description="The providers of the environment cannot be changed here.")]
    state: Annotated[
        Availability,
        Meta(
            description="Calls of one that is not `ready` are answered with 503. `sealed`: its keys cannot be opened."
        ),
    ]


class DetailedKey(ProviderKey):
    """A key, as those see it who look after providers. The key itself is never shown."""

    id: Annotated[str | None, Meta(description="To keep it in a change. Null for a key of the environment.")]
    state: KeyCondition
    added_at: Time | None


class DetailedProvider(Struct):
    """A provider, as those see it who look after providers."""

    name: str
    type: ProviderType
    source: Source
    state: Availability
    key_state: KeyState
    base_url: str
    credential: Annotated[str, Meta(description="How its key is sent.")]
    region: str
    project: str
    disabled: bool
    fallback: Annotated[list[str], Meta(description="Providers that are asked in this order when it cannot answer.")]
    weight: Annotated[Count, Meta(description="Its share of the load, among itself and its fallback.")]
    proxy_url: Annotated[
        str | None,
        Meta(description="Empty for that of the server. Null, as the next three, for one of the environment."),
    ]
    has_ca_certificates: Annotated[bool | None, Meta(description="Whether it has authorities of its own to trust.")]
    has_client_certificate: Annotated[bool | None, Meta(description="Whether a certificate is shown to it.")]
    aws_access_key: Annotated[
        str | None, Meta(description="The id of the access key of AWS that signs; empty without one.")
    ]
    keys: list[DetailedKey]
    circuit: Annotated[
        CircuitState | None,
        Meta(description="The worst of its circuits in this process; null where there are no circuit breakers."),
    ]
    created_at: Annotated[Time | None, Meta(description="Null for a provider of the environment.")]
    changed_at: Time | None


class KeyCheck(Struct):
    """What the provider said to a key, or to a request without one."""

    hint: Annotated[str, Meta(description="Of the key; empty where none was sent.")]
    ok: bool
    status: Annotated[int | None, Meta(description="Of the provider's response; null where there was none.")]
    message: Annotated[str, Meta(description="In words.")]
    models: Annotated[Count | None, Meta(description="How many models it listed; null where that is not known.")]


class ProviderCheck(Struct):
    """Whether a provider can be reached, and what it says to each of the bridge's keys."""

    ok: Annotated[bool, Meta(description="Whether all is well with every key.")]
    results: list[KeyCheck]
