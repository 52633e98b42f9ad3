"""Which paths below a provider are served, by which methods: a few are recorded, a few pass through, nothing else exists.

Passing through is an allow-list because the provider's key may have administrator's rights, and because all members share
it: what a key gives access to is not for each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote

from intercept.apis import Api, Dialect
from intercept.catalog import DIALECTS, OPENAI

READ = ("GET", "HEAD")
POST = ("POST",)


class Audience(StrEnum):
    """Who may use a route: everybody, who got the response that it names, or who brings a key of their own."""

    EVERYBODY = "everybody"
    OWN_RESPONSE = "own response"
    OWN_KEY = "own key"


# What a name in braces stands for, where that is not any segment.
_SEGMENTS = {"version": "v1|v1beta|v1alpha|v1beta1", "model": "[^/]+?", "deployment": "[^/]+?"}
_PIECES = re.compile(r"(\{\w+\}|\*|:)")


@dataclass(frozen=True)
class Route:
    """A served path, as a pattern over the percent-encoded one.

    In `pattern`, `{id}` and other names in braces are one segment, and a `*` at the end any number of them, at least one. A
    colon may arrive encoded. `prefix` may stand before it or not. `api` is None where nothing is recorded.

    `{model}` decides which model is called, whatever the body says; `{deployment}` names it where the body does not.
    `streams` says that the path requests a stream, which otherwise the body does. `vendor` is what may stand before the names
    of models in the body, which are known without it.
    """

    pattern: str
    dialect: Dialect
    methods: tuple[str, ...]
    api: Api | None = None
    audience: Audience = Audience.EVERYBODY
    prefix: str = ""
    streams: bool = False
    vendor: str = ""
    _path: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        prefix = f"(?:{_expression(self.prefix)})?" if self.prefix else ""
        object.__setattr__(self, "_path", re.compile(prefix + _expression(self.pattern)))

    def matches(self, path: str) -> bool:
        """Whether this is the route of a path, whatever the method."""
        return self._path.fullmatch(path) is not None

    def id_in(self, path: str) -> str:
        """What stands for `{id}` in a path of this route, as it stands there."""
        found = self._path.fullmatch(path)
        return found["id"] if found else ""

    def names_in(self, path: str) -> dict[str, str]:
        """What stands for the names in braces in a path of this route, decoded."""
        if "{" not in self.pattern:
            return {}
        found = self._path.fullmatch(path)
        named = found.groupdict() if found else {}
        return {name: unquote(text) for name, text in named.items() if text is not None}


def _expression(pattern: str) -> str:
    """The regular expression of a pattern."""

    def of(piece: str) -> str:
        if piece == "*":
            return ".+"
        if piece == ":":
            return "(?::|%3[Aa])"
        name = piece[1:-1] if piece.startswith("{") else ""
        return f"(?P<{name}>{_SEGMENTS.get(name, '[^/]+')})" if name else re.escape(piece)

    return "".join(map(of, _PIECES.split(pattern)))


def find_routes(routes: Iterable[Route], path: str) -> list[Route]:
    """The routes of a percent-encoded path, whatever their methods; the first that has the method serves a request."""
    return [route for route in routes if route.matches(path)]


def guess_dialect(path: str) -> Dialect:
    """The dialect in which to refuse a path of a provider that speaks several, or of none."""
    return next((dialect for dialect in DIALECTS if dialect.paths.match(path)), OPENAI)
