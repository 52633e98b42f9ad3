"""Which client sent a request, and in which of its sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from intercept.json_text import as_text, read_object

MAX_SESSION_ID: Final = 256
"""Characters of a session id."""
UNKNOWN: Final = "Unknown"
"""The name of a client that is none of the known ones."""


@dataclass(frozen=True)
class _Client:
    """How a client is recognised: by the beginning of its User-Agent, or its `originator`."""

    name: str
    user_agent: str
    originator: str | None = None
    session_headers: tuple[str, ...] = ()

    def sent(self, user_agent: str, originator: str) -> bool:
        return user_agent.startswith(self.user_agent) or (self.originator is not None and originator == self.originator)


_CLAUDE_CODE: Final = "Claude Code"
_CLIENTS: Final = (
    _Client("Mux", "mux/", session_headers=("X-Mux-Workspace-Id",)),
    _Client(_CLAUDE_CODE, "claude", session_headers=("X-Claude-Code-Session-Id",)),
    _Client("Codex", "codex", session_headers=("Session-Id", "Session_id")),
    _Client("Zed", "zed/"),
    _Client("GitHub Copilot (VS Code)", "githubcopilotchat/", session_headers=("X-Interaction-Id",)),
    _Client("GitHub Copilot (CLI)", "copilot/", session_headers=("X-Client-Session-Id",)),
    _Client("Kilo Code", "kilo-code/", originator="kilo-code", session_headers=("X-Kilocode-Taskid",)),
    _Client("Roo Code", "roo-code/", originator="roo-code"),
    _Client("Coder Agents", "coder-agents/", session_headers=("X-Coder-Chat-Id",)),
    _Client("Charm Crush", "charm crush/"),
    _Client("OpenCode", "opencode/", session_headers=("X-Session-Id",)),
)
# It names its library in its User-Agent, and sends a header that nobody else does.
_CURSOR: Final = "Cursor"
_CURSOR_HEADER: Final = "X-Cursor-Client-Version"
# By more of a text no client is recognised, so no more of it is remembered.
_CHARACTERS: Final = 32
_NAMES_REMEMBERED: Final = 1_000
_SESSION_HEADERS: Final = {client.name: client.session_headers for client in _CLIENTS}


def client_name(headers: Mapping[str, str]) -> str:
    """Name the client; the first one that fits, `UNKNOWN` if none does.

    Args:
        headers: The request's headers, looked up without regard to case.
    """
    user_agent, originator = headers.get("User-Agent", ""), headers.get("Originator", "")
    name = _recognised(user_agent[:_CHARACTERS], originator[:_CHARACTERS])
    return name or (_CURSOR if _CURSOR_HEADER in headers else UNKNOWN)


def session_id(client: str, headers: Mapping[str, str], hint: str | None) -> str | None:
    """Return the client's own id of the session, at most `MAX_SESSION_ID` characters; None if it says none.

    Args:
        client: The client's name as `client_name` gave it.
        headers: The request's headers, looked up without regard to case.
        hint: What the body says about the session: of Claude Code `metadata.user_id`, which is a JSON object with
            `session_id` or, before that, text that ends in `_session_` and the id.
    """
    said = [headers.get(name, "") for name in _SESSION_HEADERS.get(client, ())]
    if client == _CLAUDE_CODE and hint:
        said.append(_claude_code_session(hint))
    return next((text.strip()[:MAX_SESSION_ID] for text in said if text.strip()), None)


@lru_cache(_NAMES_REMEMBERED)
def _recognised(user_agent: str, originator: str) -> str | None:
    user_agent, originator = user_agent.lower(), originator.lower()
    return next((client.name for client in _CLIENTS if client.sent(user_agent, originator)), None)


def _claude_code_session(user_id: str) -> str:
    _, mark, session = user_id.rpartition("_session_")
    return as_text(read_object(user_id.encode()).get("session_id")) or (session if mark else "")
