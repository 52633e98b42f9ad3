"""`GET /api/v2/aibridge/providers/performance` and `/{name}/usage`: how providers fare, by the latest calls."""

from __future__ import annotations

from datetime import timedelta

from handlers.api.pagination import single_values
from handlers.api.providers.checked import UNKNOWN
from handlers.api.providers.configured import configured
from handlers.control import ControlHandler, database_problems
from handlers.problems import Problem
from limits.protection.circuit_breaker import State
from resources.recorded.performance import ProviderPerformance, ProviderUsage, worst_of
from storage.queries.performance import read_performance, read_provider

LATEST = timedelta(hours=24)
NOT_YOURS_TO_SEE = "Only owners and auditors may see how providers fare."


class PerformanceHandler(ControlHandler):
    """All providers that may be called, for who sees everything."""

    async def respond(self) -> None:
        """Answer an array, in the order of the providers.

        Raises:
            Problem: 403, a member asks; 503, the database is unavailable.
            ValidationProblem: there is a parameter.
        """
        if not self.identity.user.role.sees_everything:
            raise Problem(403, NOT_YOURS_TO_SEE)
        single_values(self.request.query_arguments, ())
        with database_problems():
            found = await read_performance(self.bridge.database, self.bridge.now() - LATEST)
        self.write_json([ProviderPerformance.of(name, found.get(name)) for name in self.bridge.providers])


class ProviderUsageHandler(ControlHandler):
    """One provider and its models, for who sees everything."""

    async def respond(self) -> None:
        """Answer whether it is up, its circuit, its keys, and how each model fares.

        Raises:
            Problem: 403, a member asks; 404, there is no such provider; 503, the database is unavailable.
            ValidationProblem: there is a parameter.
        """
        if not self.identity.user.role.sees_everything:
            raise Problem(403, NOT_YOURS_TO_SEE)
        single_values(self.request.query_arguments, ())
        name, table = str(self.path_args[0]), self.bridge.routing.table
        provider = table.providers.get(name)
        if provider is None:
            raise Problem(404, UNKNOWN.format(name))
        listed = configured(provider, table.key_pools.get(name), self.bridge.key_health.find_refusals(provider))
        since = self.bridge.now() - LATEST
        with database_problems():
            found = await read_provider(self.bridge.database, name, since)
        self.write_json(ProviderUsage.of(listed, found, self._circuits(name), since))

    def _circuits(self, name: str) -> dict[str, State] | None:
        """The worst circuit of each model; None where circuits are off."""
        if self.bridge.breakers is None:
            return None
        states: dict[str, list[State]] = {}
        for key, state in self.bridge.breakers.states().items():
            if key.provider == name:
                states.setdefault(key.model, []).append(state)
        return {model: worst_of(each) for model, each in states.items()}
