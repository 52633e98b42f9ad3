"""Who works at the demo company, with what, and what is said there, as `company.toml` describes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

DOMAIN: Final = "example.com"
"""Nobody has an address there (RFC 2606, section 3)."""

DELEGATE: Final = "Task"
"""The tool that starts another agent."""

BUDGETED_TEAM, LIMITED_TEAM, RESTRICTED_TEAM = "platform", "research", "support"
"""The groups with a budget, with limits, and with a model that they may not use."""

_LOOKING: Final = ("Read", "Grep", "Glob")


class Failure(Struct, frozen=True):
    """How a provider fails, in its own words."""

    status: int
    type: str
    message: str


class SessionKind(Struct, frozen=True, kw_only=True):
    """A way to work.

    Attributes:
        client: The name of the client, as it is recorded.
        models: With the shares of sessions that use them.
        steps: The usual number of calls of a session, and the most; 1 is a single call.
        tools: The set of tools that the model calls; empty for a program that sends single calls and names no session.
        thinks: What records call its reasoning; empty if it shows none.
        writes_cache: Whether the provider reports what is written to the prompt cache.
        is_agent: Whether another agent has started it.
    """

    client: str
    user_agent: str
    provider: str
    route: str
    models: Mapping[str, float]
    steps: tuple[int, int]
    tools: str = ""
    thinks: str = ""
    writes_cache: bool
    is_agent: bool = False

    @property
    def of_agent(self) -> SessionKind:
        """How another agent works that one of this kind starts: it looks at things, with small models too."""
        models = {**self.models, "claude-haiku-4-5": 1.0}
        return msgspec.structs.replace(self, models=models, steps=(5, 14), is_agent=True)


class Team(Struct, frozen=True):
    """A group: its people by their full names, and the shares of the kinds of work that they do."""

    project: str
    people: tuple[str, ...]
    uses: Mapping[str, float]


class Company(Struct, frozen=True):
    """The whole of it. `agents` are the inputs of `DELEGATE` by the type of agent; `failures` are by provider."""

    auditor: str
    reader: str
    restricted: str
    prompts: tuple[str, ...]
    follow_ups: tuple[str, ...]
    questions: tuple[str, ...]
    thoughts: tuple[str, ...]
    teams: Mapping[str, Team]
    kinds: Mapping[str, SessionKind]
    tools: Mapping[str, Mapping[str, tuple[str, ...]]]
    agents: Mapping[str, str]
    failures: Mapping[str, tuple[Failure, ...]]

    def tools_of(self, kind: SessionKind) -> Mapping[str, tuple[str, ...]]:
        """The tools of a kind of work with their inputs; empty for single calls."""
        tools = self.tools.get(kind.tools, {})
        if kind.is_agent:
            return {name: tools[name] for name in _LOOKING}
        return {**tools, DELEGATE: tuple(self.agents.values())} if kind.tools == "editor" else tools


@cache
def company() -> Company:
    """Read the description, once."""
    return msgspec.toml.decode(Path(__file__).with_name("company.toml").read_bytes(), type=Company)
