"""`/api/v2/aibridge/users/{name}/sessions`: where a user is signed in, and how to end that."""

from __future__ import annotations

from handlers.api.accounts.tokens import OwnHandler
from resources.accounts.sign_ins import SignInSession
from resources.fields import ListPage

NOT_YOURS_TO_SEE = "Only owners and auditors may see where others are signed in."
NOT_YOURS_TO_END = "Only owners may end the sessions of others."


class _SessionOwnHandler(OwnHandler):
    not_yours_to_see = NOT_YOURS_TO_SEE
    not_yours_to_change = NOT_YOURS_TO_END


class SignInsHandler(_SessionOwnHandler):
    """The sessions of a user."""

    async def get(self, username: str) -> None:
        """Respond with `{"count": n, "results": [..]}`, the last used first."""
        owner = await self.to_see(username)
        count, sessions = await self.bridge.sign_ins.page(owner, **self.page())
        current = self.identity.session_id
        self.write_json(ListPage(count, [SignInSession.of(session, current) for session in sessions]))


class SignInEndHandler(_SessionOwnHandler):
    """A session."""

    async def delete(self, username: str, session_id: str) -> None:
        """End a session: 204."""
        owner = await self.to_change(username)
        await self.bridge.sign_ins.end(session_id, of=owner, author=self.author)
        self.set_status(204)
