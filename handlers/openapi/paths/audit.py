"""The audit trail: who changed what of users and tokens, who signed in, and who was refused."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.access import Plane
from handlers.api.accounts.audit import NOT_YOURS
from handlers.openapi.errors import ALWAYS, problem
from handlers.openapi.operations import JSON, Described, answer, body, get, query
from handlers.openapi.paths.interceptions import LIMIT
from resources.fields import Count, Time
from storage.accounts.audit import Action
from storage.accounts.authentication import Reason
from storage.accounts.users import Role


class Actor(Struct):
    """Who did it."""

    id: Annotated[UUID | None, Meta(description="Null for the command line, and while nobody knows who it is.")]
    username: Annotated[
        str, Meta(description="As it was then. `command line` and `unknown caller`, which no user can have, for null.")
    ]
    token_id: Annotated[
        str | UnsetType,
        Meta(description="The public part of the token. Absent for the command line and for an unknown token."),
    ] = UNSET


class Subject(Struct):
    """Whom a change concerned: the user, or whose token it was."""

    id: UUID
    username: str


class Detail(Struct):
    """What was done: what applies is there."""

    session_id: Annotated[str | UnsetType, Meta(description="The session that was ended.")] = UNSET
    token_id: str | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    role_before: Role | UnsetType = UNSET
    name: Annotated[str | UnsetType, Meta(description="Of the user, or of the token.")] = UNSET
    name_before: str | UnsetType = UNSET
    expires_at: Annotated[Time | UnsetType | None, Meta(description="Of the token; null is never.")] = UNSET
    revoked_tokens: Annotated[Count | UnsetType, Meta(description="How many a removed user had.")] = UNSET
    reason: Annotated[Reason | UnsetType, Meta(description="Why authentication failed.")] = UNSET
    message: Annotated[str | UnsetType, Meta(description="What a refused request was told.")] = UNSET
    plane: Annotated[Plane | UnsetType, Meta(description="Where a request came in.")] = UNSET
    count: Annotated[Count | UnsetType, Meta(description="How often it happened within an hour, from `at` on.")] = UNSET
    last_at: Annotated[Time | UnsetType, Meta(description="When it happened last.")] = UNSET


class Entry(Struct):
    """A change, a sign-in, or requests that were refused."""

    id: UUID
    at: Time
    actor: Actor
    action: Action
    subject: Annotated[Subject | None, Meta(description="Null where nothing was changed.")]
    detail: Detail
    client_ip: Annotated[
        str | None,
        Meta(
            description="The client's address, of who was refused by IPv6 its /64 network. Null for the command line, "
            "and where too many others were refused to name each."
        ),
    ]


class Trail(Struct):
    """A page of the audit trail, newest first."""

    results: list[Entry]


_EXAMPLE = Entry(
    id=UUID("6f1a4a30-3f2e-4a34-8a3e-2f6f3a2d7c55"),
    at="2026-11-25T00:31:05.112Z",
    actor=Actor(UUID("5696ce06-dafb-46d9-abac-4ba68b2ecaee"), "demo", "d3W24SnZZB"),
    action=Action.USER_CHANGED,
    subject=Subject(UUID("0d7b8a52-7f0c-4f7c-93a4-9b1ec1c5d8a1"), "grace"),
    detail=Detail(role=Role.AUDITOR, role_before=Role.MEMBER),
    client_ip="192.0.2.7",
)

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/audit": get(
        "listAudit",
        "Who changed what of users and tokens, who signed in, and who was refused",
        "Newest first. For owners and auditors.",
        tag="audit",
        parameters=(LIMIT, query("after_id", UUID, "Begin behind this one, the last of the page before.")),
        answers={
            "200": answer("The page.", {JSON: body(Trail, page=Trail([_EXAMPLE]))}),
            "403": problem("A member asks.", NOT_YOURS),
        }
        | ALWAYS,
    )
}
