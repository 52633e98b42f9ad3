"""The names that occur: of models, clients, providers and tags."""

from __future__ import annotations

from handlers.openapi.methods import get
from handlers.openapi.operations import JSON, Described, body, query, response
from handlers.openapi.paths.providers import ADD
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET

PREFIX = query("q", str, "Only those that begin with it; case matters.", example="gpt")


def _names(operation_id: str, what: str, *examples: str) -> Described:
    return get(
        operation_id,
        f"The {what} that occur",
        "Each once, sorted; only from calls that the caller may see.",
        parameters=(PREFIX, LIMIT, OFFSET),
        responses={"200": response("The names.", {JSON: body(list[str], names=list(examples))})},
    )


PATHS: dict[str, Described] = {
    "/api/v2/aibridge/models": _names("listModels", "models", "claude-sonnet-4-5", "gpt-5"),
    "/api/v2/aibridge/clients": _names("listClients", "clients", "Claude Code", "Codex"),
    "/api/v2/aibridge/tags": _names("listTags", "names of tags", "env", "project"),
    "/api/v2/aibridge/providers": _names("listProviders", "names of providers", "anthropic", "openai") | ADD,
}
