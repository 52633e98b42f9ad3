"""What a provider reports of a day and a model, whose reports can be read, and which names mean the same model. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

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
        list_usd: The same before discounts; None if unknown.
        tier: Another one than the usual, such as `batch`.
    """

    day: date
    model: str
    tokens: ReportedTokens | None = None
    usd: Decimal | None = None
    list_usd: Decimal | None = None
    tier: str = STANDARD


_BEFORE: Final = re.compile(
    r"^(?:(?:us|eu|apac|jp|au|global|us-gov)\.)?(?:anthropic|openai|amazon|meta|mistral|cohere|ai21|deepseek|qwen|google)\."
)
_BEHIND: Final = re.compile(r"(?:[-@]latest|-v\d+(?::\d+)?|:\d+)$")
_DATE: Final = re.compile(r"[-@ ]20\d\d-?[01]\d-?[0-3]\d(?!\d)")
_WORDS: Final = re.compile(r"[a-z]+|\d+")


def model_key(name: str) -> str:
    """What names of one model have in common: without date, region and version of the API; words sorted, numbers in order.

    >>> model_key("us.anthropic.claude-sonnet-4-20250514-v1:0") == model_key("Claude4Sonnet")
    True
    """
    text = _BEFORE.sub("", name.lower().rpartition("/")[2])
    text = _DATE.sub("", _BEHIND.sub("", text))
    words = _WORDS.findall(text)
    letters = "".join(sorted(word for word in words if not word.isdecimal()))
    return " ".join(filter(None, (letters, *(word for word in words if word.isdecimal())))) or name


class ReportSource(NamedTuple):
    """Types of the providers whose calls are in a provider's reports, and whether those are files."""

    types: tuple[str, ...]
    is_file: bool


SOURCES: Final[Mapping[str, ReportSource]] = MappingProxyType(
    {
        "openai": ReportSource(("openai",), False),
        "anthropic": ReportSource(("anthropic",), False),
        "azure": ReportSource(("azure", "foundry"), True),
        "bedrock": ReportSource(("bedrock", "bedrock-mantle"), True),
    }
)

READABLE: Final = tuple(name for name, source in SOURCES.items() if not source.is_file)
"""The providers whose reports are read from their API."""
