"""Jobs that price past calls again."""

from __future__ import annotations

from uuid import UUID

from handlers.api.money.prices import NOT_YOURS_TO_CHANGE, NOT_YOURS_TO_SEE
from handlers.openapi.errors import not_members, only_owners, problem
from handlers.openapi.methods import delete, get, post
from handlers.openapi.operations import Described, body, in_path, json_response, location
from handlers.problems import sentence
from resources.fields import WholeList
from resources.money.recosts import Recost, RecostBody
from storage.prices.recosts import ENDED, ONE_AT_A_TIME, UNKNOWN

_ID = "0f4e64a2-4e0b-4d54-9f64-1d2f2b0c8a11"
_EXAMPLE = json_response("The job.", Recost)
_PARAMETER = in_path("id", UUID, "The id of the job.")


PATHS: dict[str, Described] = {
    "/api/v2/aibridge/prices/recosts": get(
        "listRecosts",
        "Jobs that price past calls again",
        "The newest 100. For owners and auditors.",
        responses={"200": json_response("The jobs.", WholeList[Recost])} | not_members(NOT_YOURS_TO_SEE),
    )
    | post(
        "requestRecost",
        "Price past calls again",
        "At the prices that hold now. For owners. The servers on the database do it, one job at a time. Totals and "
        "sessions follow exactly; each call keeps its earlier costs.",
        request=body(november=RecostBody("2026-11-01", "2026-12-01")),
        responses={
            "202": json_response("The job is requested.", Recost, location(f"/api/v2/aibridge/prices/recosts/{_ID}")),
            "409": problem("Another job has not ended.", sentence(ONE_AT_A_TIME)),
        }
        | only_owners(NOT_YOURS_TO_CHANGE),
    ),
    "/api/v2/aibridge/prices/recosts/{id}": get(
        "getRecost",
        "The progress of a job",
        "For owners and auditors.",
        parameters=(_PARAMETER,),
        responses={"200": _EXAMPLE, "404": problem("There is none.", sentence(UNKNOWN))}
        | not_members(NOT_YOURS_TO_SEE),
    )
    | delete(
        "cancelRecost",
        "Cancel a job",
        "For owners. Calls that were priced again keep their new cost, and the job stays listed.",
        parameters=(_PARAMETER,),
        responses={
            "200": _EXAMPLE,
            "404": problem("There is none.", sentence(UNKNOWN)),
            "409": problem("It has ended.", sentence(ENDED)),
        }
        | only_owners(NOT_YOURS_TO_CHANGE),
    ),
}
