"""The audit trail: who changed what of users and tokens, who signed in, and who was refused."""

from __future__ import annotations

from uuid import UUID

from handlers.api.accounts.audit import KINDS, NOT_YOURS
from handlers.openapi.errors import not_members
from handlers.openapi.methods import get
from handlers.openapi.operations import Described, json_response, query
from handlers.openapi.paths.recorded.interceptions import LIMIT
from handlers.openapi.paths.recorded.statistics import Timestamp
from resources.accounts.audit import Actor, Detail, Entry, Subject, Trail
from storage.accounts.events import Action
from storage.accounts.users import Role

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
        "Changes to users and tokens, sign-ins and refused accesses",
        "Newest first. For owners and auditors.",
        parameters=(
            LIMIT,
            query("after_id", UUID, "Start after this one: the last of the previous page."),
            query("from", Timestamp, "From then on."),
            query("to", Timestamp, "Until before then."),
            query(
                "action",
                str,
                f"What was done: one or several of {', '.join(Action)}, with commas; or all of a kind: {', '.join(KINDS)}.",
                example="policy,token.created",
            ),
            query("user", str, "Who did it or whom it concerned: a username in any case, or an id.", example="ada"),
        ),
        responses={"200": json_response("The page.", page=Trail([_EXAMPLE]))} | not_members(NOT_YOURS),
    )
}
