"""`GET /api/v2/aibridge/providers/performance` and `/{name}/usage`: how providers fare in a time range."""

from __future__ import annotations

from datetime import datetime

from handlers.api.control import ControlHandler
from handlers.api.providers.configured import configured
from handlers.api.providers.managed import UNKNOWN
from handlers.api.recorded.statistics.group_request import whole_hours
from handlers.problems import Problem
from limits.protection.circuit_breaker import State
from resources.recorded.performance import MAX_MODELS, ProviderPerformance, ProviderUsage, UsedRange, worst_of
from storage.queries.filters.grouped.dimensions import By, Dimension
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.performance import read_performance, read_provider

NOT_YOURS_TO_SEE = "Only owners and auditors may see how providers fare."


class TimeRangeHandler(ControlHandler):
    """A resource of a time range in whole hours, for who sees everything."""

    def time_range(self) -> tuple[datetime, datetime]:
        """Read it.

        Raises:
            Problem: 403, the caller is a member.
            ValidationProblem: a parameter cannot be used.
        """
        if not self.identity.user.role.sees_everything:
            raise Problem(403, NOT_YOURS_TO_SEE)
        return whole_hours(self.parameters("from", "to"), self.bridge.now())


class PerformanceHandler(TimeRangeHandler):
    """All providers that may be called, for who sees everything."""

    async def respond(self) -> None:
        """Respond with an array, in the order of the providers."""
        start, end = self.time_range()
        found = await read_performance(self.bridge.database, start, end)
        self.write_json([ProviderPerformance.of(name, found.get(name)) for name in self.bridge.providers])


class ProviderUsageHandler(TimeRangeHandler):
    """One provider and its models, for who sees everything."""

    async def respond(self) -> None:
        """Respond with its state, its circuit, its keys, and the health of each model."""
        start, end = self.time_range()
        name = str(self.path_args[0])
        provider = self.bridge.providers.get(name)
        if provider is None:
            raise Problem(404, UNKNOWN.format(name))
        listed = configured(self.bridge, provider)
        found, since = await read_provider(self.bridge.database, name, start, end)
        by_model = (By(Dimension.MODEL),)
        result = await self.bridge.grouped.read(
            GroupQuery(start, end, {"provider_name": name}, by=by_model, limit=MAX_MODELS)
        )
        totals = {one.key[0]: one.total for one in result.groups}
        within = UsedRange(start, end, since, result.total.total, totals)
        self.write_json(ProviderUsage.of(listed, found, self._circuits(name), within))

    def _circuits(self, name: str) -> dict[str, State] | None:
        """The worst circuit of each model; None where circuits are off."""
        if self.bridge.breakers is None:
            return None
        states: dict[str, list[State]] = {}
        for key, state in self.bridge.breakers.states().items():
            if key.provider == name:
                states.setdefault(key.model, []).append(state)
        return {model: worst_of(each) for model, each in states.items()}
