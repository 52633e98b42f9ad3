"""The providers that are configured, changes of those in the database, and checks."""

from __future__ import annotations

from handlers.api.providers.checked import UNKNOWN
from handlers.api.providers.managed import NOT_YOURS_TO_CHANGE, NOT_YOURS_TO_SEE, READ_ONLY
from handlers.api.providers.performance import NOT_YOURS_TO_SEE as NOT_YOURS
from handlers.openapi.errors import not_members, only_owners, problem
from handlers.openapi.methods import delete, get, patch, post, tagged
from handlers.openapi.operations import JSON, Described, body, in_path, json_response, response
from handlers.openapi.paths.recorded.statistics import IN_HOURS
from resources.provider_bodies import NewProvider, ProviderChange
from resources.providers import (
    ConfiguredProvider,
    DetailedProvider,
    ProviderCheck,
)
from resources.recorded.performance import ProviderPerformance, ProviderUsage
from storage.queries.performance import MAX_CALLS
from upstream.providers.presets import ProviderType

NAME = in_path("name", str, "The name of the provider.")
NONE = problem("There is no such provider.", "There is no provider named openai-east in the database.")
_ONLY_OWNERS = only_owners(NOT_YOURS_TO_CHANGE)
_READ_ONLY = problem(
    "It is a provider of the environment, or it was changed at the same moment.", READ_ONLY.format("openai")
)

ADD = tagged(
    "providers",
    post(
        "addProvider",
        "Add a provider",
        "For owners. All servers on the database serve it within 2 s. Keys need `encryption-keys`.",
        request=body(east=NewProvider("openai-east", ProviderType.OPENAI, keys=["sk-proj-abcdefghijklmnop"])),
        responses={
            "201": json_response("The provider.", DetailedProvider),
            "409": problem("The name is taken.", "A provider named openai-east exists already."),
        }
        | _ONLY_OWNERS,
    ),
)
"""Beside the names of providers, which `facets` has."""

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/providers/configured": get(
        "listConfiguredProviders",
        "All providers",
        "Those of the settings in their order, then those of the database, whether they were called or not. `key_state` is "
        "`key` where the bridge holds a key, `keyless` where the provider is called without one, `no_key` where only clients "
        "with a key of their own are served. `refused` covers all server processes on the database, `cooldowns` only the "
        "one that answers.",
        responses={"200": response("The providers.", {JSON: {"schema": list[ConfiguredProvider]}})},
    ),
    "/api/v2/aibridge/providers/performance": get(
        "listProviderPerformance",
        "How providers fare",
        f"For owners and auditors, by the latest calls of a time range that have ended, at most {MAX_CALLS}, of all users and "
        "providers together. What no call tells is null.",
        parameters=IN_HOURS,
        responses={"200": response("The providers.", {JSON: {"schema": list[ProviderPerformance]}})}
        | not_members(NOT_YOURS),
    ),
    "/api/v2/aibridge/providers/{name}": get(
        "getProvider",
        "The settings of a provider",
        "For owners and auditors. Keys appear as hints only.",
        parameters=(NAME,),
        responses={"200": json_response("The provider.", DetailedProvider), "404": NONE}
        | not_members(NOT_YOURS_TO_SEE),
    )
    | patch(
        "changeProvider",
        "Change a provider of the database",
        "For owners. What is not given stays as it is, calls that are under way too. With another address, type, "
        "credential or region the keys have to be given again.",
        parameters=(NAME,),
        request=body(disabled=ProviderChange(disabled=True)),
        responses={
            "200": json_response("The provider after the change.", DetailedProvider),
            "404": NONE,
            "409": _READ_ONLY,
        }
        | _ONLY_OWNERS,
    )
    | delete(
        "removeProvider",
        "Remove a provider of the database, and its keys",
        "For owners. Running calls continue; records stay.",
        parameters=(NAME,),
        responses={"204": {"description": "The provider is gone."}, "404": NONE, "409": _READ_ONLY} | _ONLY_OWNERS,
    ),
    "/api/v2/aibridge/providers/{name}/check": post(
        "checkProvider",
        "Check a provider",
        "For owners. Requests its list of models with each of its keys, which costs nothing.",
        parameters=(NAME,),
        responses={
            "200": json_response("What it said.", ProviderCheck),
            "404": problem("There is no such provider.", "There is no provider named openai-east."),
        }
        | _ONLY_OWNERS,
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
