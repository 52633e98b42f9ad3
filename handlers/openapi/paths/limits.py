"""The limits: how much of each is used, and by whom."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from handlers.api.limits import MOST_HOLDERS, MOST_KEYS, NOT_YOURS
from handlers.limits_state import PROCESS_LOCAL
from handlers.openapi.errors import ALWAYS, problem
from handlers.openapi.operations import JSON, Described, answer, body, get
from resources.fields import Count, Time

NextFree = Annotated[Time | None, Meta(description="When the next one may start; null while that is not known.")]
Remaining = Annotated[Count | None, Meta(description="How many more may start now; null where the limit is off.")]
Limit = Annotated[Count, Meta(description="As it was set; 0 is off.")]
Username = Annotated[str | None, Meta(description="Null where it is not known, as while the database is away.")]
Refused = Annotated[Count, Meta(description="Requests refused since the process started.")]


class ConcurrencyUsage(Struct):
    """Requests at a time, of the whole server."""

    name: Literal["concurrency"]
    setting: Literal["max-concurrency"]
    limit: Limit
    used: Count
    remaining: Remaining
    next_free_at: NextFree
    refused: Refused


class UserUsage(Struct):
    """Requests of one user at a time."""

    key: Annotated[str, Meta(description="The user's id.")]
    username: Username
    used: Count
    remaining: Remaining
    next_free_at: NextFree


class UserConcurrencyUsage(Struct):
    """Requests at a time, by user."""

    name: Literal["user_concurrency"]
    setting: Literal["user-max-concurrency"]
    limit: Limit
    keys: Annotated[list[UserUsage], Meta(max_length=MOST_KEYS, description="Those that use most.")]
    refused: Refused


class KeyUsage(Struct):
    """What one key of the rate limit has used of its window."""

    key: Annotated[str, Meta(description="A token, or a client's address or network.")]
    used: Count
    remaining: Count
    next_free_at: Time


class RateUsage(Struct):
    """Requests per window, by key."""

    name: Literal["rate"]
    setting: Literal["rate-limit"]
    limit: Limit
    keys: Annotated[list[KeyUsage], Meta(max_length=MOST_KEYS, description="Those that use most.")]
    window_seconds: Annotated[float, Meta(gt=0)]
    refused: Refused


class UserWindowUsage(Struct):
    """What one user has used of their window, with all tokens."""

    key: Annotated[str, Meta(description="The user's id.")]
    username: Username
    used: Count
    remaining: Count
    next_free_at: Time


class UserRateUsage(Struct):
    """Requests per window, by user."""

    name: Literal["user_rate"]
    setting: Literal["user-rate-limit"]
    limit: Limit
    keys: Annotated[list[UserWindowUsage], Meta(max_length=MOST_KEYS, description="Those that use most.")]
    window_seconds: Annotated[float, Meta(gt=0)]
    refused: Refused


class Holder(Struct):
    """A request that holds slots. Null is what is not known yet or does not apply."""

    request_id: UUID
    since: Time
    user_id: UUID | None
    username: str | None
    provider: str | None
    route: str | None
    model: str | None
    interception_id: UUID | None


class Limits(Struct):
    """How much of the limits is used."""

    scope: Annotated[Literal["process", "cluster"], Meta(description="Whose requests are counted together.")]
    state: Annotated[
        Literal["ok", "process-local: the database is away"],
        Meta(description=f"With `{PROCESS_LOCAL}` all that follows is of this process alone."),
    ]
    at: Time
    refused_since: Annotated[
        Time, Meta(description="Since when `refused` counts: the start of the oldest process in it.")
    ]
    limits: tuple[ConcurrencyUsage, UserConcurrencyUsage, RateUsage, UserRateUsage]
    holding: Annotated[Count, Meta(description="How many requests hold a slot.")]
    holders: Annotated[
        list[Holder], Meta(description=f"Those that began first, at most {MOST_HOLDERS} of each process.")
    ]


_AT = "2026-11-25T00:31:05.112Z"
_USER = UUID("5696ce06-dafb-46d9-abac-4ba68b2ecaee")
EXAMPLE = Limits(
    scope="process",
    state="ok",
    at=_AT,
    refused_since="2026-11-24T08:00:00.000Z",
    limits=(
        ConcurrencyUsage("concurrency", "max-concurrency", 50, 1, 49, _AT, refused=0),
        UserConcurrencyUsage(
            "user_concurrency", "user-max-concurrency", 1, [UserUsage(str(_USER), "demo", 1, 0, None)], refused=2
        ),
        RateUsage("rate", "rate-limit", 60, [KeyUsage("TcBR7S3hnb", 60, 0, _AT)], 60.0, refused=7),
        UserRateUsage(
            "user_rate", "user-rate-limit", 300, [UserWindowUsage(str(_USER), "demo", 61, 239, _AT)], 60.0, refused=0
        ),
    ),
    holding=1,
    holders=[
        Holder(
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
        "By whom, and when there will be more. For owners and auditors.",
        tag="limits",
        answers={
            "200": answer("The limits.", {JSON: body(Limits, limits=EXAMPLE)}),
            "403": problem("A member asks.", NOT_YOURS),
        }
        | ALWAYS,
    ),
}
