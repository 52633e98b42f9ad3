"""Which models a list of patterns means."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from limits.policies.globs import Glob
from limits.policies.policy import ModelPattern, Models, Pattern

MAX_NAMED: Final = 10
"""Patterns that the message of a refusal names."""


class Patterns:
    """A list of patterns. Case makes no difference: a provider may take a name in any case."""

    __slots__ = ("_globs", "patterns")

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = tuple(patterns)
        self._globs = tuple(
            (None, Glob(one)) if isinstance(one, str) else (Glob(one.provider), Glob(one.model)) for one in patterns
        )

    def find(self, provider: str, model: str) -> Pattern | None:
        """The first pattern that means a model of a provider, both in lower case; None if none does."""
        for pattern, (providers, models) in zip(self.patterns, self._globs, strict=True):
            if models.match(model) and (providers is None or providers.match(provider)):
                return pattern
        return None

    def find_of(self, provider: str) -> Pattern | None:
        """The first pattern that means some model of a provider in lower case; None if none does."""
        for pattern, (providers, _) in zip(self.patterns, self._globs, strict=True):
            if providers is None or providers.match(provider):
                return pattern
        return None

    def __str__(self) -> str:
        """In words: some of the patterns."""
        named = ", ".join(map(str, self.patterns[:MAX_NAMED]))
        more = len(self.patterns) - MAX_NAMED
        return f"{named} and {more} more" if more > 0 else named


def unknown_providers(models: Models, names: Collection[str]) -> Iterator[str]:
    """The fields with a provider that is none of these names, such as `allow[0].provider`: such a pattern matches nothing."""
    for field, patterns in (("allow", models.allow or []), ("deny", models.deny or [])):
        for number, pattern in enumerate(patterns):
            if isinstance(pattern, ModelPattern):
                providers = Glob(pattern.provider)
                if not any(providers.match(name.lower()) for name in names):
                    yield f"{field}[{number}].provider"
