"""The limits: how much of each is used, and by whom."""

from __future__ import annotations

from uuid import UUID

from handlers.api.limits import NOT_YOURS
from handlers.api.recorded.watched import TOO_MANY_EXPORTS_OF_USER
from handlers.openapi.errors import WORDS, not_members, retriable
from handlers.openapi.methods import get, post
from handlers.openapi.operations import JSON, Described, body, json_response, lines, response
from limits.policies.policy import Limits, Models, Rate, SharedLimits
from resources import limits as resources
from resources.fields import Initiator
from resources.what_if import ProposedLimit, RefusedOfUser, RefusedOnce, WhatIf, WhatIfBody

_AT = "2026-11-25T00:31:05.112Z"
_USER = UUID("5696ce06-dafb-46d9-abac-4ba68b2ecaee")
EXAMPLE = resources.Limits(
    scope="process",
    state="ok",
    at=_AT,
    refused_since="2026-11-24T08:00:00.000Z",
    limits=(
        resources.ConcurrencyUsage("concurrency", "max-concurrency", 50, 1, 49, _AT, refused=0),
        resources.UserConcurrencyUsage(
            "user_concurrency",
            "user-max-concurrency",
            1,
            [resources.UserUsage(str(_USER), "demo", 1, 0, None)],
            refused=2,
        ),
        resources.RateUsage("rate", "rate-limit", 60, [resources.KeyUsage("TcBR7S3hnb", 60, 0, _AT)], 60.0, refused=7),
        resources.UserRateUsage(
            "user_rate",
            "user-rate-limit",
            300,
            [resources.UserWindowUsage(str(_USER), "demo", 61, 239, _AT)],
            60.0,
            refused=0,
        ),
        resources.UserTokensUsage(
            "user_tokens",
            "user-token-limit",
            100_000,
            [resources.UserWindowUsage(str(_USER), "demo", 12_500, 87_500, _AT)],
            60.0,
            refused=0,
        ),
        resources.UserBudgetUsage(
            "user_budget",
            "user-budget-usd",
            50.0,
            [resources.UserSpend(str(_USER), "demo", 12.5, 37.5, "2026-12-01T00:00:00.000Z")],
            "month",
            "UTC",
            refused=0,
        ),
    ),
    holding=1,
    holders=[
        resources.ActiveRequest(
            UUID("0e6aced7-61fe-4661-8fb3-286088af84db"),
            "2026-11-25T00:30:58.770Z",
            _USER,
            "demo",
            "openai",
            "/v1/responses",
            "gpt-5",
            UUID("3dc9afb2-d8d4-49f1-9cf7-ad523218a70b"),
        )
    ],
)
_ADA = Initiator(_USER, "demo", "demo")
_RATE = ProposedLimit("each_member", "rate")
_WHAT_IF = WhatIf(
    from_="2026-11-16T00:00:00.000Z",
    to="2026-11-23T00:00:00.000Z",
    calls=6124,
    refused=7,
    by=[RefusedOfUser(_RATE, _ADA, 2150, 7, 7, 41.2)],
    first_refused=[
        RefusedOnce(
            UUID("3dc9afb2-d8d4-49f1-9cf7-ad523218a70b"), "2026-11-17T09:14:31.877Z", _ADA, _RATE, 60.0, 60.0, 41.2
        )
    ],
)
_LINES = lines('{"progress":{"calls":1000,"at":"2026-11-17T03:20:00.000Z","share":0.1627}}', _WHAT_IF)

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/limits": get(
        "getLimits",
        "How much of each limit is used",
        "By user, and when more is available. For owners, auditors and readers.",
        responses={"200": json_response("The limits.", limits=EXAMPLE)} | not_members(NOT_YOURS),
    ),
    "/api/v2/aibridge/limits/what-if": post(
        "tryLimits",
        "Replay calls through proposed limits",
        "Replays the calls of a time range through proposed limits and rules. Windows are empty at its begin, and a refused "
        "call counts nowhere. What a call used counts from its end. Owners, auditors and readers ask for the calls of "
        "all, members for their own. With `Accept: application/x-ndjson` lines of progress come before the result.",
        request=body(
            rate=WhatIfBody("2026-11-16", SharedLimits(each_member=Limits(rate=Rate(60, "1m"))), to="2026-11-23"),
            models=WhatIfBody("2026-11-16", models=Models(allow=["claude-*"]), to="2026-11-23", q="invoice"),
        ),
        responses=WORDS
        | {
            "200": response("What would have been refused.", {JSON: body(week=_WHAT_IF)} | _LINES),
            "429": retriable("The user has another replay or export in progress.", TOO_MANY_EXPORTS_OF_USER.format(1)),
        },
    ),
}
