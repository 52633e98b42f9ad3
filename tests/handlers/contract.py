"""What the description of the API promises of answers, taken at its word: a key it does not name must not be there."""

import json
import re
from functools import cache
from urllib.parse import urlsplit

from jsonschema_rs import Draft202012Validator

from handlers.openapi.document import openapi_document
from version import VERSION

CONTROL = "/api/v2/aibridge"
# Below the first prefix; the second one refers to it.
DATA = CONTROL + "/{provider}/"


def strict(schema):
    """The schema without room for keys that it does not name."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    return (
        {"additionalProperties": False} | closed
        if schema.get("type") == "object" and "properties" in schema
        else closed
    )


def pointed(document, node):
    """What a reference within the document points to, with what stands beside it; anything else is itself."""
    if "$ref" not in node:
        return node
    place = document
    for step in node["$ref"].removeprefix("#/").split("/"):
        place = place[step.replace("%7B", "{").replace("%7D", "}").replace("~1", "/").replace("~0", "~")]
    return place | {key: value for key, value in node.items() if key != "$ref"}


@cache
def described():
    """The document, and its schemas taken at their word. It takes 0.1 s to make, and nobody changes it."""
    document = openapi_document(VERSION)
    return document, {"components": {"schemas": strict(document["components"]["schemas"])}}


@cache
def validator(schema):
    """What compares with a schema, given as text: each is asked for many times."""
    return Draft202012Validator(strict(json.loads(schema)) | described()[1], validate_formats=True)


@cache
def patterns(method):
    """One pattern with a group for each path of a method, those with fewest parameters first, and what is there.

    Of HEAD they are those of GET too.
    """
    of_answer = {method, "GET"} if method == "HEAD" else {method}
    served = [(path, operation) for of, path, operation, _ in Contract().operations() if of in of_answer]
    served.sort(key=lambda one: one[0].count("{"))
    return re.compile("|".join(f"({template(path, rest='rest|file')})" for path, _ in served)), served


class Contract:
    """The document, and what compares answers with it."""

    def __init__(self):
        self.document, _ = described()

    def operations(self):
        """Every operation: (method, path, what is said of it, its parameters)."""
        for path, described in self.document["paths"].items():
            item = pointed(self.document, described)
            for method, operation in item.items():
                if method != "parameters":
                    parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
                    yield method.upper(), path, operation, [pointed(self.document, one) for one in parameters]

    def find(self, method, target):
        """The operation of a request; of several paths that fit, the one with fewest parameters."""
        requested = urlsplit(target).path
        pattern, served = patterns(method)
        fitting = pattern.fullmatch(requested)
        assert fitting, f"{method} {requested} is not described"
        return served[fitting.lastindex - 1]

    def check_control(self, method, target, response):
        """Compare a response of the control plane, if that is described; of methods that there are not it is not."""
        fitting = target.startswith("/api/") and patterns(method)[0].fullmatch(urlsplit(target).path)
        if fitting and response.status != 405 and "{provider}" not in self.find(method, target)[0]:
            self.check(method, target, response)

    def check(self, method, target, response):
        """Compare a response with what is promised of it: status, media type, headers and body."""
        path, operation = self.find(method, target)
        responses, status = operation["responses"], str(response.status)
        said = next((one for one in (status, f"{status[0]}XX", "default") if one in responses), None)
        assert said is not None, f"{method} {path} is not said to answer {status}"
        promised = pointed(self.document, responses[said])
        for name, header in promised.get("headers", {}).items():
            self.check_header(name, pointed(self.document, header)["schema"], response.header(name))
        if method == "HEAD" or "content" not in promised:
            assert not response.body
        elif "*/*" not in promised["content"]:
            media_type = response.header("Content-Type").partition(";")[0]
            assert media_type in promised["content"], f"{method} {path} {status}: {media_type} is not described"
            if media_type == "application/json":
                self.validate(json.loads(response.body), of_the_bridge(promised["content"][media_type]["schema"]))

    def check_header(self, name, schema, value):
        if value is not None:
            self.validate(int(value) if schema.get("type") == "integer" else value, schema)

    def validate(self, value, schema):
        validator(json.dumps(schema)).validate(value)


def of_the_bridge(schema):
    """Without what a provider may answer with the same status."""
    ours = [one for one in schema.get("anyOf", ()) if "$ref" in one]
    return {"anyOf": ours} if ours else schema


def template(path, rest):
    """A path as a pattern: a parameter is one segment, one of those that `rest` names any number of them."""
    pattern = re.sub(rf"\\\{{({rest})\\\}}", ".+", re.escape(path))
    return re.sub(r"\\\{\w+\\\}", "[^/]+", pattern)
