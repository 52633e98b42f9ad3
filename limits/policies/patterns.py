"""Which models a list of patterns means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from limits.policies.policy import Pattern

MAX_NAMED: Final = 10
"""How many patterns are named to who is refused."""


class _Glob:
    """A pattern, in lower case. Time is bounded by the length of the text times that of the pattern, whatever is in them."""

    __slots__ = ("_head", "_inner", "_least", "_tail")

    def __init__(self, pattern: str) -> None:
        head, *rest = pattern.lower().split("*")
        self._head = head
        self._tail = rest.pop() if rest else None
        self._inner = [part for part in rest if part]
        self._least = len(head) + len(self._tail or "")

    def match(self, text: str) -> bool:
        """Whether all of a text in lower case is meant."""
        if self._tail is None:
            return text == self._head
        if len(text) < self._least or not (text.startswith(self._head) and text.endswith(self._tail)):
            return False
        at, end = len(self._head), len(text) - len(self._tail)
        for part in self._inner:  # each as early as possible leaves most for those that follow
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True


class Patterns:
    """A list of patterns. Case makes no difference: a provider may take a name in any case."""

    __slots__ = ("_globs", "patterns")

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = tuple(patterns)
        self._globs = tuple(
            (None, _Glob(one)) if isinstance(one, str) else (_Glob(one.provider), _Glob(one.model)) for one in patterns
        )

    def find(self, provider: str, model: str) -> Pattern | None:
        """The first pattern that means a model of a provider, both in lower case; None if none does."""
        for pattern, (providers, models) in zip(self.patterns, self._globs, strict=True):
            if models.match(model) and (providers is None or providers.match(provider)):
                return pattern
        return None

    def __str__(self) -> str:
        """As people are told: some of them."""
        named = ", ".join(map(str, self.patterns[:MAX_NAMED]))
        more = len(self.patterns) - MAX_NAMED
        return f"{named} and {more} more" if more > 0 else named
