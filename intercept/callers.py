"""Who calls, by a request's headers: which client, in which of its sessions, which agent of it, and at which try.

Which agent of Claude Code sent a request its own headers say. The two ids are always there for a subagent; the hints only where
`CLAUDE_CODE_GATEWAY_HINT_HEADERS=1` is set in its environment.

The SDKs that Stainless makes (OpenAI's, Anthropic's and others) count in `X-Stainless-Retry-Count` how often they have tried
before; those of AWS say in `amz-sdk-request` which attempt it is (`attempt=2; max=3`), from one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from msgspec import Struct, field

from intercept.formats.json_text import as_text, read_object

MAX_VALUE: Final = 256
"""Characters of an id or a hint."""

_PREFIX: Final = "X-Claude-Code-"
_AGENT_ID: Final = f"{_PREFIX}Agent-Id"
_PARENT_AGENT_ID: Final = f"{_PREFIX}Parent-Agent-Id"
_HINTS: Final = {
    "request_class": f"{_PREFIX}Request-Class",
    "agent_type": f"{_PREFIX}Agent-Type",
    "compaction": f"{_PREFIX}Compaction",
    "prompt_id": f"{_PREFIX}Prompt-Id",
    "prev_tool_durations": f"{_PREFIX}Prev-Tool-Durations",
}


class SessionAgent(Struct, frozen=True, kw_only=True):
    """Which agent of a session sent a request; None is the session's main one, or a client that does not say.

    `hints` are those that were sent: `request_class` (main, subagent, workflow, compaction, auxiliary), `agent_type`,
    `compaction`, `prompt_id`, `prev_tool_durations` (in milliseconds: `Bash=742;Read=9`).
    """

    id: str | None = None
    parent_id: str | None = None
    hints: dict[str, str] = field(default_factory=dict)


def read_agent(headers: Mapping[str, str]) -> SessionAgent:
    """Read the headers, in any case; each value is cut at `MAX_VALUE`."""
    return SessionAgent(
        id=_value(headers, _AGENT_ID),
        parent_id=_value(headers, _PARENT_AGENT_ID),
        hints={name: value for name, header in _HINTS.items() if (value := _value(headers, header))},
    )


def _value(headers: Mapping[str, str], name: str) -> str | None:
    return headers[name].strip()[:MAX_VALUE] or None if name in headers else None


MAX_SESSION_ID: Final = 256
"""Characters of a session id."""
UNKNOWN: Final = "Unknown"
"""The name of an unknown client."""


@dataclass(frozen=True)
class _Client:
    """How a client is recognised: by one of the beginnings of its User-Agent, or its `originator`."""

    name: str
    user_agent: str | tuple[str, ...]
    originator: str | None = None
    session_headers: tuple[str, ...] = ()
    is_library: bool = False

    def sent(self, user_agent: str, originator: str) -> bool:
        return user_agent.startswith(self.user_agent) or originator == self.originator


def _library(name: str, *user_agents: str) -> _Client:
    return _Client(name, user_agents, is_library=True)


CLAUDE_CODE: Final = "Claude Code"
COPILOT_CLI: Final = "GitHub Copilot (CLI)"
_CLIENTS: Final = (
    _Client("Mux", "mux/", session_headers=("X-Mux-Workspace-Id",)),
    _Client(CLAUDE_CODE, "claude", session_headers=("X-Claude-Code-Session-Id",)),
    _Client("Codex", "codex", session_headers=("Session-Id", "Session_id")),
    _Client("Zed", "zed/"),
    _Client("GitHub Copilot (VS Code)", "githubcopilotchat/", session_headers=("X-Interaction-Id",)),
    _Client(COPILOT_CLI, "copilot/", session_headers=("X-Client-Session-Id",)),
    _Client("Kilo Code", "kilo-code/", originator="kilo-code", session_headers=("X-Kilocode-Taskid",)),
    _Client("Roo Code", "roo-code/", originator="roo-code"),
    _Client("Coder Agents", "coder-agents/", session_headers=("X-Coder-Chat-Id",)),
    _Client("Charm Crush", "charm crush/"),
    _Client("OpenCode", "opencode/", session_headers=("X-Session-Id",)),
    _Client("Qwen Code", "qwencode/"),
    _Client("Gemini CLI", "geminicli"),
    _Client("Continue", "ls/js"),
    _library("DSPy", "lm15/stdlib"),
    _library("Pydantic AI", "pydantic-ai/"),
    _library("LlamaIndex", "llama-index/"),
    _library("LiteLLM", "litellm/"),
    _library("LangChain (Python)", "langchain-"),
    _library("LangChain (JavaScript)", "langchainjs-"),
    _library("Vercel AI SDK", "ai/", "ai-sdk/", "ai-sdk-"),  # the last: packages of providers, from version 7 on
    _library("OpenAI Agents SDK (Python)", "agents/python"),
    _library("OpenAI Agents SDK (JavaScript)", "agents/javascript"),
    _library("OpenAI SDK (Python)", "openai/python", "asyncopenai/python", "_moduleclient/python"),
    _library("OpenAI SDK (JavaScript)", "openai/js"),
    _library("OpenAI SDK (Go)", "openai/go"),
    _library("OpenAI SDK (Java)", "openai/java"),
    _library("Anthropic SDK (Python)", "anthropic/python", "asyncanthropic/python"),
    _library("Anthropic SDK (JavaScript)", "anthropic/js"),
    _library("Anthropic SDK (Go)", "anthropic/go"),
    _library("Anthropic SDK (Java)", "anthropic/java"),
    _library("Anthropic SDK (Foundry)", "anthropicfoundry/", "asyncanthropicfoundry/"),
    _library("Azure OpenAI SDK (Python)", "azureopenai/python", "asyncazureopenai/python", "_azuremoduleclient/python"),
    _library("OpenAI SDK (Bedrock)", "bedrockopenai/", "asyncbedrockopenai/", "_bedrockmoduleclient/"),
    _library("Anthropic SDK (Vertex)", "anthropicvertex/", "asyncanthropicvertex/"),
    _library("Anthropic SDK (Google Cloud)", "anthropicgooglecloud/", "asyncanthropicgooglecloud/"),
    _library("Anthropic SDK (AWS)", "anthropicaws/", "asyncanthropicaws/"),
    _library("Anthropic SDK (Bedrock)", "anthropicbedrock", "asyncanthropicbedrock"),
    _library("AWS SDK (Python)", "boto3/", "botocore/"),
    _library("Google Gen AI SDK", "google-genai-sdk/"),
    _library("httpx (Python)", "python-httpx"),
    _library("requests (Python)", "python-requests"),
    _library("aiohttp (Python)", "python/3"),
    _library("curl", "curl/"),
)
# These name a library in their User-Agent, but send headers of their own.
_BY_HEADERS: Final[tuple[tuple[str, ...], ...]] = (
    ("Cursor", "X-Cursor-Client-Version"),
    (COPILOT_CLI, "X-Initiator", "X-Interaction-Type"),
)
# What Copilot's command line sends with the results of tools, without a type.
_BY_AGENT: Final = "agent"
# What programs without a header of their own send, each known from at least one of them.
_COMMON_SESSION_HEADERS: Final = ("Session-Id", "Session_id", "X-Session-Id", "X-Client-Session-Id", "X-Affinity")
# Clients are recognised by this much of a text, so no more of it is cached.
_CHARACTERS: Final = 32
_NAMES_REMEMBERED: Final = 1_000
_SESSION_HEADERS: Final = {client.name: client.session_headers for client in _CLIENTS}


def client_name(headers: Mapping[str, str]) -> str:
    """Name the client, a program before the library that it uses; `UNKNOWN` if none is recognised.

    The headers have to be found in any case.
    """
    user_agent, originator = headers.get("User-Agent", ""), headers.get("Originator", "")
    name, is_program = _recognised(user_agent[:_CHARACTERS], originator[:_CHARACTERS])
    if is_program:
        return name
    if headers.get("X-Initiator") == _BY_AGENT:
        return COPILOT_CLI
    for program, first, *others in _BY_HEADERS:
        if first in headers and all(one in headers for one in others):
            return program
    return name


def session_id(
    client: str, headers: Mapping[str, str], hint: str | None, conversation_id: str | None = None
) -> str | None:
    """Return the client's own id of the session, at most `MAX_SESSION_ID` characters; None if it says none.

    Args:
        client: The client's name as `client_name` gave it.
        headers: The request's headers, looked up in any case.
        hint: What the body says about the session: of Claude Code `metadata.user_id`, which is a JSON object with
            `session_id` or, before that, text that ends in `_session_` and the id.
        conversation_id: The id that the body gives its conversation, whatever the client.
    """
    ids = [headers[name] for name in _SESSION_HEADERS.get(client, ()) if name in headers]
    if client == CLAUDE_CODE and hint:
        ids.append(_claude_code_session(hint))
    ids += [headers[name] for name in _COMMON_SESSION_HEADERS if name in headers]
    if conversation_id:
        ids.append(conversation_id)
    return next((text.strip()[:MAX_SESSION_ID] for text in ids if text.strip()), None)


@lru_cache(_NAMES_REMEMBERED)
def _recognised(user_agent: str, originator: str) -> tuple[str, bool]:
    """The name of a client, and whether it is a program that people use rather than a library of programs."""
    user_agent, originator = user_agent.lower(), originator.lower()
    known = next((client for client in _CLIENTS if client.sent(user_agent, originator)), None)
    return (UNKNOWN, False) if known is None else (known.name, not known.is_library)


def _claude_code_session(user_id: str) -> str:
    _, separator, session = user_id.rpartition("_session_")
    return as_text(read_object(user_id.encode()).get("session_id")) or (session if separator else "")


COUNT_HEADER: Final = "X-Stainless-Retry-Count"
ATTEMPT_HEADER: Final = "amz-sdk-request"

_COUNT: Final = re.compile(r"\s*([0-9]{1,3})\s*")
_ATTEMPT: Final = re.compile(r"(?:[^;]{0,64};){0,8}\s*attempt=([0-9]{1,3})\s*(?:;|\Z)")


def retry_count(headers: Mapping[str, str]) -> int:
    """Return the number of earlier tries, 0 if the client does not say. Headers are looked up in any case."""
    if COUNT_HEADER in headers and (found := _COUNT.fullmatch(headers[COUNT_HEADER])):
        return int(found[1])
    found = _ATTEMPT.match(headers[ATTEMPT_HEADER]) if ATTEMPT_HEADER in headers else None
    return max(int(found[1]) - 1, 0) if found else 0
