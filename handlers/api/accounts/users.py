"""`/api/v2/aibridge/users`: the caller, and for owners all users."""

from __future__ import annotations

from handlers.api.accounts.changes import ChangeHandler
from handlers.api.control import ControlHandler
from handlers.problems import Problem
from intercept.times import format_time
from resources.accounts.users import ListedUser, Me, NewUser, TokenRules, User, UserChange
from resources.fields import ListPage
from settings import TokenCreation
from storage.accounts.users import Role, is_meant

NOT_YOURS_TO_SEE = "Only owners, auditors and readers may see users."
NOT_YOURS_TO_CHANGE = "Only owners may change users."


class MeHandler(ControlHandler):
    """The user whose token it is."""

    async def respond(self) -> None:
        """Respond with the user, and the tokens that they may create."""
        self.parameters()
        self.write_json(Me.of(self.identity.user, self._tokens()))

    def _tokens(self) -> TokenRules:
        settings, is_owner = self.bridge.settings, self.identity.user.role is Role.OWNER
        may_create = is_owner or settings.token_creation is TokenCreation.MEMBERS
        return TokenRules(
            may_create=may_create and not self.identity.user.is_service,
            limit=None if is_owner else settings.tokens_per_user or None,
            expire_by=format_time(self.identity.expires_at),
        )


class UsersHandler(ChangeHandler):
    """All users."""

    async def get(self) -> None:
        """Respond with `{"count": n, "results": [..]}`, by name."""
        await self.identify()
        if not self.identity.user.role.sees_everyone:
            raise Problem(403, NOT_YOURS_TO_SEE)
        count, people = await self.bridge.people.page(**self.page())
        self.write_json(ListPage(count, [ListedUser.listed(person) for person in people]))

    async def post(self) -> None:
        """Add a user: 201."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        body = self.read_body(NewUser)
        user = await self.bridge.identities.add_user(
            body.username,
            role=body.role,
            display_name=body.display_name or None,
            cost_centre=body.cost_centre or "",
            author=self.author,
        )
        self.write_json(User.of(user), 201, version=user.version)


class UserHandler(ChangeHandler):
    """A user."""

    async def get(self, username: str) -> None:
        """Respond with a user."""
        await self.identify()
        me = self.identity.user
        if not (me.role.sees_everyone or is_meant(username, me)):
            raise Problem(403, NOT_YOURS_TO_SEE)
        self.parameters()
        person = await self.bridge.people.find(username)
        self.write_json(ListedUser.listed(person), version=person.user.version)

    async def patch(self, username: str) -> None:
        """Change a user; respond with the changed user."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        changes = self.read_body(UserChange).changes
        identities = self.bridge.identities
        user = await identities.change_user(username, **changes, versions=self.versions, author=self.author)
        self.write_json(User.of(user), version=user.version)

    async def delete(self, username: str) -> None:
        """Remove a user, and revoke their tokens: 204."""
        await self.identify_owner(NOT_YOURS_TO_CHANGE)
        await self.bridge.identities.remove_user(username, author=self.author)
        self.set_status(204)
