"""What holds for a user, where it comes from, and how much is used."""

from __future__ import annotations

from typing import Annotated

from handlers.api.accounts.applied import effective_of, find_user, limits_of_user, states_of
from handlers.api.accounts.tokens import UserOrMe
from handlers.operations.operation import AUDITORS, Ask, operation
from handlers.operations.query import INVALID, Query
from handlers.problems import ValidationProblem
from resources.accounts.policies import Explanation
from resources.fields import doc
from storage.accounts.users import Token, User

NO_PROVIDER = "there is no provider of this name"
NO_TOKEN = "the user has no token with this id"  # noqa: S105 - it is no password


class ExplanationQuery(Query, frozen=True):
    """For which calls."""

    model: Annotated[str, doc("Whether this model may be used.")] = ""
    provider: Annotated[str, doc("At this provider; without it at each provider.")] = ""
    token: Annotated[str, doc("With this token of the user, given by its id.")] = ""


@operation("GET", "users/{name}/policy", AUDITORS, own=True, tag="policies")
async def explain_policy(ask: Ask, name: UserOrMe, query: ExplanationQuery) -> Explanation:
    """Read the limits and rules of a user.

    Every rule, its source, how much is used, and when more is available.
    """
    bridge = ask.bridge
    if query.provider and query.provider not in bridge.providers:
        raise ValidationProblem(INVALID, validations=[("provider", NO_PROVIDER)])
    user = await find_user(bridge, name, ask.user)
    token = await _token(ask, user, query.token)
    effective = effective_of(bridge, user, token)
    now = bridge.now()
    return Explanation.of(
        user,
        effective,
        await states_of(bridge, limits_of_user(bridge, user, effective)),
        now=now,
        model=query.model or None,
        providers=[query.provider] if query.provider else sorted(bridge.providers),
        has_price=lambda provider, model: bridge.recorder.has_price(provider, model, now),
    )


async def _token(ask: Ask, user: User, token: str) -> Token | None:
    if not token:
        return None
    for one in await ask.bridge.identities.list_tokens(user.username):
        if one.id == token:
            return one
    raise ValidationProblem(INVALID, validations=[("token", NO_TOKEN)])
