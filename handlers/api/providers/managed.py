"""`/api/v2/aibridge/providers`: the names that occur in calls, and for owners changes of the providers of the database."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from handlers.api.accounts.changes import INVALID_BODY, ChangeHandler
from handlers.api.providers.details import of_environment, of_stored
from handlers.api.recorded.facets import find_names
from handlers.problems import Problem, ValidationProblem, sentence
from resources.provider_bodies import UNKNOWN_TYPE, NewProvider, ProviderChange
from resources.providers import DetailedProvider
from storage.providers.documents import ProviderConflictError, ProviderError, StoredProvider, UnknownProviderError
from storage.queries.facets import Facet
from upstream.providers.fallback import find_fault
from upstream.providers.presets import PRESETS, ProviderType
from upstream.providers.provider import Source

MAX_PROVIDER_BYTES = 64 * 1024
"""The largest body of a change: certificates may be in it."""
NOT_YOURS_TO_SEE = "Only owners and auditors may see how providers are reached."
NOT_YOURS_TO_CHANGE = "Only owners may change and check providers."
READ_ONLY = "The provider {} is one of the server's environment: it is changed there."
NAME_TAKEN = "The name {} is that of a provider of the server's environment."


class ProviderChangeHandler(ChangeHandler):
    """What owners may do with providers."""

    max_body_bytes = MAX_PROVIDER_BYTES

    def problem_of(self, error: BaseException | None) -> Problem | None:
        """Say what cannot be done: 400, 404, 409."""
        match error:
            case UnknownProviderError():
                return Problem(404, sentence(str(error.args[0])))
            case ProviderConflictError():
                return Problem(409, sentence(str(error.args[0])))
            case ProviderError():
                return ValidationProblem(INVALID_BODY, validations=error.problems)
        return super().problem_of(error)

    def refuse_fixed(self, name: str, message: str = READ_ONLY) -> None:
        """Refuse to touch a provider of the environment.

        Raises:
            Problem: 409, it is one.
        """
        if name in self.bridge.routing.fixed_names:
            raise Problem(409, message.format(name))

    def check_fallback(self, name: str, type_: str, fallback: Sequence[str]) -> None:
        """Check the fallbacks of a provider.

        Raises:
            ValidationProblem: 400, one cannot.
        """
        types = {one.name: one.type for one in self.bridge.providers.values()}
        if type_ in PRESETS and (fault := find_fault(name, ProviderType(type_), fallback, types)):
            raise ValidationProblem(INVALID_BODY, validations=[("fallback", fault)])

    async def detail(self, stored: StoredProvider) -> DetailedProvider:
        """The resource of a changed provider, when this process uses the change."""
        await self.bridge.followed.try_refresh()
        return of_stored(self.bridge, stored)


class ProvidersHandler(ProviderChangeHandler):
    """All providers: their names in calls, and a new one."""

    async def get(self) -> None:
        """Respond with a sorted list of the names that begin with `q`, of calls that the user may see."""
        await self.identify()
        user = self.identity.user
        names = await find_names(self, Facet.PROVIDER, visible_to=None if user.role.sees_everyone else user.id)
        self.write_json(names)

    async def post(self) -> None:
        """Add a provider: 201."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        body = self.read_body(NewProvider)
        self.refuse_fixed(body.name, NAME_TAKEN)
        self.check_fallback(body.name, body.type, body.fallback)
        stored = await self.bridge.managed.add(body.spec, body.new_keys, body.secrets, author=self.author)
        self.write_json(await self.detail(stored), 201)


class ProviderHandler(ProviderChangeHandler):
    """A provider."""

    async def get(self, name: str) -> None:
        """Respond with its settings, and the state of its keys."""
        await self.identify_auditor(NOT_YOURS_TO_SEE)
        self.parameters()
        provider = self.bridge.providers.get(name)
        if provider is not None and provider.source is Source.ENVIRONMENT:
            self.write_json(of_environment(self.bridge, provider))
            return
        stored = await self.bridge.managed.find(name)
        if stored.spec.type not in PRESETS:
            raise Problem(404, f"The type of the provider {name} {UNKNOWN_TYPE}.")
        self.write_json(of_stored(self.bridge, stored))

    async def patch(self, name: str) -> None:
        """Change a provider; respond with the result."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        self.refuse_fixed(name)
        body = self.read_body(ProviderChange)
        if body.changes.keys() & {"fallback", "type"}:
            spec = replace((await self.bridge.managed.find(name)).spec, **body.changes)
            self.check_fallback(name, spec.type, spec.fallback)
        stored = await self.bridge.managed.change(name, body.changes, body.given_keys, body.secrets, author=self.author)
        self.write_json(await self.detail(stored))

    async def delete(self, name: str) -> None:
        """Remove a provider and its keys: 204. Calls that are under way go on."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        self.refuse_fixed(name)
        await self.bridge.managed.remove(name, author=self.author)
        await self.bridge.followed.try_refresh()
        self.set_status(204)
