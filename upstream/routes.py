"""Which paths below a provider are served, by which methods: a few are recorded, a few pass through, nothing else exists.

Passing through is an allow-list because the provider's key may have administrator's rights, and because all members share
it: what a key gives access to is not for each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import unquote

from intercept.apis import Api, Dialect
from intercept.catalog import (
    BATCHES,
    CHAT_COMPLETIONS,
    COMPLETIONS,
    CONVERSE,
    COUNT_TOKENS,
    EMBED_CONTENT,
    EMBEDDINGS,
    FILES,
    GENERATE_CONTENT,
    IMAGE_EDITS,
    IMAGE_VARIATIONS,
    IMAGES,
    INVOKE,
    MESSAGE_BATCHES,
    MESSAGES,
    MESSAGES_COUNT_TOKENS,
    MODERATIONS,
    PREDICT,
    RERANK,
    RESPONSES,
    SPEECH,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    UPLOAD_COMPLETIONS,
    UPLOADS,
)

# What is Google's and nobody else's: these versions, methods behind a colon, projects and publishers.
_OF_GOOGLE = re.compile(
    r"(/v1)*/v1(?:beta1?|alpha)/|(/v1)*/models/[^/]+(?::|%3A)\w+$|(/v1)*/(?:projects|publishers)/", re.IGNORECASE
)

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
    `streams` says that the path requests a stream, which otherwise the body does.
    """

    pattern: str
    dialect: Dialect
    methods: tuple[str, ...]
    api: Api | None = None
    audience: Audience = Audience.EVERYBODY
    prefix: str = ""
    streams: bool = False
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


def _recorded(api: Api) -> Route:
    return Route(api.path, api.dialect, POST, api)


def _own(pattern: str, audience: Audience, *methods: str, dialect: Dialect = Dialect.OPENAI) -> Route:
    return Route(pattern, dialect, methods, audience=audience)


BATCH_RESULTS = "/v1/messages/batches/{id}/results"
"""The route whose answer tells what the requests of a batch of Anthropic's used."""
_OF_AZURE = "/openai"
_AS_OPENAI = ("/v1", _OF_AZURE)
BATCH_STATES = frozenset(f"{begins}/batches/{{id}}{rest}" for begins in _AS_OPENAI for rest in ("", "/cancel"))
"""The routes whose responses name the files that a batch of OpenAI's has put out."""
FILE_CONTENTS = frozenset(f"{begins}/files/{{id}}/content" for begins in _AS_OPENAI)
"""The routes whose responses may be the output of such a batch."""


def _own_batch(rest: str, *methods: str) -> Route:
    return _own(f"/v1/messages/batches/{{id}}{rest}", Audience.OWN_RESPONSE, *methods, dialect=Dialect.ANTHROPIC)


# What takes no conversation, and works on files: of OpenAI, and below a deployment of Azure.
_MEDIA = (IMAGES, IMAGE_EDITS, IMAGE_VARIATIONS, TRANSCRIPTIONS, TRANSLATIONS, SPEECH)


OPENAI_ROUTES = (
    _recorded(CHAT_COMPLETIONS),
    _recorded(RESPONSES),
    Route("/v1/responses/compact", Dialect.OPENAI, POST, RESPONSES),
    Route("/v1/responses/input_tokens", Dialect.OPENAI, POST),
    _own("/v1/responses/{id}", Audience.OWN_RESPONSE, *READ, "DELETE"),
    _own("/v1/responses/{id}/cancel", Audience.OWN_RESPONSE, *POST),
    _own("/v1/responses/{id}/input_items", Audience.OWN_RESPONSE, *READ),
    _own("/v1/conversations", Audience.OWN_KEY, *POST),
    _own("/v1/conversations/{id}", Audience.OWN_KEY, *READ, "POST", "DELETE"),
    _own("/v1/conversations/{id}/items", Audience.OWN_KEY, *READ, "POST"),
    _own("/v1/conversations/{id}/items/*", Audience.OWN_KEY, *READ, "DELETE"),
    Route("/v1/models", Dialect.OPENAI, READ),
    Route("/v1/models/*", Dialect.OPENAI, READ),
    _recorded(EMBEDDINGS),
    _recorded(COMPLETIONS),
    _recorded(MODERATIONS),
    *map(_recorded, _MEDIA),
    _recorded(FILES),
    _own(FILES.path, Audience.OWN_KEY, *READ),
    _own("/v1/files/{id}", Audience.OWN_RESPONSE, *READ, "DELETE"),
    _own("/v1/files/{id}/content", Audience.OWN_RESPONSE, *READ),
    _recorded(UPLOADS),
    _own("/v1/uploads/{id}/parts", Audience.OWN_RESPONSE, *POST),
    replace(_recorded(UPLOAD_COMPLETIONS), audience=Audience.OWN_RESPONSE),
    _own("/v1/uploads/{id}/cancel", Audience.OWN_RESPONSE, *POST),
    _recorded(BATCHES),
    _own(BATCHES.path, Audience.OWN_KEY, *READ),
    _own("/v1/batches/{id}", Audience.OWN_RESPONSE, *READ),
    _own("/v1/batches/{id}/cancel", Audience.OWN_RESPONSE, *POST),
)
RERANK_ROUTE = _recorded(RERANK)  # not OpenAI's, but of servers that have its other APIs
MESSAGES_ROUTE = _recorded(MESSAGES)
ANTHROPIC_ROUTES = (
    MESSAGES_ROUTE,
    _recorded(MESSAGES_COUNT_TOKENS),
    _recorded(MESSAGE_BATCHES),
    _own(MESSAGE_BATCHES.path, Audience.OWN_KEY, *READ, dialect=Dialect.ANTHROPIC),
    _own_batch("", *READ, "DELETE"),
    _own_batch("/cancel", *POST),
    _own_batch("/results", *READ),
    Route("/v1/models", Dialect.ANTHROPIC, READ),
    Route("/v1/models/*", Dialect.ANTHROPIC, READ),
    Route("/api/event_logging/*", Dialect.ANTHROPIC, POST),
)

# Below `/openai/v1` Azure is as OpenAI; a client may leave the first segment to the bridge.
AZURE_ROUTES = (
    *(replace(route, prefix="/openai") for route in OPENAI_ROUTES),
    Route("/openai/deployments/{deployment}/chat/completions", Dialect.OPENAI, POST, CHAT_COMPLETIONS),
    Route("/openai/deployments/{deployment}/embeddings", Dialect.OPENAI, POST, EMBEDDINGS),
    Route("/openai/deployments/{deployment}/completions", Dialect.OPENAI, POST, COMPLETIONS),
    *(
        replace(_recorded(api), pattern=api.path.replace("/v1/", "/openai/deployments/{deployment}/"))
        for api in _MEDIA
        if api is not IMAGE_VARIATIONS
    ),
    *(
        replace(route, pattern=route.pattern.replace("/v1", _OF_AZURE, 1))
        for route in OPENAI_ROUTES
        if route.pattern.startswith(("/v1/responses", "/v1/models", "/v1/files", "/v1/batches"))
    ),
)
COPILOT_ROUTES = (
    Route("/chat/completions", Dialect.OPENAI, POST, CHAT_COMPLETIONS, prefix="/v1"),
    Route("/responses", Dialect.OPENAI, POST, RESPONSES, prefix="/v1"),
    Route("/embeddings", Dialect.OPENAI, POST, EMBEDDINGS, prefix="/v1"),
    Route("/models", Dialect.OPENAI, READ, prefix="/v1"),
    Route("/models/*", Dialect.OPENAI, READ, prefix="/v1"),
    MESSAGES_ROUTE,
    _recorded(MESSAGES_COUNT_TOKENS),
)
CHATGPT_ROUTES = tuple(
    route for route in OPENAI_ROUTES if route.pattern in ("/v1/responses", "/v1/responses/compact", "/v1/models")
)
_GEMINI = "/{version}/models"
GEMINI_ROUTES = (
    _recorded(GENERATE_CONTENT),
    Route(_GEMINI + "/{model}:streamGenerateContent", Dialect.GEMINI, POST, GENERATE_CONTENT, streams=True),
    _recorded(COUNT_TOKENS),
    _recorded(EMBED_CONTENT),
    Route(_GEMINI + "/{model}:batchEmbedContents", Dialect.GEMINI, POST, EMBED_CONTENT),
    _recorded(PREDICT),
    Route(_GEMINI, Dialect.GEMINI, READ),
    Route(_GEMINI + "/*", Dialect.GEMINI, READ),
)


def _on_vertex(publisher: str, method: str, dialect: Dialect, api: Api | None, *, streams: bool = False) -> Route:
    pattern = f"/projects/{{project}}/locations/{{location}}/publishers/{publisher}/models/{method}"
    return Route(pattern, dialect, POST, api, prefix="/{version}", streams=streams)


_OF_VERTEX = (
    _on_vertex("google", "{model}:generateContent", Dialect.GEMINI, GENERATE_CONTENT),
    _on_vertex("google", "{model}:streamGenerateContent", Dialect.GEMINI, GENERATE_CONTENT, streams=True),
    _on_vertex("google", "{model}:countTokens", Dialect.GEMINI, COUNT_TOKENS),
    _on_vertex("google", "{model}:embedContent", Dialect.GEMINI, EMBED_CONTENT),
    _on_vertex("google", "{model}:batchEmbedContents", Dialect.GEMINI, EMBED_CONTENT),
    _on_vertex("google", "{model}:predict", Dialect.GEMINI, PREDICT),
)
EXPRESS_ROUTES = tuple(
    replace(route, pattern=route.pattern.removeprefix("/projects/{project}/locations/{location}"))
    for route in _OF_VERTEX
)
"""Those of Vertex AI in express mode, where the key stands for the project."""
VERTEX_ROUTES = (
    *_OF_VERTEX,
    *EXPRESS_ROUTES,
    _on_vertex("anthropic", "count-tokens:rawPredict", Dialect.ANTHROPIC, MESSAGES_COUNT_TOKENS),
    _on_vertex("anthropic", "{model}:rawPredict", Dialect.ANTHROPIC, MESSAGES),
    _on_vertex("anthropic", "{model}:streamRawPredict", Dialect.ANTHROPIC, MESSAGES, streams=True),
)
# A model may be an ARN, with encoded slashes.
BEDROCK_ROUTES = (
    _recorded(INVOKE),
    Route("/model/{model}/invoke-with-response-stream", Dialect.BEDROCK, POST, INVOKE, streams=True),
    _recorded(CONVERSE),
    Route("/model/{model}/converse-stream", Dialect.BEDROCK, POST, CONVERSE, streams=True),
    Route("/model/{model}/count-tokens", Dialect.BEDROCK, POST, MESSAGES_COUNT_TOKENS),
)
# Mantle has the APIs of both vendors, each below its name; a client may leave that segment to the bridge.
MANTLE_ROUTES = (
    *(replace(route, prefix="/openai") for route in OPENAI_ROUTES),
    *(replace(route, prefix="/anthropic") for route in ANTHROPIC_ROUTES if route.pattern.startswith("/v1/messages")),
)


def find_routes(routes: Iterable[Route], path: str) -> list[Route]:
    """The routes of a percent-encoded path, whatever their methods; the first that has the method serves a request."""
    return [route for route in routes if route.matches(path)]


def guess_dialect(path: str) -> Dialect:
    """The dialect in which to refuse a path of a provider that speaks several, or of none."""
    if re.match(r"(/anthropic)?(/v1)*/messages|/api/|.*/publishers/anthropic/", path):
        return Dialect.ANTHROPIC
    if path.startswith("/model/"):
        return Dialect.BEDROCK
    return Dialect.GEMINI if _OF_GOOGLE.match(path) else Dialect.OPENAI
