"""A provider with its settings, for owners and auditors."""

from __future__ import annotations

from msgspec import structs

from handlers.api.providers.configured import describe_refusal, key_state
from handlers.bridge import Bridge
from intercept.times import format_time
from limits.protection.circuit_breaker import CircuitState
from resources.fields import of_fields
from resources.providers import DetailedKey, DetailedProvider, KeyCondition, KeyState, RefusedKey
from resources.recorded.provider_usage import worst_of
from storage.providers.documents import StoredKey, StoredProvider
from storage.providers.sealing import SealError
from upstream.credentials.access import Credential, credential_hint
from upstream.providers.presets import PRESETS, ProviderType
from upstream.providers.provider import Availability, Provider, Source


def of_environment(bridge: Bridge, provider: Provider) -> DetailedProvider:
    """Describe a provider of the environment."""
    keys = [
        _detailed(bridge, provider, key, hint=credential_hint(key), id_=None, added_at=None) for key in provider.keys
    ]
    return DetailedProvider(
        provider.name,
        provider.type,
        Source.ENVIRONMENT,
        provider.availability,
        key_state(provider),
        provider.base_url,
        provider.expects.value,
        provider.region,
        provider.project,
        disabled=False,
        fallback=list(provider.fallback),
        weight=provider.weight,
        proxy_url=None,
        has_ca_certificates=None,
        has_client_certificate=None,
        aws_access_key=None,
        keys=keys,
        circuit=_circuit(bridge, provider.name),
        created_at=None,
        changed_at=None,
    )


def of_stored(bridge: Bridge, stored: StoredProvider) -> DetailedProvider:
    """Describe a provider of the database, as it is there. The state of its keys is what this process knows."""
    spec, type_ = stored.spec, ProviderType(stored.spec.type)
    preset, provider = PRESETS[type_], bridge.providers.get(stored.spec.name)
    keys = [_of_stored_key(bridge, stored, provider, key) for key in stored.keys]
    if any(key.state is not KeyCondition.SEALED for key in keys):
        has_key = KeyState.KEY
    else:
        has_key = KeyState.NO_KEY if provider is None else key_state(provider)
    return of_fields(
        DetailedProvider,
        structs.asdict(stored) | structs.asdict(spec),
        type=type_,
        source=Source.DATABASE,
        state=_availability(spec.disabled, keys),
        key_state=has_key,
        base_url=spec.base_url or preset.url_in(spec.region),
        credential=Credential(spec.credential).value if spec.credential else preset.credential.value,
        fallback=list(spec.fallback),
        has_ca_certificates=bool(spec.ca_certificates),
        has_client_certificate="client_certificate" in stored.secrets,
        aws_access_key=access_key.hint if (access_key := stored.secrets.get("aws_access_key")) else "",
        keys=keys,
        circuit=_circuit(bridge, spec.name),
    )


def _circuit(bridge: Bridge, name: str) -> CircuitState | None:
    """The worst state of a provider's circuits; closed where it has none yet."""
    if bridge.breakers is None:
        return None
    return worst_of(state for key, state in bridge.breakers.states().items() if key.provider == name)


def _availability(disabled: bool, keys: list[DetailedKey]) -> Availability:
    if disabled:
        return Availability.DISABLED
    sealed = bool(keys) and all(key.state is KeyCondition.SEALED for key in keys)
    return Availability.SEALED if sealed else Availability.READY


def _of_stored_key(bridge: Bridge, stored: StoredProvider, provider: Provider | None, key: StoredKey) -> DetailedKey:
    added_at = format_time(key.added_at)
    try:
        text = bridge.managed.sealer.open(key.sealed, stored.id)
    except SealError:
        return DetailedKey(key.hint, "", 0, None, key.id, KeyCondition.SEALED, added_at)
    if provider is None or text not in provider.keys:
        return DetailedKey(key.hint, "", 0, None, key.id, KeyCondition.READY, added_at)
    return _detailed(bridge, provider, text, hint=key.hint, id_=key.id, added_at=added_at)


def _detailed(
    bridge: Bridge, provider: Provider, key: str, *, hint: str, id_: str | None, added_at: str | None
) -> DetailedKey:
    pool = bridge.key_pools.get(provider.name)
    cooldowns = 0 if pool is None else pool.count_cooldowns(key)
    refused = describe_refusal(bridge.key_health.find_refusals(provider).get(key))
    state = _condition(cooldowns, refused)
    return DetailedKey(hint, provider.keys_setting, cooldowns, refused, id_, state, added_at)


def _condition(cooldowns: int, refused: RefusedKey | None) -> KeyCondition:
    if refused is not None:
        return KeyCondition.REFUSED
    return KeyCondition.COOLING_DOWN if cooldowns else KeyCondition.READY
