"""Who may see what, and whom a search means: what the resources of recorded calls share."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from handlers.control import ControlHandler
from handlers.problems import ValidationProblem
from storage.accounts.users import is_same_name
from storage.queries.filters.interceptions import InvalidSearchError, Search, parse_search
from storage.queries.filters.refusals import RefusalSearch

INVALID_SEARCH = "Invalid interception search query."
ME = "me"


class VisibilityHandler(ControlHandler):
    """A resource: owners and auditors see all of it, members see their own."""

    @property
    def visible_to(self) -> UUID | None:
        """The user whose calls alone may be seen; None sees all."""
        user = self.identity.user
        return None if user.role.sees_everything else user.id

    async def search_filter(self, q: str, *, in_flight: bool = False) -> dict[str, Any]:
        """The filter of a search for interceptions.

        Args:
            q: The search, see `storage.queries.filters.interceptions`.
            in_flight: Whether a search that asks for no status means what is in flight too.

        Raises:
            ValidationProblem: it cannot be understood, or its initiator is nobody that the caller may see.
        """
        search = parsed_search(q)
        return search.filter(initiator_id=await self.initiator_of(search), in_flight=in_flight)

    async def initiator_of(self, search: Search | RefusalSearch) -> UUID | None:
        """The user that a search means. To a member, somebody else is as unknown as nobody.

        Raises:
            ValidationProblem: there is no such user that the caller may see.
        """
        if search.initiator is None:
            return None
        me = self.identity.user
        if search.initiator in {ME, str(me.id)} or is_same_name(search.initiator, me.username):
            return me.id
        if me.role.sees_everything:
            try:
                return UUID(search.initiator)
            except ValueError:
                user = await self.bridge.identities.find_user(search.initiator)
            if user is not None:
                return user.id
        detail = f'user "{search.initiator}" does not exist or is unavailable to you'
        raise ValidationProblem(INVALID_SEARCH, validations=[("initiator", detail)])


def parsed_search(q: str) -> Search:
    """Read a search.

    Raises:
        ValidationProblem: it cannot be understood; everything that is wrong is named.
    """
    try:
        return parse_search(q)
    except InvalidSearchError as error:
        raise ValidationProblem(INVALID_SEARCH, validations=error.validations) from error
