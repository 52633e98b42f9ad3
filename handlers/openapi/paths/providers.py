"""The providers that are configured, changes of those in the database, and checks."""

from __future__ import annotations

from handlers.api.providers.managed import UNKNOWN
from handlers.api.providers.performance import NOT_YOURS_TO_SEE as NOT_YOURS
from handlers.openapi.errors import not_members, problem
from handlers.openapi.methods import get
from handlers.openapi.parts import JSON, Described, in_path, json_response, response
from handlers.openapi.paths.recorded.statistics import IN_HOURS
from resources.recorded.performance import ProviderPerformance, ProviderUsage
from storage.queries.performance import MAX_CALLS

NAME = in_path("name", str, "The name of the provider.")

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/providers/performance": get(
        "listProviderPerformance",
        "How providers fare",
        f"For owners and auditors, by the latest calls of a time range that have ended, at most {MAX_CALLS}, of all users and "
        "providers together. What no call tells is null.",
        parameters=IN_HOURS,
        responses={"200": response("The providers.", {JSON: {"schema": list[ProviderPerformance]}})}
        | not_members(NOT_YOURS),
    ),
    "/api/v2/aibridge/providers/{name}/usage": get(
        "getProviderUsage",
        "The health of a provider and its models",
        "For owners and auditors: whether it is up, its circuit, its keys, and by model the waits for the bridge and the "
        f"provider, speed and share of 429, by those calls of the time range that are among its latest {MAX_CALLS} of all "
        "providers together; and what all its calls of the time range add up to. `up` is what became of the latest request "
        "of these.",
        parameters=(NAME, *IN_HOURS),
        responses={
            "200": json_response("How it fares.", ProviderUsage),
            "404": problem("There is no such provider.", UNKNOWN.format("openai-east")),
        }
        | not_members(NOT_YOURS),
    ),
}
