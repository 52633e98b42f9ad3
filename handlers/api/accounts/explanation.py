"""`GET /api/v2/aibridge/users/{name}/policy`: what holds for a user, where it comes from, and how much is used."""

from __future__ import annotations

from handlers.api.accounts.applied import effective_of, find_user, limits_of_user, states_of
from handlers.api.accounts.tokens import OwnHandler
from handlers.api.pagination import INVALID
from handlers.problems import ValidationProblem
from resources.accounts.policies import Explanation
from storage.accounts.users import Token, User

NOT_YOURS_TO_SEE = "Only owners and auditors may see the policy of others."
NO_PROVIDER = "there is no provider of this name"
NO_TOKEN = "the user has no token with this id"  # noqa: S105 - it is no password


class ExplanationHandler(OwnHandler):
    """What holds for a user; for members what holds for themselves."""

    not_yours_to_see = NOT_YOURS_TO_SEE

    async def get(self, username: str) -> None:
        """Respond with the limits and rules of a user, or of one of the user's tokens if `token` names it."""
        name = await self.to_see(username)
        bridge = self.bridge
        values = self.parameters("model", "provider", "token")
        provider = values.get("provider", "")
        if provider and provider not in bridge.providers:
            raise ValidationProblem(INVALID, validations=[("provider", NO_PROVIDER)])
        user = await find_user(bridge, name, self.identity.user)
        token = await self._token(user, values.get("token", ""))
        effective = effective_of(bridge, user, token)
        now = bridge.now()
        self.write_json(
            Explanation.of(
                user,
                effective,
                await states_of(bridge, limits_of_user(bridge, user, effective)),
                now=now,
                model=values.get("model") or None,
                providers=[provider] if provider else sorted(bridge.providers),
                has_price=lambda provider, model: bridge.recorder.has_price(provider, model, now),
            )
        )

    async def _token(self, user: User, token: str) -> Token | None:
        if not token:
            return None
        for one in await self.bridge.identities.list_tokens(user.username):
            if one.id == token:
                return one
        raise ValidationProblem(INVALID, validations=[("token", NO_TOKEN)])
