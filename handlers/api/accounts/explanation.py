"""`GET /api/v2/aibridge/users/{name}/policy`: what holds for a user, where it comes from, and how much is used."""

from __future__ import annotations

from handlers.api.accounts.changes import change_problems
from handlers.api.accounts.tokens import OwnHandler
from handlers.api.pagination import INVALID, single_values
from handlers.control import database_problems
from handlers.problems import Problem, ValidationProblem
from intercept.ids import format_id
from limits.limit import Limit, LimitState, Of
from limits.policies.effective import Applied, Caller, Effective
from limits.request_limits import Client
from resources.accounts.policies import Explanation
from storage.accounts.users import User
from storage.policies.followed import PoliciesUnknownError

PARAMETERS = ("model", "provider", "token")
NOT_YOURS_TO_SEE = "Only owners and auditors may see the policy of others."
NO_PROVIDER = "there is no provider of this name"
NO_TOKEN = "the user has no token with this id"  # noqa: S105 - it is no password
UNKNOWN = "The policies cannot be read at the moment. Please try again later."


class ExplanationHandler(OwnHandler):
    """What holds for a user; for members what holds for themselves."""

    not_yours_to_see = NOT_YOURS_TO_SEE

    async def get(self, username: str) -> None:
        """Answer what holds: of a call with one of the user's tokens if `token` names it.

        Raises:
            Problem: 403, it is not for who asks; 404, there is no such user; 503, it cannot be known now.
            ValidationProblem: a parameter cannot be used.
        """
        name = await self.to_see(username)
        bridge = self.bridge
        values = single_values(self.request.query_arguments, PARAMETERS)
        provider = values.get("provider", "")
        if provider and provider not in bridge.providers:
            raise ValidationProblem(INVALID, validations=[("provider", NO_PROVIDER)])
        with change_problems():
            user, _ = await bridge.identities.existing(name)
            token = await self._token(user, values.get("token", ""))
        try:
            groups = tuple(format_id(group) for group in user.group_ids)
            effective = bridge.policies.book.find(Caller(format_id(user.id), token, groups), user.username)
        except PoliciesUnknownError as error:
            raise Problem(503, UNKNOWN, {"Retry-After": "1"}) from error
        now = bridge.now()
        self.write_json(
            Explanation.of(
                user,
                effective,
                await self._limits(user, effective),
                now=now,
                model=values.get("model") or None,
                providers=[provider] if provider else sorted(bridge.providers),
                has_price=lambda provider, model: bridge.recorder.has_price(provider, model, now),
            )
        )

    head = get

    async def _token(self, user: User, token: str) -> str:
        if token and token not in {one.id for one in await self.bridge.identities.list_tokens(user.username)}:
            raise ValidationProblem(INVALID, validations=[("token", NO_TOKEN)])
        return token

    async def _limits(
        self, user: User, effective: Effective | None
    ) -> list[tuple[Limit, LimitState | None, Applied | None]]:
        overload = self.bridge.overload
        client = Client("", format_id(user.id))
        set_ = [*overload.limits.of_client(client), *overload.limits.of_call(client, "")]
        asked: list[tuple[Limit, Applied | None]] = [(one, None) for one in set_ if one.of is Of.USER]
        asked += [(one.limit, one) for one in (effective.applied if effective else ())]
        with database_problems():
            states = await overload.states([limit for limit, _ in asked])
        return [
            (limit, state if applied is None or applied.replaced_by is None else None, applied)
            for (limit, applied), state in zip(asked, states, strict=True)
        ]
