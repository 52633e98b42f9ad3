"""What the API's words mean, for people."""

from __future__ import annotations

from typing import Annotated, Self

from msgspec import Struct

from intercept.errors.explanations import ENDS
from intercept.records import EndReason
from intercept.refusals import RULES, Rule
from resources.fields import doc


class RuleMeaning(Struct):
    """A rule by which the bridge refuses calls."""

    rule: Rule
    title: Annotated[str, doc("What it is called.")]
    statuses: Annotated[list[int], doc("The HTTP statuses of its refusals.")]
    meaning: str


class EndMeaning(Struct):
    """How a call may fail."""

    end_reason: EndReason
    meaning: str


class Vocabulary(Struct):
    """The rules of refusals, and the ends of calls that fail."""

    rules: list[RuleMeaning]
    ends: list[EndMeaning]

    @classmethod
    def of_today(cls) -> Self:
        """What this version knows."""
        return cls(
            [RuleMeaning(rule, title, list(statuses), meaning) for rule, (title, statuses, meaning) in RULES.items()],
            [EndMeaning(reason, meaning) for reason, meaning in ENDS.items()],
        )
