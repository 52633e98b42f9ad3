"""What a client says of its own calls and tools, in the log records of its telemetry. Pure.

Only the attributes named here are read, and of these only words without spaces: no prompt, response or argument.

Sources: Claude Code's documentation, "Monitoring", events; Codex's `otel` configuration. Both were looked at as they are sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from intercept.callers import MAX_SESSION_ID
from intercept.formats.otlp import LogRecord, Value


class ClientEventName(StrEnum):
    """What happened."""

    API_REQUEST = "api_request"
    """A call of the model was answered."""
    TOOL_DECISION = "tool_decision"
    """The user, or a rule, let a tool run or did not."""
    TOOL_RESULT = "tool_result"
    """A tool has ended."""
    COMPACTION = "compaction"
    """The conversation was replaced by a summary of it."""


class ClientEvent(Struct, kw_only=True, omit_defaults=True):
    """One event, as the client says it.

    Attributes:
        name: What happened.
        session_id: The client's id of the session.
        time_ns: When, in nanoseconds of Unix time, by the client's clock; 0 where it does not say.
        sequence: Its number in the session.
        request_id: The id that the provider gave the response that it is about.
        tool_call_id: The provider's id of the tool call.
        tool: The name of the tool.
        decision: Such as `accept` or `reject`.
        source: Who or what decided, such as `config` or `user_reject`.
        succeeded: Whether the tool or the compaction did what it was to do.
        duration_ms: How long it took.
        cost_micro_usd: What the client takes the call to cost, in millionths of a US dollar.
        trigger: Why the conversation was compacted: `auto` or `manual`.
        tokens_before: What the conversation had before.
        tokens_after: What it had afterwards.
    """

    name: ClientEventName
    session_id: str
    time_ns: int = 0
    sequence: int | None = None
    request_id: str | None = None
    tool_call_id: str | None = None
    tool: str | None = None
    decision: str | None = None
    source: str | None = None
    succeeded: bool | None = None
    duration_ms: int | None = None
    cost_micro_usd: int | None = None
    trigger: str | None = None
    tokens_before: int | None = None
    tokens_after: int | None = None


_CODEX: Final = "codex."
_NAME: Final = "event.name"
_SESSIONS: Final = ("session.id", "conversation.id")
_WORDS: Final = {
    "request_id": ("request_id",),
    "tool_call_id": ("tool_use_id", "call_id"),
    "tool": ("tool_name",),
    "decision": ("decision",),
    "source": ("source",),
    "trigger": ("trigger",),
}
_NUMBERS: Final = {
    "sequence": "event.sequence",
    "duration_ms": "duration_ms",
    "cost_micro_usd": "cost_usd_micros",
    "tokens_before": "pre_tokens",
    "tokens_after": "post_tokens",
}
_WORD: Final = re.compile(rf"[\w.:/@+-]{{1,{MAX_SESSION_ID}}}", re.ASCII)
_MOST: Final = 2**53
_NAMES: Final = {name.value: name for name in ClientEventName}


def read_event(record: LogRecord) -> ClientEvent | None:
    """Read an event; None for all but those of `ClientEventName` with a session."""
    said = record.attributes
    name = _NAMES.get(str(said.get(_NAME, "")).removeprefix(_CODEX))
    session_id = _word(said, _SESSIONS)
    if name is None or session_id is None:
        return None
    words: dict[str, Any] = {field: _word(said, names) for field, names in _WORDS.items()}
    numbers: dict[str, Any] = {field: _number(said.get(attribute)) for field, attribute in _NUMBERS.items()}
    succeeded = _yes_or_no(said.get("success"))
    return ClientEvent(
        name=name, session_id=session_id, time_ns=record.time_ns, succeeded=succeeded, **words, **numbers
    )


def _word(said: Mapping[str, Value], names: tuple[str, ...]) -> str | None:
    found = next((said[name] for name in names if name in said), None)
    return found if isinstance(found, str) and _WORD.fullmatch(found) else None


def _number(value: Value | None) -> int | None:
    """A number that is written as one, or as text."""
    try:
        number = float(value) if value is not None else math.nan
    except (ValueError, OverflowError):
        return None
    return round(number) if 0 <= number <= _MOST else None


def _yes_or_no(value: Value | None) -> bool | None:
    return {"true": True, "false": False}.get(str(value).lower())
