"""Providers: where a vendor instance lives, which routes it serves and how its credential is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from intercept.apis import Dialect
from upstream.routes import ANTHROPIC_ROUTES, OPENAI_ROUTES, Route, find_routes, guess_dialect

OPENAI_PREFIX = "/v1"


class ProviderType(StrEnum):
    """What a provider speaks. The demo provider speaks everything."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    DEMO = "demo"


_ROUTES = {
    ProviderType.OPENAI: OPENAI_ROUTES,
    ProviderType.ANTHROPIC: ANTHROPIC_ROUTES,
    ProviderType.DEMO: OPENAI_ROUTES + ANTHROPIC_ROUTES,
}
# Found beforehand for the paths that most requests have.
_ROUTES_BY_PATH = {
    kind: {route.pattern: find_routes(routes, route.pattern) for route in routes} for kind, routes in _ROUTES.items()
}


@dataclass(frozen=True)
class Provider:
    """An upstream vendor instance.

    `base_url` ends in a slash. For the type `openai` it stands for the prefix `/v1` (`https://api.openai.com/v1/`), for
    the others for the root. `keys_setting` names the setting that its keys come from. `keyless` providers are called without a credential when they have no key (a model server
    of one's own); any other provider without a key serves only clients that bring theirs.
    """

    name: str
    type: ProviderType
    base_url: str
    keys: tuple[str, ...] = field(default=(), repr=False)
    keys_setting: str = ""
    keyless: bool = False

    def find_routes(self, path: str) -> list[Route]:
        """The routes of the percent-encoded `path` below the provider, whatever their methods."""
        return _ROUTES_BY_PATH[self.type].get(path) or find_routes(_ROUTES[self.type], path)

    def dialect_of(self, path: str) -> Dialect:
        """The dialect in which to refuse a path below the provider."""
        return guess_dialect(path) if self.type is ProviderType.DEMO else Dialect(self.type.value)

    def url(self, path: str, query: str) -> str:
        """The upstream URL for a served path; both arguments stay percent-encoded as the client sent them."""
        suffix = path.removeprefix(OPENAI_PREFIX) if self.type is ProviderType.OPENAI else path
        url = self.base_url + suffix.removeprefix("/")
        return f"{url}?{query}" if query else url


def credential_header(dialect: Dialect, key: str) -> tuple[str, str]:
    """The header in which a provider expects its key."""
    return ("X-Api-Key", key) if dialect is Dialect.ANTHROPIC else ("Authorization", f"Bearer {key}")


def credential_hint(secret: str) -> str:
    """Enough of a secret to recognise it by, for records and logs; never enough to use it."""
    for shortest, shown in ((20, 4), (10, 2), (5, 1)):
        if len(secret) >= shortest:
            return f"{secret[:shown]}...{secret[-shown:]}"
    return "..."
