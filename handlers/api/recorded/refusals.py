"""`GET /api/v2/aibridge/refusals`: which calls the bridge refused, newest first."""

from __future__ import annotations

from handlers.api.pagination import parse_page
from handlers.api.recorded.visibility import VisibilityHandler
from handlers.problems import ValidationProblem
from resources.fields import ListPage
from resources.recorded.refusals import Refusal
from storage.queries.filters.refusals import parse_refusal_search
from storage.queries.filters.words import InvalidSearchError

PARAMETERS = ("q", "limit", "after_id", "offset")
INVALID_SEARCH = "Invalid refusal search query."


class RefusalsHandler(VisibilityHandler):
    """The list of refusals."""

    unknown_cursor = "after_id", "no refusal with this id that you may see"

    async def respond(self) -> None:
        """Respond with `{"count": n, "results": [..]}`; `count` is all rows that match and that the caller may see."""
        values = self.parameters(*PARAMETERS)
        page = parse_page(values)
        try:
            search = parse_refusal_search(values.get("q", ""))
        except InvalidSearchError as error:
            raise ValidationProblem(INVALID_SEARCH, validations=error.validations) from error
        count, rows = await self.bridge.refusals.page(
            search.filter(initiator_id=await self.initiator_of(search)),
            visible_to=self.visible_to,
            **page._asdict(),
        )
        known = {row["initiator_id"] for row in rows if row["initiator_id"] is not None}
        initiators = await self.bridge.identities.users_by_id(known)
        self.write_json(ListPage(count, [Refusal.of(row, initiators) for row in rows]))
