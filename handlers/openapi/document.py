"""`/openapi.json`: what is served, described for programs in OpenAPI."""

from __future__ import annotations

import asyncio
import hashlib
from functools import cache
from typing import Any, Final

import msgspec

from handlers.base import BridgeHandler
from handlers.identity.credentials import (
    GOVERNANCE_HEADER,
    HOST_SESSION_COOKIE,
    KEY_HEADERS,
    SESSION_COOKIE,
    SESSION_HEADER,
)
from handlers.openapi import calls, others, parts
from handlers.openapi.parts import Described
from handlers.operations import description
from handlers.operations.catalogue import OPERATIONS
from storage.mongo.documents.stored import HIDDEN
from version import VERSION

# In the order in which they are looked for; the first that is there counts.
SECURITY_SCHEMES = {
    "GovernanceToken": {
        "type": "apiKey",
        "in": "header",
        "name": GOVERNANCE_HEADER,
        "description": "Beside it, `Authorization` and `X-Api-Key` are the user's own credential for the provider.",
    },
    "SessionToken": {"type": "apiKey", "in": "header", "name": SESSION_HEADER},
    "SessionCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": f"A session, of a browser that signed in; over TLS it is called `{HOST_SESSION_COOKIE}`. On the "
        "control plane alone.",
    },
    "BearerToken": {"type": "http", "scheme": "bearer"},
    **{name.replace("-", ""): {"type": "apiKey", "in": "header", "name": name} for name in KEY_HEADERS},
}

TAGS: Final = {
    "interceptions": "What was recorded.",
    "sessions": "Calls that belong together.",
    "names": "Which models, clients, providers and tags there are.",
    "providers": "Where calls go.",
    "refusals": "Calls that the bridge refused.",
    "statistics": "Statistics.",
    "limits": "How much of the limits is used.",
    "policies": "Which models users may call, and how much.",
    "prices": "Own prices, spend, and comparison with bills.",
    "webhooks": "Webhooks that receive alerts.",
    "users": "Users, groups, tokens and sign-in.",
    "groups": "Groups of users.",
    "views": "Saved views of the dashboard.",
    "audit": "Who changed what.",
    "demo company": "An invented company, to look around in.",
    "data plane": "Calls to providers, for AI clients.",
    "operation": "Health and metrics, for operators; without a token.",
}
# What is described beside operations, by tag.
_OTHERS: Final = {
    "users": others.SIGN_IN,
    "policies": others.SPEND_LIMITS,
    "data plane": calls.PATHS,
    "operation": others.PROBES,
}
_METHODS: Final = frozenset({"get", "head", "post", "put", "patch", "delete"})

ABOUT = """A self-hosted gateway between AI clients and AI providers.

Every operation needs a token of the bridge, unless it says otherwise. An owner and an auditor see everything that was
recorded, a reader its figures without prompts and other texts, a member their own. HEAD is answered where GET is, without a body.
Another method that is not described is answered with 405, a path that is not with 404."""


def openapi_document(version: str) -> Described:
    """Describe the API of that version of the bridge, in OpenAPI 3.1."""
    paths = description.paths(OPERATIONS)
    for tag, described in _OTHERS.items():
        for path, item in described.items():
            tagged = {key: {"tags": [tag]} | value if key in _METHODS else value for key, value in item.items()}
            paths[path] = paths.get(path, {}) | tagged
    document: Described = {
        "openapi": "3.1.0",
        "info": {
            "title": "AI Bridge",
            "version": version,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in SECURITY_SCHEMES],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "responses": parts.RESPONSES | calls.ERRORS,
            "parameters": calls.PARAMETERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }
    types: list[Any] = []
    msgspec.json.encode(document, enc_hook=types.append)
    schemas, named = msgspec.json.schema_components(
        [*types, *calls.SCHEMAS], ref_template="#/components/schemas/{name}"
    )
    document["components"]["schemas"] = {name: _without_hidden(named[name]) for name in sorted(named)}
    in_order = iter(schemas)
    plain: Described = msgspec.json.decode(msgspec.json.encode(document, enc_hook=lambda _: next(in_order)))
    return plain


def _without_hidden(schema: Described) -> Described:
    """The schema of an object without what is stored and never shown."""
    hidden = {name for name, one in schema.get("properties", {}).items() if HIDDEN in one}
    if not hidden:
        return schema
    properties = {name: one for name, one in schema["properties"].items() if name not in hidden}
    return schema | {"properties": properties, "required": [one for one in schema["required"] if one not in hidden]}


# It changes with a new version only, and its tag tells whether it did.
KEEP_SECONDS = 300


@cache
def encoded_document() -> tuple[bytes, str]:
    """The document of this version as it is sent, and its entity tag. Made once in a process: it takes 0.1 s."""
    body = msgspec.json.encode(openapi_document(VERSION))
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'


class OpenAPIHandler(BridgeHandler):
    """Tells everybody what is served: there is nothing secret in it."""

    _tag = ""

    async def get(self) -> None:
        """Send the document; 304 to whom has it."""
        body, self._tag = await asyncio.to_thread(encoded_document)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", f"public, max-age={KEEP_SECONDS}")
        self.write(body)

    def compute_etag(self) -> str:
        """The tag of the document; Tornado answers 304 by it."""
        return self._tag
