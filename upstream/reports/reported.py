"""What a provider reports of a day and a model, whose reports can be read, and which names mean the same model. Pure."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final

from msgspec import Struct

STANDARD: Final = ""
"""The usual tier."""

NO_MODEL: Final = "(no model)"


class ReportError(Exception):
    """A report cannot be read. The text is for the operator, and has no key in it."""


class ReportedTokens(Struct, frozen=True):
    """The four disjoint counts of tokens, as records have them. They may be negative where they are differences."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0

    def __add__(self, other: ReportedTokens) -> ReportedTokens:
        """Add each of them."""
        return ReportedTokens(*(one + another for one, another in zip(self.counts, other.counts, strict=True)))

    def __neg__(self) -> ReportedTokens:
        """Change the sign of each."""
        return ReportedTokens(*(-one for one in self.counts))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """In the order of the fields."""
        return self.input_tokens, self.output_tokens, self.cache_read_input_tokens, self.cache_write_input_tokens

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts)


class Reported(Struct, frozen=True):
    """A line of a report: tokens, costs, or both.

    Attributes:
        day: In UTC.
        model: As the report names it, or what else was charged for.
        tokens: None if the line has none.
        usd: What is billed; None if the line has no cost.
        tier: Another one than the usual, such as `batch`.
    """

    day: date
    model: str
    tokens: ReportedTokens | None = None
    usd: Decimal | None = None
    tier: str = STANDARD


_DATE: Final = re.compile(r"[-@]latest$|[-@]20\d\d-?[01]\d-?[0-3]\d(?!\d)")


def model_key(name: str) -> str:
    """What names of one model have in common: without date.

    >>> model_key("claude-sonnet-4-20250514") == model_key("Claude-Sonnet-4")
    True
    """
    return _DATE.sub("", name.lower().rpartition("/")[2]) or name


READABLE: Final = ("openai", "anthropic")
"""The providers whose reports are read. Providers of these types send calls that are in them."""
