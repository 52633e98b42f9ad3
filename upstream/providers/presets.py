"""The types of providers: API, address, and credential of each. One table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType

from intercept.apis import Dialect
from intercept.catalog import ANTHROPIC, BEDROCK, GEMINI, OPENAI
from upstream.credentials.access import Credential
from upstream.routes import (
    ANTHROPIC_ROUTES,
    AZURE_ROUTES,
    BEDROCK_ROUTES,
    CHATGPT_ROUTES,
    COPILOT_ROUTES,
    COUNT_TOKENS_ROUTE,
    GEMINI_ROUTES,
    MANTLE_ROUTES,
    MESSAGES_ROUTE,
    OPENAI_ROUTES,
    RERANK_ROUTE,
    VERTEX_ROUTES,
    Route,
)


class ProviderType(StrEnum):
    """The usual pairs of a dialect and an access. The demo provider speaks several dialects, and is not set up."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    VERTEX = "vertex"
    AZURE = "azure"
    FOUNDRY = "foundry"
    OPENROUTER = "openrouter"
    COPILOT = "copilot"
    CHATGPT = "chatgpt"
    OLLAMA = "ollama"
    VLLM = "vllm"
    OPENAI_COMPATIBLE = "openai-compatible"
    BEDROCK = "bedrock"
    BEDROCK_MANTLE = "bedrock-mantle"
    CLAUDE_AWS = "claude-aws"
    DEMO = "demo"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The properties of a type of provider.

    Attributes:
        dialect: That of errors on paths which no route has.
        routes: What is served. Each route has a dialect.
        base_url: The vendor's address; empty where each customer has one of their own. `{region}` stands for the region.
        credential: What the provider expects, unless a setting says otherwise.
        rewrites: How a path begins, and how it begins upstream; the first that fits counts, else the path stays.
        has_websocket: Whether it serves OpenAI's responses over a WebSocket too.
        is_own_server: Whether it is a server of one's own, which needs no key.
        is_own_key_only: Whether each user brings a credential: what it gives access to is one person's.
        aws_service: The name of the service in a signature of AWS; empty where none is signed.
        prices: Whose list prices count where the address tells nothing; empty for nobody's.
    """

    dialect: Dialect
    routes: tuple[Route, ...]
    base_url: str = ""
    credential: Credential = Credential.BEARER
    rewrites: tuple[tuple[str, str], ...] = ()
    has_websocket: bool = False
    is_own_server: bool = False
    is_own_key_only: bool = False
    aws_service: str = ""
    prices: str = ""

    @cached_property
    def dialects(self) -> frozenset[Dialect]:
        """All dialects that are spoken."""
        return frozenset({self.dialect, *(route.dialect for route in self.routes)})

    @cached_property
    def has_system_parameters(self) -> bool:
        """Whether there are parameters of the query that change a response in ways that are not read."""
        return any(dialect.system_parameters for dialect in self.dialects)

    def url_in(self, region: str) -> str:
        """The vendor's address in a region; empty where there is none, or where it takes a region and none is given."""
        if "{region}" in self.base_url and not region:
            return ""
        # The address of Google's region `global` has no region in it.
        return self.base_url.replace("{region}", region).replace("//global-", "//")

    def upstream_path(self, path: str) -> str:
        """How a path below the provider is called below its base URL."""
        for begins, upstream in self.rewrites:
            if path.startswith(begins):
                return upstream + path[len(begins) :]
        return path


# The base URL has the version in it: clients of OpenAI's API give it so.
_VERSION_IN_BASE = (("/v1/", "/"),)

PRESETS = MappingProxyType(
    {
        ProviderType.OPENAI: Preset(
            dialect=OPENAI,
            routes=OPENAI_ROUTES,
            base_url="https://api.openai.com/v1/",
            rewrites=_VERSION_IN_BASE,
            has_websocket=True,
            prices="openai",
        ),
        ProviderType.ANTHROPIC: Preset(
            dialect=ANTHROPIC,
            routes=ANTHROPIC_ROUTES,
            base_url="https://api.anthropic.com/",
            credential=Credential.X_API_KEY,
            prices="anthropic",
        ),
        ProviderType.GEMINI: Preset(
            dialect=GEMINI,
            routes=GEMINI_ROUTES,
            base_url="https://generativelanguage.googleapis.com/",
            credential=Credential.X_GOOG_API_KEY,
            prices="google",
        ),
        ProviderType.VERTEX: Preset(
            dialect=GEMINI,
            routes=VERTEX_ROUTES,
            base_url="https://{region}-aiplatform.googleapis.com/",
            credential=Credential.GOOGLE,
            rewrites=(("/projects/", "/v1/projects/"), ("/publishers/", "/v1/publishers/")),
            prices="google",
        ),
        ProviderType.AZURE: Preset(
            dialect=OPENAI,
            routes=AZURE_ROUTES,
            credential=Credential.API_KEY,
            rewrites=(("/v1/", "/openai/v1/"),),
            has_websocket=True,
            prices="azure",
        ),
        ProviderType.FOUNDRY: Preset(
            dialect=ANTHROPIC,
            routes=(MESSAGES_ROUTE, COUNT_TOKENS_ROUTE),  # it lists no models, and has no batches
            credential=Credential.X_API_KEY,
            prices="anthropic",
        ),
        ProviderType.OPENROUTER: Preset(
            dialect=OPENAI,
            routes=(*OPENAI_ROUTES, RERANK_ROUTE, MESSAGES_ROUTE),
            base_url="https://openrouter.ai/api/v1/",
            rewrites=_VERSION_IN_BASE,
            prices="openrouter",
        ),
        ProviderType.COPILOT: Preset(
            dialect=OPENAI,
            routes=COPILOT_ROUTES,
            base_url="https://api.individual.githubcopilot.com/",
            rewrites=(("/v1/messages", "/v1/messages"), ("/v1/", "/")),
            is_own_key_only=True,
        ),
        ProviderType.CHATGPT: Preset(
            dialect=OPENAI,
            routes=CHATGPT_ROUTES,
            base_url="https://chatgpt.com/backend-api/codex/",
            rewrites=_VERSION_IN_BASE,
            is_own_key_only=True,
        ),
        ProviderType.OLLAMA: Preset(
            dialect=OPENAI,
            routes=(*OPENAI_ROUTES, MESSAGES_ROUTE),
            base_url="http://127.0.0.1:11434/v1/",
            rewrites=_VERSION_IN_BASE,
            is_own_server=True,
        ),
        ProviderType.VLLM: Preset(
            dialect=OPENAI,
            routes=(*OPENAI_ROUTES, RERANK_ROUTE, MESSAGES_ROUTE, COUNT_TOKENS_ROUTE),
            base_url="http://127.0.0.1:8000/v1/",
            rewrites=_VERSION_IN_BASE,
            is_own_server=True,
        ),
        ProviderType.OPENAI_COMPATIBLE: Preset(
            dialect=OPENAI,
            routes=(*OPENAI_ROUTES, RERANK_ROUTE),
            rewrites=_VERSION_IN_BASE,
            is_own_server=True,
        ),
        ProviderType.BEDROCK: Preset(
            dialect=BEDROCK,
            routes=BEDROCK_ROUTES,
            base_url="https://bedrock-runtime.{region}.amazonaws.com/",
            credential=Credential.AWS,
            aws_service="bedrock",
            prices="aws",
        ),
        ProviderType.BEDROCK_MANTLE: Preset(
            dialect=OPENAI,
            routes=MANTLE_ROUTES,
            base_url="https://bedrock-mantle.{region}.api.aws/",
            credential=Credential.AWS,
            rewrites=(("/v1/messages", "/anthropic/v1/messages"),),
            aws_service="bedrock-mantle",
            prices="aws",
        ),
        ProviderType.CLAUDE_AWS: Preset(
            dialect=ANTHROPIC,
            routes=ANTHROPIC_ROUTES,
            base_url="https://aws-external-anthropic.{region}.api.aws/",
            credential=Credential.X_API_KEY,
            aws_service="aws-external-anthropic",
            prices="anthropic",
        ),
        ProviderType.DEMO: Preset(
            dialect=OPENAI,
            routes=OPENAI_ROUTES + ANTHROPIC_ROUTES,
            credential=Credential.NONE,
            is_own_server=True,
            prices="demo",
        ),
    }
)
"""By type."""

ALL_ROUTES = tuple(dict.fromkeys(route for preset in PRESETS.values() for route in preset.routes))
"""The routes of all types, each once."""
