"""The demo company."""

from __future__ import annotations

from handlers.api.demo_company import NOT_YOURS_TO_CHANGE
from handlers.openapi.errors import problem
from handlers.openapi.methods import delete, get, post
from handlers.openapi.operations import Described, json_response
from handlers.problems import sentence
from resources.demo_company import DemoCompany
from storage.demo.store import BUSY, NOT_THERE

_NOT_OWNER = problem("Only owners may do this.", NOT_YOURS_TO_CHANGE)


PATHS: dict[str, Described] = {
    "/api/v2/aibridge/demo-company": get(
        "getDemoCompany",
        "Whether there is a demo company",
        "It is in a database of its own. Owners see it at `/demo-company/`, and read it below "
        "`/demo-company/api/v2/aibridge/`.",
        responses={"200": json_response("Its state.", DemoCompany)},
    )
    | post(
        "fillDemoCompany",
        "Fill in the demo company",
        "Two months of calls of 25 people, up to now, in the place of those that are there. For owners. It takes about half "
        "a minute.",
        responses={
            "202": json_response("It has begun.", DemoCompany),
            "403": _NOT_OWNER,
            "409": problem("It is being filled in, or MongoDB refuses to.", sentence(BUSY)),
        },
    )
    | delete(
        "removeDemoCompany",
        "Remove the demo company",
        "All of its database, also while it is being filled in. For owners.",
        responses={
            "200": json_response("It is gone.", DemoCompany),
            "403": _NOT_OWNER,
            "404": problem("There is none.", sentence(NOT_THERE)),
        },
    )
}
