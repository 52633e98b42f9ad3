"""How invented people work: with which client, which models, and how a session of it goes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from intercept.records import ProviderError
from storage.examples.texts import SHELL, TOOLS


class Kind(NamedTuple):
    """A way to work.

    Attributes:
        client: The name of the client, as it is recorded.
        models: With the shares of sessions that use them.
        steps: The usual number of calls of a session, and the most; 1 is a single call.
        tools: What the model calls, with its inputs.
        thinks: What records call its reasoning; empty if it shows none.
        writes: Whether the provider reports what is written to the prompt cache.
        names_session: Whether the client says which session a call belongs to.
    """

    client: str
    user_agent: str
    provider: str
    route: str
    models: Mapping[str, float]
    steps: tuple[int, int]
    tools: Mapping[str, tuple[str, ...]]
    thinks: str
    writes: bool
    names_session: bool = True


CLAUDE_CODE: Final = Kind(
    "Claude Code",
    "claude-cli/2.1.0 (external, cli)",
    "anthropic",
    "/v1/messages",
    {"claude-sonnet-5": 0.65, "claude-opus-4-8": 0.3, "claude-haiku-4-5": 0.05},
    (10, 70),
    TOOLS,
    "thinking",
    writes=True,
)
CODEX: Final = Kind(
    "Codex",
    "codex_cli_rs/0.98.0",
    "openai",
    "/v1/responses",
    {"gpt-5.3-codex": 0.7, "gpt-5.5": 0.3},
    (9, 50),
    SHELL,
    "reasoning_summary",
    writes=False,
)
GEMINI_CLI: Final = Kind(
    "Gemini CLI",
    "GeminiCLI/0.30.0/gemini-2.5-pro (linux; x64)",
    "gemini",
    "/{version}/models/{model}:streamGenerateContent",
    {"gemini-2.5-pro": 0.6, "gemini-2.5-flash": 0.4},
    (6, 30),
    SHELL,
    "thinking",
    writes=False,
)
OPENAI_SDK: Final = Kind(
    "OpenAI SDK (Python)",
    "OpenAI/Python 2.20.0",
    "openai",
    "/v1/chat/completions",
    {"gpt-5-mini": 0.8, "gpt-5.5": 0.2},
    (1, 1),
    {},
    "",
    writes=False,
    names_session=False,
)
ANTHROPIC_SDK: Final = Kind(
    "Anthropic SDK (JavaScript)",
    "Anthropic/JS 0.80.0",
    "anthropic",
    "/v1/messages",
    {"claude-haiku-4-5": 0.7, "claude-sonnet-5": 0.3},
    (1, 1),
    {},
    "",
    writes=True,
    names_session=False,
)
USES: Final = {
    "platform": ((CLAUDE_CODE, 0.7), (CODEX, 0.2), (OPENAI_SDK, 0.1)),
    "data": ((CLAUDE_CODE, 0.35), (OPENAI_SDK, 0.4), (GEMINI_CLI, 0.25)),
    "mobile": ((CODEX, 0.45), (CLAUDE_CODE, 0.4), (GEMINI_CLI, 0.15)),
    "research": ((GEMINI_CLI, 0.3), (CLAUDE_CODE, 0.3), (ANTHROPIC_SDK, 0.4)),
    "support": ((ANTHROPIC_SDK, 0.7), (OPENAI_SDK, 0.3)),
}
DELEGATE: Final = "Task"
"""The tool that starts another agent."""

AGENT_IDS: Final = tuple(f"{number * 0x9E3779B1 % 2**32:08x}" for number in range(1, 17))
"""The ids that other agents have, of which each session has some: so it is known which there may be when they are removed."""

_READS: Final = ("Read", "Grep", "Glob")


def of_subagent(kind: Kind) -> Kind:
    """Return how another agent works that one of this kind starts: it looks at things, with small models too."""
    models = {**kind.models, "claude-haiku-4-5": 1.0}
    return kind._replace(models=models, steps=(5, 14), tools={name: kind.tools[name] for name in _READS})


PROJECTS: Final = {"platform": "atlas", "data": "insight", "mobile": "pocket", "research": "lab", "support": "helpdesk"}

FAILURES: Final = {
    "anthropic": ((529, ProviderError(type="overloaded_error", message="Overloaded")),),
    "openai": (
        (
            429,
            ProviderError(
                type="rate_limit_exceeded",
                message="Rate limit reached for requests per minute. Please try again later.",
            ),
        ),
        (500, ProviderError(type="server_error", message="The server had an error while processing your request.")),
    ),
    "gemini": ((503, ProviderError(type="UNAVAILABLE", message="The model is overloaded. Please try again later.")),),
}
TOO_LONG: Final = (
    400,
    ProviderError(type="invalid_request_error", message="prompt is too long: 204871 tokens > 200000 maximum"),
)
