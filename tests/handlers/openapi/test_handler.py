"""The description of the API is valid and whole, and says of routes and parameters what is so."""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema_rs import Draft202012Validator
from openapi_spec_validator.schemas import schema_v31
from tornado.web import RequestHandler

from handlers.api.sign_in.desk import HANDLERS, SETTINGS, USAGE
from handlers.api.sign_in.single_sign_on import BeginHandler, CallbackHandler
from handlers.api.sign_in.telemetry import SIGNALS
from handlers.application import DATA_PLANES, BridgeApplication
from handlers.dashboard import DashboardHandler
from handlers.dataplane.addresses import ROOTS
from handlers.help import HelpHandler
from handlers.openapi.document import KEEP_SECONDS
from tests.handlers.contract import CONTROL, Contract, pointed
from upstream.providers.presets import ALL_ROUTES
from version import VERSION

PATH = "/openapi.json"
METHODS = [method.lower() for method in RequestHandler.SUPPORTED_METHODS if method != "HEAD"]
CONTRACT = Contract()
OPERATIONS = list(CONTRACT.operations())


def served(rule):
    """The methods of a route, without HEAD, which is there where GET is."""
    handler, operations = rule.target, rule.target_kwargs.get("operations")
    if operations is not None:
        return {*operations}
    return {method.upper() for method in METHODS if getattr(handler, method) is not getattr(RequestHandler, method)}


def shape(path):
    """A path or a pattern with its parameters unnamed."""
    return re.sub(r"\{\w+\}|\([^)]*\)", "{}", path.removesuffix("$"))


def test_the_document_is_valid_openapi():
    paths = CONTRACT.document["paths"]
    own = {path: item for path, item in paths.items() if "$ref" not in item}
    for path in paths.keys() - own.keys():  # the second prefix says nothing but where it is said
        assert list(paths[path]) == ["$ref"]
        assert pointed(CONTRACT.document, paths[path]) in own.values()
    document = json.loads(json.dumps(CONTRACT.document | {"paths": own}))
    official = Draft202012Validator(json.loads(json.dumps(dict(schema_v31))))
    assert [str(error) for error in official.iter_errors(document)] == []
    ids = [
        operation["operationId"] for _, path, operation, _ in OPERATIONS if path in own and "operationId" in operation
    ]
    assert len(set(ids)) == len(ids) > 0


def test_every_schema_is_one_and_allows_its_default():
    """Whose references lead somewhere, too."""
    components = CONTRACT.document["components"]
    described = [node["schema"] for node in nodes(CONTRACT.document) if isinstance(node.get("schema"), dict)]
    Draft202012Validator({"components": components, "allOf": [*described, *components["schemas"].values()]})
    for schema in nodes(described + list(components["schemas"].values())):
        if "default" in schema and isinstance(schema.get("type"), str):
            CONTRACT.validate(schema["default"], schema)


def test_every_resource_is_described_with_its_methods_and_nothing_else_is():
    """Pages, and where a browser is sent to sign in, are for browsers alone."""
    rules: Any = [
        rule
        for rule in BridgeApplication(None).wildcard_router.rules
        if rule.target not in (DashboardHandler, HelpHandler, BeginHandler, CallbackHandler)
    ]
    routed = {(shape(rule.matcher.regex.pattern), method) for rule in rules for method in served(rule)}
    described = {(shape(path), method) for method, path, *_ in OPERATIONS if "{provider}" not in path}
    assert described == routed


def test_exactly_the_routes_of_a_provider_are_described_below_both_prefixes():
    # What answers 426 is no route.
    routed = {*(("HEAD", path) for path in ROOTS), ("GET", "/v1/responses"), ("GET", "/v1/realtime")}
    for route in ALL_ROUTES:
        routed |= {(method, route.pattern.replace("*", "{rest}")) for method in route.methods}
    for prefix in DATA_PLANES:
        own = prefix + "{provider}"
        below = {(method, path[len(own) :]) for method, path, *_ in OPERATIONS if path.startswith(own)}
        assert {
            (method, path) for method, path in below if path not in HANDLERS and "spend_limits" not in path
        } == routed


def nodes(node):
    """Every object within a part of the document, and the part itself."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from nodes(item)


def examples():
    """Every example with its schema, bodies and parameters."""
    for node in nodes({key: CONTRACT.document[key] for key in ("paths", "components")}):
        if "schema" in node:
            yield from ((node["schema"], one["value"]) for one in node.get("examples", {}).values())
            if "example" in node:
                yield node["schema"], node["example"]


def test_every_example_is_what_its_schema_allows():
    found = list(examples())
    assert len(found) > 50
    for schema, value in found:
        CONTRACT.validate(value, schema)


def test_every_body_of_a_request_has_an_example():
    for method, path, operation, _ in OPERATIONS:
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        assert not content or content.get("examples"), (method, path)


def test_everything_but_what_is_public_asks_for_a_token():
    public = {(method, path) for method, path, operation, _ in OPERATIONS if operation.get("security") == []}
    roots = {prefix + "{provider}" + root for prefix in DATA_PLANES for root in ROOTS}
    signs_in = {f"{CONTROL}/{{provider}}{path}" for path in HANDLERS if path not in {SETTINGS, USAGE, *SIGNALS}}
    assert {path for _, path in public if "{provider}" in path} == roots | signs_in
    assert {path for _, path in public if "{provider}" not in path} == {
        *("/healthz", "/metrics", PATH, "/readyz"),
        *(f"{CONTROL}/{path}" for path in ("users/me/session", "sign-in", "device/code", "device/token")),
    }
    assert [next(iter(one)) for one in CONTRACT.document["security"]] == list(
        CONTRACT.document["components"]["securitySchemes"]
    )


async def test_it_is_served_to_everybody_and_kept_until_it_changes(running):
    client = await running.client()
    response = await client.request("GET", PATH, {})
    assert (response.status, response.header("Content-Type")) == (200, "application/json")
    assert response.header("Cache-Control") == f"public, max-age={KEEP_SECONDS}"
    assert json.loads(response.body) == CONTRACT.document
    assert CONTRACT.document["info"]["version"] == VERSION
    head = await client.request("HEAD", PATH, {})
    assert (head.status, head.header("Content-Length")) == (200, str(len(response.body)))
    tag = response.header("Etag")
    unchanged = await client.request("GET", PATH, {"If-None-Match": tag})
    assert (unchanged.status, unchanged.header("Etag"), bytes(unchanged.body)) == (304, tag, b"")
    assert (await client.request("GET", PATH, {"If-None-Match": '"another"'})).status == 200
