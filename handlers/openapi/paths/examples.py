"""An invented company, to try out the dashboard."""

from __future__ import annotations

from handlers.api.examples import NOT_YOURS_TO_CHANGE
from handlers.openapi.errors import problem
from handlers.openapi.methods import delete, get, post
from handlers.openapi.operations import Described, json_response
from handlers.problems import sentence
from resources.examples import ExampleData
from storage.examples.documents import ExampleState
from storage.examples.store import NOT_THERE, THERE

_EXAMPLE = ExampleData(
    state=ExampleState.FILLING,
    calls=8_120,
    progress=0.354,
    requested_at="2026-11-24T23:50:31.877Z",
    requested_by="ada",
)
_REQUESTED = json_response("The change is requested.", company=_EXAMPLE)
_NOT_OWNER = problem("Only owners may do this.", NOT_YOURS_TO_CHANGE)


PATHS: dict[str, Described] = {
    "/api/v2/aibridge/examples": get(
        "getExamples",
        "Whether there is an invented company",
        "Its people, groups, calls and refusals are shown among all others while it is there. Its users are called like "
        "`ada@example.com`, and all its ids begin with `6578616d-706c-8`.",
        responses={"200": json_response("Its state.", company=_EXAMPLE)},
    )
    | post(
        "fillExamples",
        "Fill in an invented company",
        "Two months of calls of 25 people. For owners. A server on the database does it, within a minute or two. Nothing "
        "goes to a provider, and nothing counts for budgets, limits, metrics or alerts of anybody else.",
        responses={"202": _REQUESTED, "403": _NOT_OWNER, "409": problem("It is there.", sentence(THERE))},
    )
    | delete(
        "removeExamples",
        "Remove the invented company",
        "All of it: people, groups, policies, calls, sessions, refusals, totals and the search index. What is not of it "
        "stays exactly as it is. For owners.",
        responses={"202": _REQUESTED, "403": _NOT_OWNER, "404": problem("There is none.", sentence(NOT_THERE))},
    )
}
