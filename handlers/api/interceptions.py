"""`GET /api/v2/aibridge/interceptions` and `/interceptions/{id}`: what was recorded, newest first, and one of it."""

from __future__ import annotations

from uuid import UUID

from handlers.api.pages import PageHandler
from handlers.api.pagination import INVALID, parse_page, single_values
from handlers.api.visibility import VisibilityHandler
from handlers.problems import Problem, ValidationProblem
from intercept.ids import format_id
from resources.recorded.interceptions import InterceptionList
from storage.accounts.events import Way
from storage.queries.paging import UnknownCursorError

PARAMETERS = ("q", "limit", "after_id", "offset")
UNKNOWN_CURSOR = "no interception with this id that you may see"
UNKNOWN_INTERCEPTION = "There is no interception with this id that you may see."


class InterceptionsHandler(PageHandler):
    """The list of interceptions."""

    async def respond(self) -> None:
        """Answer `{"count": n, "results": [..], "next_after_id": id}`; `count` is all that match and the caller may see.

        Raises:
            ValidationProblem: a parameter cannot be used.
        """
        values = single_values(self.request.query_arguments, PARAMETERS)
        page = parse_page(values)
        search_filter = await self.search_filter(values.get("q", ""))
        try:
            count, rows = await self.bridge.interceptions.page(
                search_filter,
                visible_to=self.visible_to,
                limit=page.limit,
                after_id=page.after_id,
                offset=page.offset,
            )
        except UnknownCursorError as error:
            raise ValidationProblem(INVALID, validations=[("after_id", UNKNOWN_CURSOR)]) from error
        await self.write_page(lambda last: InterceptionList(count, [], last), rows, self.shown_interception)


class InterceptionHandler(VisibilityHandler):
    """One interception, in flight or ended."""

    way = Way.DETAIL

    async def respond(self) -> None:
        """Answer the interception.

        Raises:
            Problem: 404, it is unknown or not to be seen by the caller, who cannot tell which.
            ValidationProblem: there is a parameter.
        """
        single_values(self.request.query_arguments, ())
        try:
            id_ = UUID(self.path_args[0])
        except ValueError:
            document = None
        else:
            document = await self.bridge.recorded.find(id_, visible_to=self.visible_to)
        if document is None:
            raise Problem(404, UNKNOWN_INTERCEPTION)
        self.read_detail = (("interception_id", format_id(document["_id"])),)
        initiators = await self.bridge.identities.users_by_id([document["initiator_id"]])
        self.write_json(self.shown_interception(document, initiators))
