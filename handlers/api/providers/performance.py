"""`GET /api/v2/aibridge/providers/performance`: how providers fare, by the latest calls."""

from __future__ import annotations

from datetime import timedelta

from handlers.api.pagination import single_values
from handlers.control import ControlHandler, database_problems
from handlers.problems import Problem
from resources.recorded.performance import ProviderPerformance
from storage.queries.performance import read_performance

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
