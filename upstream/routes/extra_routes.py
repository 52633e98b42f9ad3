"""Routes that an operator adds to those of a provider: to be passed on, or to be recorded by the nearest API."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from intercept.apis import Api, Dialect
from intercept.catalog import BY_NAME
from upstream.routes.route import Route

_SEGMENT: Final = r"[A-Za-z0-9._~:@-]+|\{(?:id|model|deployment)\}"
_ROUTE: Final = re.compile(
    rf"(?P<method>GET|HEAD|POST|PUT|PATCH|DELETE) +(?P<path>/[A-Za-z0-9][A-Za-z0-9._~-]*(?:/(?:{_SEGMENT}))*(?:/\*)?)"
    r"(?:=(?P<api>[a-z-]+))?"
)
ALLOWED: Final = (
    "routes, separated by commas, each METHOD /path or POST /path=API, where {id}, {model} and {deployment} are a segment, "
    f"/* at the end any more of them, and API is one of {', '.join(BY_NAME)}"
)
"""In words, which texts are allowed."""


class ExtraRoute(NamedTuple):
    """A route from the settings; `api` is None if its calls are not recorded."""

    method: str
    pattern: str
    api: Api | None

    def of(self, dialect: Dialect) -> Route:
        """The route, at a provider that tells errors in a dialect where nothing is recorded."""
        return Route(self.pattern, self.api.dialect if self.api else dialect, (self.method,), self.api)


def parse_routes(text: str) -> tuple[ExtraRoute, ...]:
    """Read routes.

    Raises:
        ValueError: They are not as `ALLOWED` says.
    """
    return tuple(_parse(one.strip()) for one in text.split(",")) if text.strip() else ()


def _parse(text: str) -> ExtraRoute:
    found = _ROUTE.fullmatch(text)
    if found is None or re.search(r"/\.{1,2}(/|$)", found["path"]):
        raise ValueError(f"no method and path: {text!r}")
    names = re.findall(r"\{\w+\}", found["path"])
    api = BY_NAME.get(found["api"] or "")
    if len(set(names)) < len(names) or (found["api"] and (api is None or found["method"] != "POST")):
        raise ValueError(f"no route that can be served: {text!r}")
    return ExtraRoute(found["method"], found["path"], api)
