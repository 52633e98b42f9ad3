"""`GET /api/v2/aibridge/interceptions`: what was recorded, newest first."""

from __future__ import annotations

from uuid import UUID

from handlers.control import ControlHandler
from handlers.pagination import INVALID, parse_page, single_values
from handlers.problems import InvalidQueryError
from storage.documents import resource
from storage.interceptions import UnknownCursorError
from storage.search import InvalidSearchError, Search, parse_search

PARAMETERS = ("q", "limit", "after_id", "offset")
INVALID_SEARCH = "Invalid interception search query."
ME = "me"


class InterceptionsHandler(ControlHandler):
    """The list of interceptions. Owners and auditors see every one, members their own."""

    async def answer(self) -> None:
        """Answer `{"count": n, "results": [..]}`; `count` is everything that matches and that the caller may see.

        Raises:
            InvalidQueryError: a parameter cannot be used.
        """
        values = single_values(self.request.query_arguments, PARAMETERS)
        page = parse_page(values)
        try:
            search = parse_search(values.get("q", ""))
        except InvalidSearchError as error:
            raise InvalidQueryError(INVALID_SEARCH, validations=error.validations) from error
        try:
            count, documents = await self.bridge.interceptions.page(
                search.filter(initiator_id=await self._initiator(search)),
                visible_to=self._visible_to,
                limit=page.limit,
                after_id=page.after_id,
                offset=page.offset,
            )
        except UnknownCursorError as error:
            detail = "no interception with this id that you may see"
            raise InvalidQueryError(INVALID, validations=[("after_id", detail)]) from error
        initiators = await self.bridge.identities.users_by_id({document["initiator_id"] for document in documents})
        self.write_json({"count": count, "results": [resource(document, initiators) for document in documents]})

    @property
    def _visible_to(self) -> UUID | None:
        user = self.identity.user
        return None if user.role.sees_everything else user.id

    async def _initiator(self, search: Search) -> UUID | None:
        """The user that the search means. To a member, somebody else is as unknown as nobody."""
        if search.initiator is None:
            return None
        me = self.identity.user
        if search.initiator in {ME, me.username, str(me.id)}:
            return me.id
        if me.role.sees_everything:
            try:
                return UUID(search.initiator)
            except ValueError:
                user = await self.bridge.identities.find_user(search.initiator)
            if user is not None:
                return user.id
        detail = f'user "{search.initiator}" does not exist or is unavailable to you'
        raise InvalidQueryError(INVALID_SEARCH, validations=[("initiator", detail)])
