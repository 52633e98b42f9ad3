"""The providers that clients may call, and how the bridge's keys fare."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Struct

from limits.protection.circuit_breaker import CircuitState
from resources.fields import Count, Time, doc
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Availability, Source


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
    setting: Annotated[str, doc("The setting that it comes from; empty for a key in the database.")]
    cooldowns: int
    refused: RefusedKey | None


class ConfiguredProvider(Struct):
    """A provider that may be called."""

    name: str
    type: ProviderType
    key_state: KeyState
    keys: list[ProviderKey]
    source: Annotated[Source, doc("The providers of the environment cannot be changed here.")]
    state: Annotated[
        Availability, doc("Calls to a provider that is not `ready` get 503. `sealed`: its keys cannot be decrypted.")
    ]


class DetailedKey(ProviderKey):
    """A key, for owners and auditors. The key itself is never shown."""

    id: Annotated[str | None, doc("Its id, to keep it in a change. Null for a key of the environment.")]
    state: KeyCondition
    added_at: Time | None


class DetailedProvider(Struct):
    """A provider with its settings, for owners and auditors."""

    name: str
    type: ProviderType
    source: Source
    state: Availability
    key_state: KeyState
    base_url: str
    credential: Annotated[str, doc("How its key is sent.")]
    region: str
    project: str
    disabled: bool
    fallback: Annotated[list[str], doc("Providers that are tried in this order if it cannot answer.")]
    weight: Annotated[Count, doc("Its share of the load, among itself and its fallback.")]
    proxy_url: Annotated[
        str | None,
        doc("Empty for the proxy of the server. Null, as the next four, for a provider of the environment."),
    ]
    has_ca_certificates: Annotated[bool | None, doc("Whether it has certificate authorities of its own.")]
    has_client_certificate: Annotated[bool | None, doc("Whether the bridge presents a client certificate.")]
    aws_access_key: Annotated[str | None, doc("The id of the access key of AWS that signs; empty without one.")]
    proxy_credentials: Annotated[str | None, doc("The user at its proxy; empty without one.")]
    keys: list[DetailedKey]
    circuit: Annotated[
        CircuitState | None, doc("The worst of its circuits in this process; null without circuit breakers.")
    ]
    created_at: Annotated[Time | None, doc("Null for a provider of the environment.")]
    changed_at: Time | None


class KeyCheck(Struct):
    """What the provider said to a key, or to a request without one."""

    hint: Annotated[str, doc("The hint of the key; empty if none was sent.")]
    ok: bool
    status: Annotated[int | None, doc("The status of the provider's response; null if there was none.")]
    message: Annotated[str, doc("In words.")]
    models: Annotated[Count | None, doc("The number of models that it lists; null if that is unknown.")]


class ProviderCheck(Struct):
    """The result of a check of a provider with each of its keys."""

    ok: Annotated[bool, doc("Whether every key works.")]
    results: list[KeyCheck]
