"""`GET /api/v2/aibridge/models`, `/clients` and `/providers`: the names that occur."""

from __future__ import annotations

from handlers.api.pagination import parse_page, single_values
from handlers.api.visibility import VisibilityHandler
from handlers.bridge import Bridge
from storage.queries.facets import Facet

PARAMETERS = ("q", "limit", "offset")


class FacetHandler(VisibilityHandler):
    """The distinct values of a field, in the calls that the user may see."""

    def initialize(self, bridge: Bridge, facet: Facet) -> None:  # type: ignore[override]
        """Receive the running bridge and the field."""
        super().initialize(bridge)
        self._facet = facet

    async def respond(self) -> None:
        """Respond with a sorted list of the values that begin with `q`.

        Raises:
            ValidationProblem: a parameter cannot be used.
        """
        values = single_values(self.request.query_arguments, PARAMETERS)
        page = parse_page(values)
        names = await self.bridge.names.find(self._facet, values.get("q", ""), visible_to=self.visible_to)
        self.write_json(names[page.offset : page.offset + page.limit])
