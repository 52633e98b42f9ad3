"""The members of a request that policies and reservations read: models, and how much a model may write.

Parsers read odd forms in different ways: servers in Go take `Model` for `model`, lax ones `"64000"` or `6.4e4` for a number,
of two members of one name some read the first and others the last. What is read here is what every provider reads; a form
that is not is noted, and refused where a policy or a reservation depends on it. Of several places the largest number counts.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Raw

from intercept.formats.json_text import Members, read_members, starts_with

MODELS: Final = (
    *("model", "models", "fallbacks", "plugins", "tools", "input", "svg", "agent", "agent_config", "agentConfig"),
)
"""Members that name models, in the spellings of the APIs."""
LIMITS: Final = (
    *("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens", "max_new_tokens"),
    *("max_gen_len", "maxTokenCount", "max_tokens_to_sample"),
)
"""How many tokens the model may write, once."""
CHOICES: Final = ("n", "candidate_count", "candidateCount")
"""How many times it writes."""
CONFIGS: Final = (
    *("inferenceConfig", "generationConfig", "generation_config", "textGenerationConfig"),
    "additionalModelRequestFields",
)
"""Objects that have such members too: those of Google, and of Amazon's models."""

MAX_QUOTED: Final = 64
"""Characters that are said back of the name of a member."""

_MAX_DEPTH: Final = 2
_SPELLINGS: Final = frozenset((*MODELS, *LIMITS, *CHOICES, *CONFIGS))
_COUNT: Final = re.compile(rb"[0-9]{1,9}")
_NULL: Final = b"null"


def plain(name: str) -> str:
    """The name of a member without what some parsers look past: its case, underscores, and white space around it."""
    return name.strip().casefold().replace("_", "")


_MODELS, _LIMITS, _CHOICES, _CONFIGS = [frozenset(map(plain, one)) for one in (MODELS, LIMITS, CHOICES, CONFIGS)]


def read_count(value: Raw) -> int | None:
    """Read a whole number of up to nine digits; None of any other value."""
    text = bytes(memoryview(value)[:10])
    return int(text) if _COUNT.fullmatch(text) else None


class StrictReading:
    """Reads a body.

    Attributes:
        places: The members of the body, and those of the objects in `CONFIGS`.
        odd_model: The name of a member of `MODELS` that has an odd form, "" if none has.
        odd_count: The same of the others.
    """

    def __init__(self, body: Members) -> None:
        self.places: list[Members] = []
        self.odd_model = self.odd_count = ""
        self._limits: list[int] = []
        self._choices = [1]
        self._add(body, _MAX_DEPTH)

    @property
    def token_limit(self) -> int | None:
        """The most tokens that the model may write, in all choices together; None for no limit."""
        most = max(self._limits, default=0)
        return most * max(self._choices) or None

    def _add(self, members: Members, depth: int) -> None:
        self.places.append(members)
        found: set[str] = set()
        for each, value in members.items():
            name = str(each)
            kind = plain(name)
            is_odd = name in found or name not in _SPELLINGS
            if kind in _MODELS:
                if is_odd:
                    self.odd_model = self.odd_model or name[:MAX_QUOTED]
            elif kind in _LIMITS or kind in _CHOICES:
                if not _add_count(value, self._limits if kind in _LIMITS else self._choices) or is_odd:
                    self.odd_count = self.odd_count or name[:MAX_QUOTED]
            elif kind in _CONFIGS:
                if not self._add_config(value, depth) or is_odd:
                    self.odd_count = self.odd_count or name[:MAX_QUOTED]
            else:
                continue
            found.add(name)

    def _add_config(self, value: Raw, depth: int) -> bool:
        """Read an object within; return whether it can be read. What is no object sets nothing."""
        if not starts_with(value, b"{"):
            return True
        try:
            members = read_members(value)
        except (ValueError, RecursionError):
            return False
        if depth > 0:
            self._add(members, depth - 1)
        return depth > 0


def _add_count(value: Raw, counts: list[int]) -> bool:
    """Add a number; return whether it is one, or null."""
    if (count := read_count(value)) is not None:
        counts.append(count)
    return count is not None or bytes(memoryview(value)[:5]) == _NULL
