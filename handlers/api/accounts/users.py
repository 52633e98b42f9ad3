"""`/api/v2/aibridge/users`: who is asking, and for owners everybody who may."""

from __future__ import annotations

from functools import partial
from typing import Any

from handlers.api.accounts.changes import ChangeHandler, Readers, change_problems
from handlers.api.pagination import parse_page, single_values
from handlers.control import ControlHandler
from handlers.problems import Problem
from intercept.times import format_time
from storage.accounts.users import Role, User, checked_name, checked_username

PARAMETERS = ("limit", "offset")
NOT_YOURS_TO_SEE = "Only owners and auditors may see users."
NOT_YOURS_TO_CHANGE = "Only owners may change users."


def shown(user: User) -> dict[str, Any]:
    """A user as JSON."""
    return {
        "id": user.id,
        "username": user.username,
        "name": user.display_name,
        "role": user.role,
        "created_at": format_time(user.created_at),
    }


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(Role)}") from None


_CHANGEABLE: Readers = {"role": _role, "display_name": partial(checked_name, "display name")}
_FIELDS: Readers = {"username": checked_username, **_CHANGEABLE}


class MeHandler(ControlHandler):
    """The user whose token it is."""

    async def answer(self) -> None:
        """Answer the user, and which tokens they may create.

        Raises:
            InvalidQueryError: there is a parameter.
        """
        single_values(self.request.query_arguments, ())
        self.write_json(shown(self.identity.user) | {"tokens": self._tokens()})

    def _tokens(self) -> dict[str, Any]:
        options, is_owner = self.bridge.options, self.identity.user.role is Role.OWNER
        return {
            "may_create": is_owner or options.members_create_tokens,
            "limit": None if is_owner else options.tokens_per_user or None,
            "expire_by": format_time(self.identity.expires_at),
        }


class UsersHandler(ChangeHandler):
    """All users."""

    async def get(self) -> None:
        """Answer `{"count": n, "results": [..]}`, by name.

        Raises:
            Problem: 403, a member asks.
            InvalidQueryError: a parameter cannot be used.
        """
        await self.identify()
        if not self.identity.user.role.sees_everything:
            raise Problem(403, NOT_YOURS_TO_SEE)
        page = parse_page(single_values(self.request.query_arguments, PARAMETERS))
        with change_problems():
            count, users = await self.bridge.identities.users_page(limit=page.limit, offset=page.offset)
        results = [shown(user) | {"living_tokens": tokens} for user, tokens in users]
        self.write_json({"count": count, "results": results})

    head = get

    async def post(self) -> None:
        """Add a user: 201.

        Raises:
            Problem: 403, it is no owner who asks; 409, the name is taken.
            InvalidQueryError: the body is not what was expected.
        """
        await self.identify(anew=True)
        _require_owner(self.identity.user)
        fields = self.fields(_FIELDS, required=("username", "role"))
        with change_problems():
            user = await self.bridge.identities.add_user(**fields, author=self.author)
        self.set_status(201)
        self.write_json(shown(user))


class UserHandler(ChangeHandler):
    """A user."""

    async def patch(self, username: str) -> None:
        """Change a user, and answer what became of them.

        Raises:
            Problem: 403, it is no owner who asks; 404, there is no such user; 409, there would be no owner any more.
            InvalidQueryError: the body is not what was expected.
        """
        await self.identify(anew=True)
        _require_owner(self.identity.user)
        fields = self.fields(_CHANGEABLE)
        with change_problems():
            user = await self.bridge.identities.change_user(username, **fields, author=self.author)
        self.write_json(shown(user))

    async def delete(self, username: str) -> None:
        """Remove a user, and revoke their tokens: 204.

        Raises:
            Problem: 403, it is no owner who asks; 404, there is no such user; 409, it is who asks, or the last owner.
        """
        await self.identify(anew=True)
        _require_owner(self.identity.user)
        with change_problems():
            await self.bridge.identities.remove_user(username, author=self.author)
        self.set_status(204)


def _require_owner(user: User) -> None:
    if user.role is not Role.OWNER:
        raise Problem(403, NOT_YOURS_TO_CHANGE)
