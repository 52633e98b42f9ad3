"""How near a user is to every limit."""

from __future__ import annotations

from msgspec import structs

from handlers.api.accounts.usage import NOT_YOURS_TO_SEE
from handlers.openapi.errors import problem
from handlers.openapi.methods import get
from handlers.openapi.operations import Described, in_path, json_response
from handlers.openapi.paths.accounts.policies import EXPLANATION
from handlers.openapi.paths.accounts.users import NOBODY
from handlers.openapi.paths.recorded.refused import REFUSAL
from handlers.openapi.paths.recorded.statistics import GROUP_TOTALS, IN_HOURS
from intercept.refusals import Rule
from limits.limit import Kind, Of
from resources.accounts.policies import PolicySource
from resources.accounts.usage import RuleCount, TokenUsage, UserRefusals, UserUsage

_BUDGET = EXPLANATION.limits[0]
_RATE = structs.replace(
    _BUDGET,
    source=PolicySource("settings", ""),
    kind=Kind.RATE,
    of=Of.TOKEN,
    maximum=60,
    used=60,
    remaining=0,
    window_seconds=60.0,
    period=None,
    resets_at="2026-11-24T23:15:04.870Z",
    next_free_at="2026-11-24T23:14:41.003Z",
)
_TOKEN = TokenUsage(
    id="d3W24SnZZB",
    name="laptop",
    created_at="2026-11-20T08:00:00.000Z",
    expires_at=None,
    revoked_at=None,
    last_used_at="2026-11-24T23:13:58.114Z",
    last_client="Claude Code",
    last_client_ip="192.0.2.7",
    limits=[_RATE],
)
_USAGE = UserUsage(
    user=EXPLANATION.user,
    at=EXPLANATION.at,
    from_="2026-11-24T00:00:00.000Z",
    to="2026-11-25T00:00:00.000Z",
    total=GROUP_TOTALS,
    scope="server",
    state="ok",
    spend_usd=12.5,
    limits=[_BUDGET],
    tokens=[_TOKEN],
    refusals=UserRefusals("2026-11-24T00:00:00.000Z", 3, [RuleCount(Rule.RATE, 3)], [REFUSAL]),
)

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/users/{name}/usage": get(
        "getUsage",
        "The usage of a user, by limit",
        "What is used, what is left and when there will be more; their active tokens; and of a time range, what their calls "
        "add up to and what was refused. Everybody may ask for `me`; owners, auditors and readers for all, readers without "
        "tokens.",
        parameters=(in_path("name", str, "The username, in any case, or `me`."), *IN_HOURS),
        responses={
            "200": json_response("The usage.", usage=_USAGE),
            "403": problem("Members may only request themselves.", NOT_YOURS_TO_SEE),
            "404": NOBODY,
        },
    ),
}
