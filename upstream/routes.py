"""Which paths below a provider are served, by which methods: a few are recorded, a few pass through, nothing else exists.

Passing through is an allow-list because the provider's key may have administrator's rights, and because all members share
it: what a key gives access to is not for each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from intercept.apis import Api, Dialect
from intercept.catalog import CHAT_COMPLETIONS, MESSAGES, RESPONSES

READ = ("GET", "HEAD")
POST = ("POST",)


class Access(StrEnum):
    """Who may use a route: everybody, who got the response that it names, or who brings a key of their own."""

    EVERYBODY = "everybody"
    OWN_RESPONSE = "own response"
    OWN_KEY = "own key"


@dataclass(frozen=True)
class Route:
    """A served path.

    In `pattern`, `{id}` is one segment and a `*` at the end any number of them, at least one. `api` is None where nothing
    is recorded.
    """

    pattern: str
    dialect: Dialect
    methods: tuple[str, ...]
    api: Api | None = None
    access: Access = Access.EVERYBODY
    _path: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pattern = re.escape(self.pattern).replace(r"\{id\}", "(?P<id>[^/]+)").replace(r"\*", ".+")
        object.__setattr__(self, "_path", re.compile(pattern))

    def matches(self, path: str) -> bool:
        """Whether this is the route of a path, whatever the method."""
        return self._path.fullmatch(path) is not None

    def id_in(self, path: str) -> str:
        """What stands for `{id}` in a path of this route, as it stands there."""
        found = self._path.fullmatch(path)
        return found["id"] if found else ""


def _recorded(api: Api) -> Route:
    return Route(api.path, api.dialect, POST, api)


def _own(pattern: str, access: Access, *methods: str) -> Route:
    return Route(pattern, Dialect.OPENAI, methods, access=access)


OPENAI_ROUTES = (
    _recorded(CHAT_COMPLETIONS),
    _recorded(RESPONSES),
    Route("/v1/responses/compact", Dialect.OPENAI, POST, RESPONSES),
    Route("/v1/responses/input_tokens", Dialect.OPENAI, POST),
    _own("/v1/responses/{id}", Access.OWN_RESPONSE, *READ, "DELETE"),
    _own("/v1/responses/{id}/cancel", Access.OWN_RESPONSE, *POST),
    _own("/v1/responses/{id}/input_items", Access.OWN_RESPONSE, *READ),
    _own("/v1/conversations", Access.OWN_KEY, *POST),
    _own("/v1/conversations/{id}", Access.OWN_KEY, *READ, "POST", "DELETE"),
    _own("/v1/conversations/{id}/items", Access.OWN_KEY, *READ, "POST"),
    _own("/v1/conversations/{id}/items/*", Access.OWN_KEY, *READ, "DELETE"),
    Route("/v1/models", Dialect.OPENAI, READ),
    Route("/v1/models/*", Dialect.OPENAI, READ),
    Route("/v1/embeddings", Dialect.OPENAI, POST),
)
ANTHROPIC_ROUTES = (
    _recorded(MESSAGES),
    Route("/v1/messages/count_tokens", Dialect.ANTHROPIC, POST),
    Route("/v1/models", Dialect.ANTHROPIC, READ),
    Route("/v1/models/*", Dialect.ANTHROPIC, READ),
    Route("/api/event_logging/*", Dialect.ANTHROPIC, POST),
)


def find_routes(routes: Iterable[Route], path: str) -> list[Route]:
    """The routes of a percent-encoded path, whatever their methods; the first that has the method serves a request."""
    return [route for route in routes if route.matches(path)]


def guess_dialect(path: str) -> Dialect:
    """The dialect in which to refuse a path of a provider that speaks several, or of none."""
    return Dialect.ANTHROPIC if re.match(r"(/v1)*/messages|/api/", path) else Dialect.OPENAI
