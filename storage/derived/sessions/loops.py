"""Loops: an agent that calls the same tool with the same arguments again and again. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

MIN_TIMES: Final = 3
"""The number of equal calls of a tool that make a loop."""

MAX_APART: Final = 8
"""How many tool calls after one its repetition may be, to be of one loop with it."""


class ToolLoop(NamedTuple):
    """Equal calls of a tool by one agent (its id, None for the main one): the ids of the interceptions, oldest first."""

    tool: str
    agent_id: str | None
    interception_ids: tuple[Any, ...]


def find_loops(calls: Iterable[Mapping[str, Any]]) -> list[ToolLoop]:
    """Find the loops of a session, in the order in which they begin.

    Args:
        calls: Documents of interceptions, oldest first. Tool calls are equal if tool and `checksum` are; one without a
            checksum, of which no argument is kept, is in no loop.
    """
    runs: dict[tuple[str | None, str, int], tuple[int, list[Any]]] = {}
    found: list[list[Any]] = []
    keys: list[tuple[str | None, str, int]] = []
    for agent, at, call_id, usage in _tool_calls(calls):
        if usage.get("checksum") is None:
            continue
        key = agent, usage["tool"], int(usage["checksum"])
        last, ids = runs.get(key, (at, []))
        if at - last > MAX_APART:
            ids = []
        ids.append(call_id)
        runs[key] = at, ids
        if len(ids) == MIN_TIMES:
            found.append(ids)
            keys.append(key)
    return [ToolLoop(tool, agent, tuple(ids)) for (agent, tool, _), ids in zip(keys, found, strict=True)]


def _tool_calls(calls: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str | None, int, Any, Mapping[str, Any]]]:
    """Return each tool call with its agent, its number among those of that agent, and its interception."""
    numbers: dict[str | None, int] = {}
    for call in calls:
        agent = (call.get("agent") or {}).get("id")
        for usage in call.get("tool_usages", ()):
            numbers[agent] = numbers.get(agent, 0) + 1
            yield agent, numbers[agent], call["_id"], usage
