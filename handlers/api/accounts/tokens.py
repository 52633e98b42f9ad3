"""`/api/v2/aibridge/users/{name}/tokens`: everybody's own, below their name or `me`; for owners those of all."""

from __future__ import annotations

from handlers.api.accounts.changes import ChangeHandler
from handlers.api.recorded.visibility import ME
from handlers.problems import Problem
from resources.accounts.tokens import CreatedToken, NewToken, Token, expiry
from resources.fields import ListPage
from settings import TokenCreation
from storage.accounts.users import Role, is_meant

NOT_YOURS_TO_SEE = "Only owners and auditors may see the tokens of others."
OWNERS_CREATE = "Only owners may create tokens here (token-creation). Please ask an owner for one."
SERVICE = "A service token, which belongs to a group, changes nothing."
NOT_YOURS_TO_CHANGE = "Only owners may change the tokens of others."


class TokenChangeHandler(ChangeHandler):
    """What people alone may ask for, and no service token."""

    async def identify_person(self) -> None:
        """Authenticate the author of a change.

        Raises:
            Problem: 403, the caller is a service token.
        """
        await self.identify(fresh=True)
        if self.identity.user.is_service:
            raise Problem(403, SERVICE)

    @property
    def is_owner(self) -> bool:
        """Whether the caller is an owner."""
        return self.identity.user.role is Role.OWNER

    def check_creation(self) -> None:
        """Check that the caller may create tokens.

        Raises:
            Problem: 403, only owners may.
        """
        if not (self.is_owner or self.bridge.settings.token_creation is TokenCreation.MEMBERS):
            raise Problem(403, OWNERS_CREATE)

    async def write_tokens(self, owner: str) -> None:
        """Respond with a page of the tokens of a user or group."""
        count, found = await self.bridge.tokens.of_user(owner, **self.page())
        self.write_json(ListPage(count, [Token.of(one.token, one.last_use) for one in found]))

    async def create_token(self, owner: str) -> None:
        """Create the token of the body for a user or group: 201."""
        body = self.read_body(NewToken)
        token, text = await self.bridge.identities.create_token(
            owner, name=body.name or "", expires_at=expiry(body, self.bridge.now()), author=self.author
        )
        self.write_json(CreatedToken.of(token, token=text), 201)


class OwnHandler(TokenChangeHandler):
    """What belongs to a user: everybody's own, and for owners that of all."""

    not_yours_to_see = NOT_YOURS_TO_SEE
    not_yours_to_change = NOT_YOURS_TO_CHANGE

    async def to_see(self, username: str) -> str:
        """Authenticate the caller, and return the name of the requested user.

        Raises:
            Problem: 403, the caller may not do this.
        """
        await self.identify()
        return self._name(username, self.not_yours_to_see, may=self.identity.user.role.sees_everything)

    async def to_change(self, username: str) -> str:
        """The same for changes."""
        await self.identify_person()
        return self._name(username, self.not_yours_to_change, may=self.is_owner)

    def _name(self, username: str, refusal: str, *, may: bool) -> str:
        me = self.identity.user
        if username == ME or is_meant(username, me):
            return me.username
        if not may:
            raise Problem(403, refusal)
        return username


class TokensHandler(OwnHandler):
    """The tokens of a user."""

    async def get(self, username: str) -> None:
        """Respond with `{"count": n, "results": [..]}`, newest first."""
        await self.write_tokens(await self.to_see(username))

    async def post(self, username: str) -> None:
        """Create a token: 201, with the token itself, which appears only here."""
        owner = await self.to_change(username)
        self.check_creation()
        await self.create_token(owner)


class TokenHandler(OwnHandler):
    """A token."""

    async def delete(self, username: str, token_id: str) -> None:
        """Revoke a token: 204, also when it was revoked before."""
        owner = await self.to_change(username)
        await self.bridge.identities.revoke_token(token_id, of=owner, author=self.author)
        self.set_status(204)
