"""`GET /api/v2/aibridge/users/me`: who is asking."""

from __future__ import annotations

from handlers.control import ControlHandler
from handlers.pagination import single_values
from storage.documents import shown_time


class MeHandler(ControlHandler):
    """The user whose token it is."""

    async def answer(self) -> None:
        """Answer the user.

        Raises:
            InvalidQueryError: there is a parameter.
        """
        single_values(self.request.query_arguments, ())
        user = self.identity.user
        self.write_json(
            {
                "id": str(user.id),
                "username": user.username,
                "name": user.display_name,
                "role": user.role,
                "created_at": shown_time(user.created_at),
            }
        )
