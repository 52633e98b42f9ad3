"""How much of what people and models write is kept in a record. Pure.

A policy says it of four kinds of texts. Bodies on their way are never changed by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct


class Keep(StrEnum):
    """What is kept of a text, the least strict first."""

    FULL = "full"
    REDACTED = "redacted"
    HASHED = "hashed"
    NONE = "none"


class Recording(Struct, frozen=True, kw_only=True):
    """What is kept of each kind of text.

    Attributes:
        prompts: The prompt of a user.
        tool_inputs: What a model gives to the tools that it calls.
        thoughts: What a model shows of its thinking.
        responses: What is kept of other words of a response: messages of errors.
        patterns: What is redacted beside what the bridge finds by itself, see `intercept.secrets.own_patterns`.
        retention: Days after the start of a call after which its texts are removed; None keeps them as long as the call.
    """

    prompts: Keep = Keep.FULL
    tool_inputs: Keep = Keep.FULL
    thoughts: Keep = Keep.FULL
    responses: Keep = Keep.FULL
    patterns: tuple[str, ...] = ()
    retention: int | None = None

    @property
    def restricts(self) -> bool:
        """Whether anything is kept in another way than in full."""
        return any(getattr(self, name) is not Keep.FULL for name in KINDS)


KINDS: Final = ("prompts", "tool_inputs", "thoughts", "responses")
_ORDER: Final = tuple(Keep)


def strictest(recordings: Iterable[Recording]) -> Recording | None:
    """What holds where all of these apply: of each kind the strictest, every pattern, and the shortest retention.

    None if they restrict nothing.
    """
    all_of_them = list(recordings)
    kept = {
        kind: max((getattr(one, kind) for one in all_of_them), key=_ORDER.index, default=Keep.FULL) for kind in KINDS
    }
    patterns = tuple(dict.fromkeys(pattern for one in all_of_them for pattern in one.patterns))
    retention = min((one.retention for one in all_of_them if one.retention is not None), default=None)
    together = Recording(**kept, patterns=patterns, retention=retention)
    return together if together.restricts or retention is not None else None
