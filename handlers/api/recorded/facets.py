"""`GET /api/v2/aibridge/models`, `/clients`, `/providers` and `/tags`: the names that occur."""

from __future__ import annotations

from uuid import UUID

from handlers.api.control import IdentifiedHandler
from handlers.api.pagination import parse_page
from handlers.api.recorded.visibility import VisibilityHandler
from handlers.bridge import Bridge
from storage.queries.facets import Facet, find_facet

PARAMETERS = ("q", "limit", "offset")


class FacetHandler(VisibilityHandler):
    """The distinct values of a field, in the calls that the user may see."""

    def initialize(self, bridge: Bridge, facet: Facet) -> None:  # type: ignore[override]
        """Receive the running bridge and the field."""
        super().initialize(bridge)
        self._facet = facet

    async def respond(self) -> None:
        """Respond with a sorted list of the values that begin with `q`."""
        self.write_json(await find_names(self, self._facet, visible_to=self.visible_to))


async def find_names(handler: IdentifiedHandler, facet: Facet, *, visible_to: UUID | None) -> list[str]:
    """Return the values of the requested field.

    Raises:
        ValidationProblem: a parameter cannot be used.
        DatabaseUnavailableError: the database is unavailable.
    """
    values = handler.parameters(*PARAMETERS)
    page = parse_page(values)
    names = await find_facet(handler.bridge.database, facet, values.get("q", ""), visible_to=visible_to)
    return names[page.offset : page.offset + page.limit]
