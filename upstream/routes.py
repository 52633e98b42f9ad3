"""Which paths below a provider are served, by which methods: a few are recorded, a few pass through, nothing else exists.

Passing through is an allow-list because the provider's key may have administrator's rights, and because all members share
it: what a key gives access to is not for each of them. An operator may add routes: to be passed on, or to be recorded by the
nearest API. Each segment of a path is of a named set of characters; none is empty, and none climbs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import unquote

from intercept import catalog
from intercept.apis import Api, Dialect
from intercept.catalog import ANTHROPIC, BEDROCK, BY_NAME, DIALECTS, GEMINI, OPENAI

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


# Those of RFC 3986 section 3.3 without `;`, behind which some servers look for parameters of the segment.
SEGMENT = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})+")
# What must not stand there encoded either: another server might decode it once more, or cut the path there.
_UNFIT = re.compile(r"[\x00-\x1f\x7f%;\\#?]")


def find_fault(path: str) -> str:
    """What keeps a percent-encoded path from being served, such as `an empty segment`; empty if nothing does.

    A path that could mean another one to a server behind us (`..`, also encoded) is not served.
    """
    for segment in path.removeprefix("/").split("/"):
        if not segment:
            return "an empty segment"
        if not SEGMENT.fullmatch(segment):
            return "characters that are not allowed there"
        if "%" not in segment:
            if segment in {".", ".."}:
                return "a segment `.` or `..`"
            continue
        try:
            decoded = unquote(segment, errors="strict")
        except UnicodeDecodeError:
            return "percent-encoded bytes that are not UTF-8"
        if _UNFIT.search(decoded):
            return "percent-encoded characters that are not allowed there"
        if not {".", "..", ""}.isdisjoint(decoded.split("/")):
            return "an encoded segment that is empty, `.` or `..`"
    return ""


def _recorded(api: Api) -> Route:
    return Route(api.path, api.dialect, POST, api)


def _own(pattern: str, audience: Audience, *methods: str, dialect: Dialect = OPENAI) -> Route:
    return Route(pattern, dialect, methods, audience=audience)


BATCH_RESULTS = "/v1/messages/batches/{id}/results"
"""The route whose response tells what the requests of a batch of Anthropic's used."""
_OF_AZURE = "/openai"
_AS_OPENAI = ("/v1", _OF_AZURE)
BATCH_STATES = frozenset(f"{begins}/batches/{{id}}{rest}" for begins in _AS_OPENAI for rest in ("", "/cancel"))
"""The routes whose responses name the files that a batch of OpenAI's has put out."""
_INTERACTION = "/interactions/{id}"
_OF_PROJECT = "/projects/{project}/locations/{location}"
STORED_RESPONSES = {
    **{f"{begins}/responses/{{id}}{rest}": catalog.RESPONSES for begins in _AS_OPENAI for rest in ("", "/cancel")},
    **{
        f"{begins}{_INTERACTION}{rest}": catalog.INTERACTIONS
        for begins in ("/{version}", _OF_PROJECT)
        for rest in ("", "/cancel")
    },
}
"""The routes whose responses may tell what a response used that ran in the background, each with the API of that."""
FILE_CONTENTS = frozenset(f"{begins}/files/{{id}}/content" for begins in _AS_OPENAI)
"""The routes whose responses may be the output of such a batch."""


def _own_interaction(begins: str, prefix: str = "") -> tuple[Route, ...]:
    of_one = _own(begins + _INTERACTION, Audience.OWN_RESPONSE, *READ, "DELETE", dialect=GEMINI)
    cancelled = _own(f"{begins}{_INTERACTION}/cancel", Audience.OWN_RESPONSE, *POST, dialect=GEMINI)
    return replace(of_one, prefix=prefix), replace(cancelled, prefix=prefix)


def _own_batch(rest: str, *methods: str) -> Route:
    return _own(f"/v1/messages/batches/{{id}}{rest}", Audience.OWN_RESPONSE, *methods, dialect=ANTHROPIC)


# What takes no conversation, and works on files: of OpenAI, and below a deployment of Azure.
_MEDIA = (
    catalog.IMAGES,
    catalog.IMAGE_EDITS,
    catalog.IMAGE_VARIATIONS,
    catalog.TRANSCRIPTIONS,
    catalog.TRANSLATIONS,
    catalog.SPEECH,
)


OPENAI_ROUTES = (
    _recorded(catalog.CHAT_COMPLETIONS),
    _recorded(catalog.RESPONSES),
    Route("/v1/responses/compact", OPENAI, POST, catalog.RESPONSES),
    Route("/v1/responses/input_tokens", OPENAI, POST),
    _own("/v1/responses/{id}", Audience.OWN_RESPONSE, *READ, "DELETE"),
    _own("/v1/responses/{id}/cancel", Audience.OWN_RESPONSE, *POST),
    _own("/v1/responses/{id}/input_items", Audience.OWN_RESPONSE, *READ),
    _own("/v1/conversations", Audience.OWN_KEY, *POST),
    _own("/v1/conversations/{id}", Audience.OWN_KEY, *READ, "POST", "DELETE"),
    _own("/v1/conversations/{id}/items", Audience.OWN_KEY, *READ, "POST"),
    _own("/v1/conversations/{id}/items/*", Audience.OWN_KEY, *READ, "DELETE"),
    Route("/v1/models", OPENAI, READ),
    Route("/v1/models/*", OPENAI, READ),
    _recorded(catalog.EMBEDDINGS),
    _recorded(catalog.COMPLETIONS),
    _recorded(catalog.MODERATIONS),
    *map(_recorded, _MEDIA),
    _recorded(catalog.FILES),
    _own(catalog.FILES.path, Audience.OWN_KEY, *READ),
    _own("/v1/files/{id}", Audience.OWN_RESPONSE, *READ, "DELETE"),
    _own("/v1/files/{id}/content", Audience.OWN_RESPONSE, *READ),
    _recorded(catalog.UPLOADS),
    _own("/v1/uploads/{id}/parts", Audience.OWN_RESPONSE, *POST),
    replace(_recorded(catalog.UPLOAD_COMPLETIONS), audience=Audience.OWN_RESPONSE),
    _own("/v1/uploads/{id}/cancel", Audience.OWN_RESPONSE, *POST),
    _recorded(catalog.BATCHES),
    _own(catalog.BATCHES.path, Audience.OWN_KEY, *READ),
    _own("/v1/batches/{id}", Audience.OWN_RESPONSE, *READ),
    _own("/v1/batches/{id}/cancel", Audience.OWN_RESPONSE, *POST),
)
RERANK_ROUTE = _recorded(catalog.RERANK)  # not OpenAI's, but of servers that have its other APIs
MESSAGES_ROUTE = _recorded(catalog.MESSAGES)
COUNT_TOKENS_ROUTE = _recorded(catalog.MESSAGES_COUNT_TOKENS)
ANTHROPIC_ROUTES = (
    MESSAGES_ROUTE,
    COUNT_TOKENS_ROUTE,
    _recorded(catalog.MESSAGE_BATCHES),
    _own(catalog.MESSAGE_BATCHES.path, Audience.OWN_KEY, *READ, dialect=ANTHROPIC),
    _own_batch("", *READ, "DELETE"),
    _own_batch("/cancel", *POST),
    _own_batch("/results", *READ),
    Route("/v1/models", ANTHROPIC, READ),
    Route("/v1/models/*", ANTHROPIC, READ),
    Route("/api/event_logging/*", ANTHROPIC, POST),
)

# Below `/openai/v1` Azure is as OpenAI; a client may leave the first segment to the bridge.
AZURE_ROUTES = (
    *(replace(route, prefix="/openai") for route in OPENAI_ROUTES),
    Route("/openai/deployments/{deployment}/chat/completions", OPENAI, POST, catalog.CHAT_COMPLETIONS),
    Route("/openai/deployments/{deployment}/embeddings", OPENAI, POST, catalog.EMBEDDINGS),
    Route("/openai/deployments/{deployment}/completions", OPENAI, POST, catalog.COMPLETIONS),
    *(
        replace(_recorded(api), pattern=api.path.replace("/v1/", "/openai/deployments/{deployment}/"))
        for api in _MEDIA
        if api is not catalog.IMAGE_VARIATIONS
    ),
    *(
        replace(route, pattern=route.pattern.replace("/v1", _OF_AZURE, 1))
        for route in OPENAI_ROUTES
        if route.pattern.startswith(("/v1/responses", "/v1/models", "/v1/files", "/v1/batches"))
    ),
)
COPILOT_ROUTES = (
    Route("/chat/completions", OPENAI, POST, catalog.CHAT_COMPLETIONS, prefix="/v1"),
    Route("/responses", OPENAI, POST, catalog.RESPONSES, prefix="/v1"),
    Route("/embeddings", OPENAI, POST, catalog.EMBEDDINGS, prefix="/v1"),
    Route("/models", OPENAI, READ, prefix="/v1"),
    Route("/models/*", OPENAI, READ, prefix="/v1"),
    MESSAGES_ROUTE,
    COUNT_TOKENS_ROUTE,
)
CHATGPT_ROUTES = tuple(
    route for route in OPENAI_ROUTES if route.pattern in ("/v1/responses", "/v1/responses/compact", "/v1/models")
)
_GEMINI = "/{version}/models"
GEMINI_ROUTES = (
    _recorded(catalog.GENERATE_CONTENT),
    Route(_GEMINI + "/{model}:streamGenerateContent", GEMINI, POST, catalog.GENERATE_CONTENT, streams=True),
    _recorded(catalog.COUNT_TOKENS),
    _recorded(catalog.EMBED_CONTENT),
    Route(_GEMINI + "/{model}:batchEmbedContents", GEMINI, POST, catalog.EMBED_CONTENT),
    _recorded(catalog.PREDICT),
    _recorded(catalog.INTERACTIONS),
    *_own_interaction("/{version}"),
    Route(_GEMINI, GEMINI, READ),
    Route(_GEMINI + "/{id}", GEMINI, READ),
)


def _on_vertex(publisher: str, method: str, dialect: Dialect, api: Api | None, *, streams: bool = False) -> Route:
    pattern = f"{_OF_PROJECT}/publishers/{publisher}/models/{method}"
    return Route(pattern, dialect, POST, api, prefix="/{version}", streams=streams)


_OF_VERTEX = (
    _on_vertex("google", "{model}:generateContent", GEMINI, catalog.GENERATE_CONTENT),
    _on_vertex("google", "{model}:streamGenerateContent", GEMINI, catalog.GENERATE_CONTENT, streams=True),
    _on_vertex("google", "{model}:countTokens", GEMINI, catalog.COUNT_TOKENS),
    _on_vertex("google", "{model}:embedContent", GEMINI, catalog.EMBED_CONTENT),
    _on_vertex("google", "{model}:batchEmbedContents", GEMINI, catalog.EMBED_CONTENT),
    _on_vertex("google", "{model}:predict", GEMINI, catalog.PREDICT),
)
EXPRESS_ROUTES = tuple(replace(route, pattern=route.pattern.removeprefix(_OF_PROJECT)) for route in _OF_VERTEX)
"""The routes of Vertex AI in express mode, where the key stands for the project."""
VERTEX_ROUTES = (
    *_OF_VERTEX,
    *EXPRESS_ROUTES,
    Route(f"{_OF_PROJECT}/interactions", GEMINI, POST, catalog.INTERACTIONS, prefix="/{version}"),
    *_own_interaction(_OF_PROJECT, "/{version}"),
    Route(
        f"{_OF_PROJECT}/endpoints/openapi/chat/completions",
        OPENAI,
        POST,
        catalog.CHAT_COMPLETIONS,
        prefix="/{version}",
        vendor="google/",
    ),
    _on_vertex("anthropic", "count-tokens:rawPredict", ANTHROPIC, catalog.MESSAGES_COUNT_TOKENS),
    _on_vertex("anthropic", "{model}:rawPredict", ANTHROPIC, catalog.MESSAGES),
    _on_vertex("anthropic", "{model}:streamRawPredict", ANTHROPIC, catalog.MESSAGES, streams=True),
)
# A model may be an ARN, with encoded slashes.
BEDROCK_ROUTES = (
    _recorded(catalog.INVOKE),
    Route("/model/{model}/invoke-with-response-stream", BEDROCK, POST, catalog.INVOKE, streams=True),
    _recorded(catalog.CONVERSE),
    Route("/model/{model}/converse-stream", BEDROCK, POST, catalog.CONVERSE, streams=True),
    Route("/model/{model}/count-tokens", BEDROCK, POST, catalog.MESSAGES_COUNT_TOKENS),
)
# Mantle has the APIs of both vendors, each below its name; a client may leave that segment to the bridge.
MANTLE_ROUTES = (
    *(replace(route, prefix="/openai") for route in OPENAI_ROUTES),
    *(replace(route, prefix="/anthropic") for route in ANTHROPIC_ROUTES if route.pattern.startswith("/v1/messages")),
)


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
