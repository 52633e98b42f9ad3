"""The names that occur: of models, clients, providers and tags."""

from __future__ import annotations

from handlers.openapi.methods import get
from handlers.openapi.operations import JSON, Described, query, response
from handlers.openapi.paths.providers import ADD
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET

PREFIX = query("q", str, "Only those that begin with it; case matters.", example="gpt")


def _names(operation_id: str, what: str) -> Described:
    return get(
        operation_id,
        f"The {what} that occur",
        "Each once, sorted; only from calls that the caller may see.",
        parameters=(PREFIX, LIMIT, OFFSET),
        responses={"200": response("The names.", {JSON: {"schema": list[str]}})},
    )


PATHS: dict[str, Described] = {
    "/api/v2/aibridge/models": _names("listModels", "models"),
    "/api/v2/aibridge/clients": _names("listClients", "clients"),
    "/api/v2/aibridge/tags": _names("listTags", "names of tags"),
    "/api/v2/aibridge/providers": _names("listProviders", "names of providers") | ADD,
}
