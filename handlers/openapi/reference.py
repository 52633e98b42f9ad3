"""The reference of the API, a page that is written from the description that the server gives of itself.

A running server shows it at `/help/reference`; `make docs` has it beside what is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from intercept.refusals import RULES
from upstream.providers.presets import PRESETS
from upstream.routes import Audience

TITLE: Final = "# Reference of the API"
_DATA_PLANE: Final = "data plane"
_PASSED_ON: Final = {
    Audience.EVERYBODY: "passed on",
    Audience.OWN_RESPONSE: "passed on: the user's own",
    Audience.OWN_KEY: "passed on with an own key only",
}
_METHODS: Final = ("get", "post", "put", "patch", "delete")

Described = Mapping[str, Any]


def reference(document: Described) -> str:
    """The page of a description in OpenAPI 3.1: operations by tag, routes of providers, and what answers are made of."""
    subjects = [f"[{tag['name'].capitalize()}](#{tag['name'].replace(' ', '-')})" for tag in document["tags"]]
    lines = [TITLE, "", document["info"]["description"], "", " · ".join(subjects), ""]
    for tag in document["tags"]:
        lines += [f"## {tag['name'].capitalize()}", "", tag["description"], ""]
        lines += _routes() if tag["name"] == _DATA_PLANE else _operations(document, tag["name"])
    lines += ["## Rules of refusals", "", "| rule | status | refused because |", "|---|---|---|"]
    lines += [f"| `{rule}` | {', '.join(map(str, statuses))} | {why} |" for rule, (_, statuses, why) in RULES.items()]
    lines += ["", "## What bodies and answers are made of", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _schema(name, schema)
    return "\n".join(lines)


def _routes() -> Iterator[str]:
    """Each route with the first type of provider that has it."""
    yield from ("| provider's type | method | route | |", "|---|---|---|---|")
    first: dict[Any, str] = {}
    for kind, preset in PRESETS.items():
        for route in preset.routes:
            cells = f"{', '.join(route.methods)} | `{route.pattern}` | {'recorded' if route.api else _PASSED_ON[route.audience]}"
            first.setdefault((route.dialect, cells), f"| {kind.value} | {cells} |")
    yield from (*first.values(), "")


def _operations(document: Described, tag: str) -> Iterator[str]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            operation = item.get(method)
            if operation is None or tag not in operation["tags"]:
                continue
            yield from (
                f"### `{method.upper()} {path}`",
                "",
                f"{operation['summary']}. {operation.get('description', '')}",
                "",
            )
            yield from _parameters([*item.get("parameters", ()), *operation.get("parameters", ())])
            if body := operation.get("requestBody"):
                yield from (f"Body: {_content(body)}.", "")
            for status, response in operation["responses"].items():
                if status.startswith("2"):
                    yield from (f"{status}: {_content(response)}.", "")


def _parameters(parameters: list[Described]) -> Iterator[str]:
    if parameters:
        yield from ("| parameter | in | type | default | |", "|---|---|---|---|---|")
        for one in parameters:
            default = one["schema"].get("default")
            cells = f"`{one['name']}`", one["in"], _type(one["schema"]), "" if default is None else f"`{default}`"
            yield f"| {' | '.join(cells)} | {_cell(one.get('description', ''))} |"
        yield ""


def _content(part: Described) -> str:
    """What a body or a response has, by media type."""
    kinds = part.get("content", {})
    return ", ".join(f"{_type(one.get('schema', {}))} (`{kind}`)" for kind, one in kinds.items()) or part[
        "description"
    ].rstrip(".")


def _schema(name: str, schema: Described) -> Iterator[str]:
    yield from (f"### {name}", "", _cell(schema.get("description", "")), "")
    if "enum" in schema:
        yield from (", ".join(f"`{value}`" for value in schema["enum"]), "")
    if properties := schema.get("properties"):
        yield from ("| key | type | |", "|---|---|---|")
        for key, value in properties.items():
            yield f"| `{key}` | {_type(value)} | {_cell(value.get('description', ''))} |"
        yield ""


def _type(schema: Described) -> str:
    """A type in words: its name, and the range of its values."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{re.sub(r'[^a-z0-9_-]', '', name.lower())})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    limits = [f"{word} {schema[key]}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in schema]
    return " ".join([schema.get("format") or str(schema.get("type", "any")), *limits])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
