"""Providers: which there are, changes of those in the database, and how the bridge's keys fare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from msgspec import structs
from msgspec.structs import replace

from handlers.bridge import Bridge
from handlers.operations.operation import AUDITORS, OWNERS, Ask, operation
from handlers.operations.problems import INVALID_BODY
from handlers.problems import Problem, ValidationProblem
from intercept.times import format_time
from limits.protection.circuit_breaker import CircuitState
from resources.fields import doc, of_fields
from resources.providers import (
    UNKNOWN_TYPE,
    ConfiguredProvider,
    DetailedKey,
    DetailedProvider,
    KeyCheck,
    KeyCondition,
    KeyState,
    NewProvider,
    ProviderChange,
    ProviderCheck,
    ProviderKey,
    RefusedKey,
)
from storage.providers.documents import StoredKey, StoredProvider
from storage.providers.sealing import SealError
from upstream.credentials.access import Credential, credential_hint
from upstream.credentials.keys import KeyPool, KeyRefusal
from upstream.providers import provider_check
from upstream.providers.presets import PRESETS, ProviderType
from upstream.providers.provider import Availability, Provider, ProviderSource, find_fault


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
    return ConfiguredProvider(**_common(provider), keys=keys)


def _common(provider: Provider) -> dict[str, Any]:
    """What is said of every provider."""
    return {
        "name": provider.name,
        "type": provider.type,
        "key_state": key_state(provider),
        "source": provider.source,
        "state": provider.availability,
    }


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


def of_environment(bridge: Bridge, provider: Provider) -> DetailedProvider:
    """Describe a provider of the environment."""
    return DetailedProvider(
        **_common(provider),
        keys=[
            _detailed(bridge, provider, key, hint=credential_hint(key), id_=None, added_at=None)
            for key in provider.keys
        ],
        base_url=provider.base_url,
        credential=provider.expects.value,
        region=provider.region,
        project=provider.project,
        fallback=list(provider.fallback),
        weight=provider.weight,
        circuit=_circuit(bridge, provider.name),
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
        source=ProviderSource.DATABASE,
        state=_availability(spec.disabled, keys),
        key_state=has_key,
        base_url=spec.base_url or preset.url_in(spec.region),
        credential=Credential(spec.credential).value if spec.credential else preset.credential.value,
        fallback=list(spec.fallback),
        has_ca_certificates=bool(spec.ca_certificates),
        has_client_certificate="client_certificate" in stored.secrets,
        aws_access_key=_hint(stored, "aws_access_key"),
        proxy_credentials=_hint(stored, "proxy_credentials"),
        keys=keys,
        circuit=_circuit(bridge, spec.name),
    )


def _hint(stored: StoredProvider, name: str) -> str:
    """The hint of a secret; empty without one."""
    return stored.secrets[name].hint if name in stored.secrets else ""


def _circuit(bridge: Bridge, name: str) -> CircuitState | None:
    """The worst state of a provider's circuits; closed where it has none yet."""
    if bridge.breakers is None:
        return None
    states = {state for key, state in bridge.breakers.states().items() if key.provider == name}
    return next((one for one in (CircuitState.OPEN, CircuitState.HALF_OPEN) if one in states), CircuitState.CLOSED)


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
    state = KeyCondition.COOLING_DOWN if cooldowns else KeyCondition.READY
    if refused is not None:
        state = KeyCondition.REFUSED
    return DetailedKey(hint, provider.keys_setting, cooldowns, refused, id_, state, added_at)


MAX_PROVIDER_BYTES: Final = 64 * 1024
"""The largest body of a change: certificates may be in it."""
READ_ONLY = "The provider {} is one of the server's environment: it is changed there."
NAME_TAKEN = "The name {} is that of a provider of the server's environment."
UNKNOWN = "There is no provider named {}."

Name = Annotated[str, doc("The name of the provider.")]
_READ_ONLY = {409: "It is a provider of the environment, or it was changed at the same moment."}


def _refuse_fixed(ask: Ask, name: str, message: str = READ_ONLY) -> None:
    """Refuse to touch a provider of the environment.

    Raises:
        Problem: 409, it is one.
    """
    if name in ask.bridge.routing.fixed_names:
        raise Problem(409, message.format(name))


def _check_fallback(ask: Ask, name: str, type_: str, fallback: Sequence[str]) -> None:
    """Check the fallbacks of a provider.

    Raises:
        ValidationProblem: 400, one cannot.
    """
    types = {one.name: one.type for one in ask.bridge.providers.values()}
    if not ask.knows_all_providers:
        fallback = [one for one in fallback if one in types]
    if type_ in PRESETS and (fault := find_fault(name, ProviderType(type_), fallback, types)):
        raise ValidationProblem(INVALID_BODY, validations=[("fallback", fault)])


async def _changed(ask: Ask, stored: StoredProvider) -> DetailedProvider:
    """Show a changed provider, when this process uses the change."""
    await ask.bridge.followed.try_refresh()
    return of_stored(ask.bridge, stored)


@operation(
    "POST",
    "providers",
    OWNERS,
    status=201,
    raises={409: "The name is taken."},
    max_body=MAX_PROVIDER_BYTES,
    example=NewProvider("openai-east", ProviderType.OPENAI, keys=["sk-proj-abcdefghijklmnop"]),
)
async def add_provider(ask: Ask, body: NewProvider) -> DetailedProvider:
    """Add a provider.

    All servers on the database serve it within 2 s. Keys need `encryption-keys`.
    """
    _refuse_fixed(ask, body.name, NAME_TAKEN)
    _check_fallback(ask, body.name, body.type, body.fallback)
    stored = await ask.bridge.managed.add(body.spec, body.new_keys, body.secrets, author=ask.author)
    return await _changed(ask, stored)


@operation("GET", "providers/{name}", AUDITORS)
async def get_provider(ask: Ask, name: Name) -> DetailedProvider:
    """Read the settings of a provider.

    Keys appear as hints only.
    """
    provider = ask.bridge.providers.get(name)
    if provider is not None and provider.source is ProviderSource.ENVIRONMENT:
        return of_environment(ask.bridge, provider)
    stored = await ask.bridge.managed.find(name)
    if stored.spec.type not in PRESETS:
        raise Problem(404, f"The type of the provider {name} {UNKNOWN_TYPE}.")
    return of_stored(ask.bridge, stored)


@operation(
    "PATCH",
    "providers/{name}",
    OWNERS,
    raises=_READ_ONLY,
    max_body=MAX_PROVIDER_BYTES,
    example={"disabled": True},
)
async def change_provider(ask: Ask, name: Name, body: ProviderChange) -> DetailedProvider:
    """Change a provider of the database.

    What is not given stays as it is, calls that are under way too. With another address, type, credential or region the
    keys have to be given again.
    """
    _refuse_fixed(ask, name)
    if body.changes.keys() & {"fallback", "type"}:
        spec = replace((await ask.bridge.managed.find(name)).spec, **body.changes)
        _check_fallback(ask, name, spec.type, spec.fallback)
    stored = await ask.bridge.managed.change(name, body.changes, body.given_keys, body.secrets, author=ask.author)
    return await _changed(ask, stored)


@operation("DELETE", "providers/{name}", OWNERS, raises=_READ_ONLY)
async def remove_provider(ask: Ask, name: Name) -> None:
    """Remove a provider of the database, and its keys.

    Running calls continue; records stay.
    """
    _refuse_fixed(ask, name)
    await ask.bridge.managed.remove(name, author=ask.author)
    await ask.bridge.followed.try_refresh()


@operation("POST", "providers/{name}/check", OWNERS)
async def check_provider(ask: Ask, name: Name) -> ProviderCheck:
    """Check a provider.

    Requests its list of models with each of its keys, which costs nothing. Disabled ones are checked too.
    """
    await ask.bridge.followed.try_refresh()
    provider = ask.bridge.providers.get(name)
    if provider is None:
        raise Problem(404, UNKNOWN.format(name))
    results = await provider_check.check_provider(provider, ask.bridge.upstream)
    keys = [KeyCheck(one.hint, one.is_well, one.status, one.message, one.models) for one in results]
    return ProviderCheck(all(one.is_well for one in results), keys)
