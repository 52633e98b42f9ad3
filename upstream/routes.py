"""Which paths below a provider are served: a few are recorded, a few pass through, nothing else exists.

Passing through is an allow-list because the provider's key may have administrator's rights.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from intercept.apis import Api, Dialect
from intercept.catalog import CHAT_COMPLETIONS, MESSAGES, RESPONSES


@dataclass(frozen=True)
class Route:
    """A served path. `pattern` ends in `/*` where any non-empty rest is meant; `api` is None where nothing is recorded."""

    pattern: str
    dialect: Dialect
    api: Api | None = None

    def matches(self, method: str, path: str) -> bool:
        """Whether this route serves `method` on `path`. Recorded routes take POST only, the others any method."""
        if self.api is not None:
            return method == "POST" and path == self.pattern
        if self.pattern.endswith("/*"):
            prefix = self.pattern[:-1]
            return path.startswith(prefix) and len(path) > len(prefix)
        return path == self.pattern


def _recorded(api: Api) -> Route:
    return Route(api.path, api.dialect, api)


OPENAI_ROUTES = (
    _recorded(CHAT_COMPLETIONS),
    _recorded(RESPONSES),
    Route("/v1/models", Dialect.OPENAI),
    Route("/v1/models/*", Dialect.OPENAI),
    Route("/v1/responses/*", Dialect.OPENAI),
    Route("/v1/conversations", Dialect.OPENAI),
    Route("/v1/conversations/*", Dialect.OPENAI),
    Route("/v1/embeddings", Dialect.OPENAI),
)
ANTHROPIC_ROUTES = (
    _recorded(MESSAGES),
    Route("/v1/models", Dialect.ANTHROPIC),
    Route("/v1/models/*", Dialect.ANTHROPIC),
    Route("/v1/messages/count_tokens", Dialect.ANTHROPIC),
    Route("/api/event_logging/*", Dialect.ANTHROPIC),
)


def find_route(routes: tuple[Route, ...], method: str, path: str) -> Route | None:
    """The route that serves `method` on the still percent-encoded `path`, or None.

    A path that could mean another one to a server behind us (`..`, also encoded once or twice) is not served.
    """
    if _climbs(path):
        return None
    return next((route for route in routes if route.matches(method, path)), None)


def guess_dialect(path: str) -> Dialect:
    """The dialect in which to refuse a path that nobody serves."""
    return Dialect.ANTHROPIC if path.startswith(("/v1/messages", "/api/event_logging")) else Dialect.OPENAI


def _climbs(path: str) -> bool:
    decoded = path
    for _ in range(3):
        if "." in decoded:
            segments = decoded.replace("\\", "/").split("/")
            if "." in segments or ".." in segments:
                return True
        if "%" not in decoded:
            return False
        decoded = unquote(decoded)
    return False
