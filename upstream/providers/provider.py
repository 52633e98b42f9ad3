"""Providers: where a vendor instance lives, which routes it serves, how its credential is sent, and its fallbacks.

The order in which fallbacks are tried is by rendezvous hashing with weights: each provider gets a score for a session, and the
highest comes first. A session keeps its provider while that is available, so the prompt cache keeps working. If a provider
joins or leaves, only its own sessions move.

Source: C. Schindelhauer, G. Schomaker, "Weighted Distributed Hash Tables" (SPAA 2005), the logarithmic method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from math import log
from typing import Final
from urllib.parse import unquote_plus

from intercept.apis import Dialect
from intercept.catalog import MESSAGES
from upstream.connections.network import DIRECT, Network
from upstream.credentials.access import Authorizer, Credential
from upstream.headers import is_named_like_credential
from upstream.providers.presets import PRESETS, Preset, ProviderType
from upstream.routes import EXPRESS_ROUTES, Route, find_routes, guess_dialect

OPENAI_PREFIX = "/v1"
# Names of query parameters that are credentials (Google's, and Amazon's signatures): they never go upstream.
CREDENTIAL_PARAMETERS = frozenset(
    {"key", "access_token", "x-amz-credential", "x-amz-security-token", "x-amz-signature", "x-amz-algorithm"}
)
# Those of Google's that have it do another request than the one that was found to be allowed, that leave out of a response
# what it used or make it unreadable, or that choose who pays. Most may have a `$` before them (Google, "System parameters").
SYSTEM_PARAMETERS = frozenset({"httpmethod", "httpheaders", "ct", "fields", "callback", "userproject", "oauth_token"})
# Those that ask for a stored response as a stream, or for what follows an event of it (OpenAI, Google).
STREAM_PARAMETERS = frozenset({"stream", "starting_after", "last_event_id"})
_READABLE = frozenset({"json", "sse"})

# Found beforehand for the paths that most requests have.
_ROUTES_BY_PATH = {
    kind: {route.pattern: find_routes(preset.routes, route.pattern) for route in preset.routes}
    for kind, preset in PRESETS.items()
}


class ProviderSource(StrEnum):
    """Where a provider is kept."""

    ENVIRONMENT = "environment"
    DATABASE = "database"


class Availability(StrEnum):
    """Whether calls pass. `SEALED`: none of its keys can be opened here."""

    READY = "ready"
    DISABLED = "disabled"
    SEALED = "sealed"


@dataclass(frozen=True)
class Provider:
    """An upstream vendor instance.

    `base_url` ends in a slash. Which part of a path it stands for is in the type's preset: of the type `openai` it is the
    prefix `/v1` (`https://api.openai.com/v1/`), of others the root. `keys_setting` names the setting that its keys come
    from. `keyless` providers are called without a credential when they have no key (a model server of one's own); any other
    provider without a key or an `authorizer` serves only clients that bring theirs. `extra_routes` are served
    beside those of the type, where none of these has the path and the method. `credential` is what it expects, None
    for what its type does. `project` and `region` are the only ones that its paths may name; empty allows any.
    `fallback` are the names of others that are asked when it cannot answer, and `weight` its share of the load among itself
    and those, see `find_order`.
    """

    name: str
    type: ProviderType
    base_url: str
    keys: tuple[str, ...] = field(default=(), repr=False)
    keys_setting: str = ""
    keyless: bool = False
    credential: Credential | None = None
    project: str = ""
    region: str = ""
    authorizer: Authorizer | None = field(default=None, repr=False, compare=False)
    network: Network = DIRECT
    extra_routes: tuple[Route, ...] = ()
    fallback: tuple[str, ...] = ()
    weight: int = 0
    source: ProviderSource = ProviderSource.ENVIRONMENT
    availability: Availability = Availability.READY

    @property
    def keys_location(self) -> str:
        """Where its keys are managed, in words."""
        return (
            f"the setting {self.keys_setting}"
            if self.source is ProviderSource.ENVIRONMENT
            else "its keys in the database"
        )

    @property
    def preset(self) -> Preset:
        """The properties of its type."""
        return PRESETS[self.type]

    @property
    def expects(self) -> Credential:
        """The credential that it expects."""
        return self.preset.credential if self.credential is None else self.credential

    @property
    def needs_key(self) -> bool:
        """Whether it takes no call without a key, of the bridge or of the client."""
        return not self.keyless and self.authorizer is None

    def find_routes(self, path: str) -> list[Route]:
        """The routes of the percent-encoded `path` below the provider, whatever their methods."""
        found = _ROUTES_BY_PATH[self.type].get(path) or find_routes(self.preset.routes, path)
        return [*found, *find_routes(self.extra_routes, path)] if self.extra_routes else found

    @property
    def serves_messages(self) -> bool:
        """Whether it serves Anthropic's Messages API, so that Claude Code may sign in below it."""
        return any(route.api is MESSAGES for route in self.find_routes(MESSAGES.path))

    def find_fault(self, route: Route, path: str) -> str:
        """Why a path must not be used with this provider's credential, which may reach more; "" if it may."""
        named = route.names_in(path)
        for name, own in ("project", self.project), ("location", self.region):
            if own and named.get(name, own) != own:
                return f"the provider {self.name} serves the {name} {own} only"
        if self.authorizer is not None and route in EXPRESS_ROUTES:
            return f"the provider {self.name} needs the project and the location in the path; give them to your client"
        return ""

    def dialect_of(self, path: str) -> Dialect:
        """The dialect in which to refuse a path below the provider."""
        guessed = guess_dialect(path)
        return guessed if guessed in self.preset.dialects else self.preset.dialect

    def url(self, path: str, query: str) -> str:
        """The upstream URL for a served path; both arguments stay percent-encoded as the client sent them.

        Left out of the query are `CREDENTIAL_PARAMETERS`, and at Google `SYSTEM_PARAMETERS` and formats that are not read; an
        operator's own route may have any format.
        """
        url = self.base_url + self.preset.upstream_path(path).removeprefix("/")
        query = without_credentials(query)
        if query and (self.preset.has_system_parameters or ".googleapis.com/" in self.base_url):
            query = _without_system_parameters(query, any_format=bool(find_routes(self.extra_routes, path)))
        return f"{url}?{query}" if query else url


def without_likely_credentials(query: str) -> str:
    """A query without parameters that are named like a credential, whatever they are to the provider."""
    return "&".join([one for one in query.split("&") if not is_named_like_credential(_name_of(one))])


def of_the_whole(query: str) -> str:
    """A query that asks for all of a stored response at once, where it asks for a stream or for the rest of one."""
    return "&".join([one for one in query.split("&") if _name_of(one) not in STREAM_PARAMETERS])


def without_credentials(query: str) -> str:
    """A query without `CREDENTIAL_PARAMETERS`; the other parameters stay as they are."""
    if "%" not in query and not any(name in query.lower() for name in ("key", "access_token", "x-amz")):
        return query
    return "&".join([one for one in query.split("&") if _name_of(one).removeprefix("$") not in CREDENTIAL_PARAMETERS])


def _without_system_parameters(query: str, *, any_format: bool) -> str:
    def stays(parameter: str) -> bool:
        name = _name_of(parameter).removeprefix("$")
        if name == "alt" and not any_format:
            return unquote_plus(parameter.partition("=")[2]).partition(";")[0].strip().lower() in _READABLE
        return name not in SYSTEM_PARAMETERS

    return "&".join(filter(stays, query.split("&")))


def _name_of(parameter: str) -> str:
    return unquote_plus(parameter.partition("=")[0]).strip().lower()


MAX_FALLBACKS: Final = 5
"""Other providers that one may name."""

MAX_WEIGHT: Final = 1000
"""The greatest weight."""

_HASH_BYTES: Final = 8


def find_order(weights: Mapping[str, int], session: str) -> list[str]:
    """Return the names of providers in the order in which they are tried.

    Args:
        weights: By name: first the provider that the client named, then the others as it names them. With 0 a provider
            takes no share of the load.
        session: What goes to one provider if it can.

    Without a weight of its own the named provider comes first, and the others in their order. With one, those that have a
    weight come first, in an order that each session keeps; then the others.
    """
    names = list(weights)
    if not weights[names[0]]:
        return names
    sharing = [name for name in names if weights[name]]
    sharing.sort(key=lambda name: _score(name, weights[name], session), reverse=True)
    return [*sharing, *(name for name in names if not weights[name])]


def _score(name: str, weight: int, session: str) -> float:
    """A number that is the highest one in a share of the sessions that is as large as the weight."""
    digest = blake2b(f"{name}\0{session}".encode(errors="replace"), digest_size=_HASH_BYTES).digest()
    drawn = (int.from_bytes(digest) + 1) / (2 ** (8 * _HASH_BYTES) + 1)  # between 0 and 1, neither of them
    return -weight / log(drawn) if drawn < 1 else float("inf")


def find_fault(name: str, type_: ProviderType, fallback: Sequence[str], types: Mapping[str, ProviderType]) -> str:
    """Return what is wrong with the fallbacks of a provider, given the types of all known ones; "" if nothing is."""
    if name in fallback:
        return f"{name} cannot stand in for itself"
    for other in fallback:
        if other not in types:
            return f"there is no provider named {other}; there are {', '.join(sorted(types.keys() - {name})) or 'none'}"
        if PRESETS[types[other]].is_own_key_only:
            return f"{other} takes only the users' own keys, and those go to no other provider"
        if not _recorded(type_) & _recorded(types[other]):
            return (
                f"{other} is of the type {types[other]}, which has no route of the type {type_}: give providers of the "
                "same dialect"
            )
    return ""


def _recorded(type_: ProviderType) -> frozenset[tuple[str, str]]:
    return frozenset((route.pattern, route.api.name) for route in PRESETS[type_].routes if route.api is not None)
