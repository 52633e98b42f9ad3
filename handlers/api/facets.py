"""`GET /api/v2/aibridge/models`, `/clients` and `/providers`: the names that occur."""

from __future__ import annotations

from handlers.api.pagination import parse_page, single_values
from handlers.api.visibility import VisibilityHandler
from handlers.bridge import Bridge
from storage.queries.facets import Facet

PARAMETERS = ("q", "limit", "offset")


class NamesHandler(VisibilityHandler):
    """The names of something, in the calls that the caller may see."""

    def initialize(self, bridge: Bridge, named: Facet) -> None:  # type: ignore[override]
        """Receive the running bridge, and whose names."""
        super().initialize(bridge)
        self._named = named

    async def answer(self) -> None:
        """Answer a sorted list of those that begin with `q`.

        Raises:
            ValidationProblem: a parameter cannot be used.
        """
        values = single_values(self.request.query_arguments, PARAMETERS)
        page = parse_page(values)
        names = await self.bridge.names.find(self._named, values.get("q", ""), visible_to=self.visible_to)
        self.write_json(names[page.offset : page.offset + page.limit])
