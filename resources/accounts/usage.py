"""The usage of a user by limit, with their tokens and refused calls."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct, field

from intercept.refusals import Rule
from resources.accounts.policies import LimitRule
from resources.accounts.tokens import ListedToken
from resources.fields import Count, Initiator, Time, doc
from resources.limits import LimitsScope, LimitsState
from resources.recorded.refusals import Refusal
from resources.recorded.statistics import GroupTotals

MAX_TOKENS: Final = 100
"""Active tokens that are shown, those that were used last."""

MAX_REFUSALS: Final = 5
"""Refusals that are shown, the newest."""


class ActiveToken(ListedToken, frozen=True, kw_only=True):
    """An active token, and the usage of its own limits."""

    limits: Annotated[list[LimitRule], doc("The limits of this token, from the settings and its policy.")]


class RuleCount(Struct):
    """How many calls a rule refused."""

    rule: Rule
    count: Count


class UserRefusals(Struct):
    """Which calls of a user the bridge refused."""

    since: Annotated[Time, doc("The same as `from`.")]
    count: Annotated[Count, doc("The number of refused calls in the time range.")]
    rules: Annotated[list[RuleCount], doc("By rule, the most frequent first.")]
    latest: Annotated[
        list[Refusal],
        Meta(
            max_length=MAX_REFUSALS,
            description="The newest: of the time range if one is asked for, else whenever they were.",
        ),
    ]


class UserUsage(Struct):
    """The current usage of a user by limit, and their calls in a time range."""

    user: Initiator
    at: Time
    from_: Annotated[Time, doc("The start of the time range.")] = field(name="from")
    to: Annotated[Time, doc("Its end, exclusive.")]
    total: Annotated[GroupTotals, doc("The totals of their calls in the time range.")]
    scope: LimitsScope
    state: LimitsState
    spend_usd: Annotated[
        float, Meta(ge=0, description="The cost of their calls since the start of the month in UTC, in US dollars.")
    ]
    limits: Annotated[
        list[LimitRule],
        doc("Of the settings and of the policies of everyone, their groups and the user, whatever the token."),
    ]
    tokens: Annotated[
        list[ActiveToken] | None,
        doc(
            f"At most {MAX_TOKENS} active ones, those that were used last first; null to a reader who asks for somebody else."
        ),
    ]
    refusals: UserRefusals


def count_rules(rules: dict[str, int]) -> dict[str, Any]:
    """Show how many calls were refused, by rule."""
    counts = [
        RuleCount(Rule(rule), number) for rule, number in sorted(rules.items(), key=lambda one: (-one[1], one[0]))
    ]
    return {"count": sum(rules.values()), "rules": counts}
