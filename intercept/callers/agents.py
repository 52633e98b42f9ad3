"""Which agent of Claude Code sent a request: headers of its own say so.

The two ids are always there for a subagent; the hints only where `CLAUDE_CODE_GATEWAY_HINT_HEADERS=1` is set in its
environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

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


class Agent(Struct, frozen=True, kw_only=True):
    """Which agent of a session sent a request; None is the session's main one, or a client that does not say.

    `hints` are those that were sent: `request_class` (main, subagent, workflow, compaction, auxiliary), `agent_type`,
    `compaction`, `prompt_id`, `prev_tool_durations` (in milliseconds: `Bash=742;Read=9`).
    """

    id: str | None = None
    parent_id: str | None = None
    hints: dict[str, str] = field(default_factory=dict)


def read_agent(headers: Mapping[str, str]) -> Agent:
    """Read the headers, in any case; each value is cut at `MAX_VALUE`."""
    return Agent(
        id=_value(headers, _AGENT_ID),
        parent_id=_value(headers, _PARENT_AGENT_ID),
        hints={name: value for name, header in _HINTS.items() if (value := _value(headers, header))},
    )


def _value(headers: Mapping[str, str], name: str) -> str | None:
    return headers[name].strip()[:MAX_VALUE] or None if name in headers else None
