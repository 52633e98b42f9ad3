"""How much of what people and models write is kept in a record. Pure.

A policy says it of four kinds of texts. Bodies on their way are never changed by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct


class Keep(StrEnum):
    """How much of a text is recorded, the least strict first."""

    FULL = "full"
    REDACTED = "redacted"
    HASHED = "hashed"
    NONE = "none"


class Recording(Struct, frozen=True, kw_only=True):
    """How much of each kind of text is recorded.

    Attributes:
        prompts: The prompt of a user.
        tool_inputs: What a model gives to the tools that it calls.
        thoughts: What a model shows of its thinking.
        responses: The text that a model responds with, and messages of errors. None says nothing: then messages of errors are
            kept, and the text of responses is not.
        patterns: What is redacted beside what the bridge finds by itself, see `intercept.secrets`.
        retention: Days after the start of a call after which its texts are removed; None keeps them as long as the call.
        responses_retention: The same of the text of its response alone, which `retention` removes too.
    """

    prompts: Keep = Keep.FULL
    tool_inputs: Keep = Keep.FULL
    thoughts: Keep = Keep.FULL
    responses: Keep | None = None
    patterns: tuple[str, ...] = ()
    retention: int | None = None
    responses_retention: int | None = None

    @property
    def response_text(self) -> Keep:
        """How much of the text of a response is recorded."""
        return Keep.NONE if self.responses is None else self.responses

    @property
    def error_messages(self) -> Keep:
        """How much of error messages is recorded."""
        return Keep.FULL if self.responses is None else self.responses

    @property
    def restricts(self) -> bool:
        """Whether anything that is recorded is kept in another way than in full."""
        return any(getattr(self, name) not in (Keep.FULL, None) for name in KINDS)


KINDS: Final = ("prompts", "tool_inputs", "thoughts", "responses")
RETENTIONS: Final = ("retention", "responses_retention")
_ORDER: Final = tuple(Keep)


def strictest(recordings: Iterable[Recording]) -> Recording | None:
    """What holds where all of these apply: of each kind the strictest, every pattern, and the shortest retention.

    None if that is as without any of them.
    """
    all_of_them = list(recordings)
    said = {kind: [keep for one in all_of_them if (keep := getattr(one, kind)) is not None] for kind in KINDS}
    kept = {kind: max(keeps, key=_ORDER.index) for kind, keeps in said.items() if keeps}
    patterns = tuple(dict.fromkeys(pattern for one in all_of_them for pattern in one.patterns))
    together = Recording(
        **kept,
        patterns=patterns,
        retention=_shortest(one.retention for one in all_of_them),
        responses_retention=_shortest(one.responses_retention for one in all_of_them),
    )
    return None if together == Recording(patterns=patterns) else together


def _shortest(days: Iterable[int | None]) -> int | None:
    return min((one for one in days if one is not None), default=None)
