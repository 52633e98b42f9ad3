"""The audit trail: who changed what of users and tokens, who signed in, and who was refused."""

from __future__ import annotations

from uuid import UUID

from handlers.api.accounts.audit import KINDS, NOT_YOURS
from handlers.openapi.errors import not_members
from handlers.openapi.methods import get
from handlers.openapi.operations import Described, json_response, query
from handlers.openapi.paths.recorded.interceptions import LIMIT
from handlers.openapi.paths.recorded.statistics import Timestamp
from resources.accounts.audit import Entry
from resources.fields import WholeList
from storage.accounts.events import Action

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
        responses={"200": json_response("The page.", WholeList[Entry])} | not_members(NOT_YOURS),
    )
}
