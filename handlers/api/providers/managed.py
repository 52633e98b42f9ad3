"""The providers that are configured: their settings, checks, and changes of those in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec.structs import replace

from handlers.api.providers.details import of_environment, of_stored
from handlers.operations.operation import AUDITORS, OWNERS, Ask, operation
from handlers.operations.problems import INVALID_BODY
from handlers.problems import Problem, ValidationProblem
from resources.fields import doc
from resources.provider_bodies import UNKNOWN_TYPE, NewProvider, ProviderChange
from resources.providers import DetailedProvider, KeyCheck, ProviderCheck
from storage.providers.documents import StoredProvider
from upstream.providers import provider_check
from upstream.providers.fallback import find_fault
from upstream.providers.presets import PRESETS, ProviderType
from upstream.providers.provider import Source

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
    if provider is not None and provider.source is Source.ENVIRONMENT:
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
    example=ProviderChange(disabled=True),
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
