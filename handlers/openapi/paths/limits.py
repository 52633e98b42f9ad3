"""The limits: how much of each is used, and by whom."""

from __future__ import annotations

from uuid import UUID

from handlers.api.limits import NOT_YOURS
from handlers.openapi.errors import ALWAYS, problem
from handlers.openapi.operations import JSON, Described, body, get, response
from resources import limits as resources

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

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/limits": get(
        "getLimits",
        "How much of each limit is used",
        "By whom, and when there will be more. For owners, auditors and readers.",
        tag="limits",
        responses={
            "200": response("The limits.", {JSON: body(resources.Limits, limits=EXAMPLE)}),
            "403": problem("A member asks.", NOT_YOURS),
        }
        | ALWAYS,
    ),
}
