"""Limits, decisions, and what a call has used in their units: plain data, sent over sockets unchanged (`msgspec.msgpack`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum, auto
from typing import Final, Literal

from msgspec import Struct

from intercept.records import TokenUsage
from intercept.refusals import Rule

NEVER_NS: Final = 2**63 - 1
"""The wait of a request that no wait helps: it needs more than the whole limit."""

SLOT_RETRY_NS: Final = 1_000_000_000
"""The stated wait if only the end of other requests helps: nobody knows when they end."""

UNLIMITED: Final = 2**63 - 1
"""A maximum that refuses nothing, for limits that only count."""


class LimitKind(StrEnum):
    """What a limit counts.

    | kind | counts | unit |
    |---|---|---|
    | concurrency | requests under way | requests |
    | rate | starts in any window | requests |
    | tokens | tokens in any window | tokens |
    | budget | money in a calendar period | micro-dollars |
    """

    CONCURRENCY = auto()
    RATE = auto()
    TOKENS = auto()
    BUDGET = auto()


class Of(StrEnum):
    """What a limit is of."""

    SERVER = auto()
    GROUP = auto()
    USER = auto()
    TOKEN = auto()
    ADDRESS = auto()
    MODEL = auto()


class BudgetPeriod(StrEnum):
    """A calendar period, of which a week begins on Monday; or all time, in which a budget never starts again."""

    DAY = auto()
    WEEK = auto()
    MONTH = auto()
    TOTAL = auto()


PERIODS: Final[Mapping[BudgetPeriod, Literal["daily", "weekly", "monthly"]]] = {
    BudgetPeriod.DAY: "daily",
    BudgetPeriod.WEEK: "weekly",
    BudgetPeriod.MONTH: "monthly",
}
"""What Anthropic calls the periods of budgets. It has no budget of all time."""


class Limit(Struct, frozen=True, array_like=True, gc=False):
    """One limit on one request.

    What is used is kept by kind, key and window or period. So a new maximum keeps the counts, and limits that agree in
    these three count together, once for each request.

    Attributes:
        kind: What it counts.
        rule: The name under which its refusals are known.
        of: What it is of.
        key: Whose it is, such as `server`, `user:<id>`, `token:<id>`, `address:<ip>`.
        maximum: In the unit of the kind. With 0 nothing is ever admitted.
        window_ns: Of a rate or of tokens: the length of the window in nanoseconds, at least 1.
        period: Of a budget.
        zone: Of a budget: the IANA time zone in which its periods begin.
        reserve: Of tokens or a budget: whether a request's own maximum is held back until its end.
        shadow: Whether it only tells what it would refuse. It counts as if it refused.
    """

    kind: LimitKind
    rule: Rule
    of: Of
    key: str
    maximum: int
    window_ns: int = 0
    period: BudgetPeriod = BudgetPeriod.MONTH
    zone: str = "UTC"
    reserve: bool = False
    shadow: bool = False


class Amounts(Struct, frozen=True, array_like=True, gc=False):
    """Tokens, and money in micro-dollars (millionths of a US dollar)."""

    tokens: int = 0
    micro_dollars: int = 0


NOTHING: Final = Amounts()


class LimitState(Struct, frozen=True, array_like=True, gc=False):
    """How much of a limit is used, in the unit of its kind.

    Attributes:
        used: How much is used. Tokens and money may exceed the maximum, as they are known only afterwards.
        remaining: How much is left: neither used nor reserved.
        retry_after_ns: Nanoseconds until the request would be admitted (in a decision that admits: the next one), if
            nothing more is used until then. 0 if it would be now, `NEVER_NS` if it needs more than the whole limit.
        reset_ns: Nanoseconds until nothing is used, if nothing more is used until then; 0 of concurrency, and if nothing is.
            Of a budget until its period ends.
        reserved: How much is held back for requests under way.
    """

    limit: Limit
    used: int
    remaining: int
    retry_after_ns: int
    reset_ns: int
    reserved: int = 0


class Decision(Struct, frozen=True, array_like=True):
    """What is decided about one request and all its limits.

    Attributes:
        ticket: Names the request, to charge and end it; None if it is refused, and nothing is counted.
        states: The state of each limit, in the order in which they were given; of an admitted request with it counted.
        refused_by: The limit that refuses it; of several one of concurrency, else the one with the longest wait.
        retry_after_ns: The wait after which all limits would admit it; 0 if it is admitted.
        shadow: The states of shadow limits that would have refused it.
    """

    ticket: int | None
    states: tuple[LimitState, ...] = ()
    refused_by: LimitState | None = None
    retry_after_ns: int = 0
    shadow: tuple[LimitState, ...] = ()


_MICRO_DOLLARS = Decimal(1_000_000)
MAX_AMOUNT = 10**12
"""The most that one call is charged: no model has as many tokens, and so the sum of many calls stays a 64-bit number."""


def amounts_of(usages: Iterable[TokenUsage], usd: Decimal | None, *, cache_reads: bool) -> Amounts:
    """The tokens and the money of a call.

    Tokens are input, output and those written to a cache; those read from one only with `cache_reads`. Money is rounded
    up to whole micro-dollars.

    Args:
        usages: What the provider has reported.
        usd: What the call costs in US dollars; None if that is unknown, which charges nothing.
        cache_reads: Whether tokens read from a cache count.
    """
    tokens = 0
    for usage in usages:
        tokens += (usage.input_tokens or 0) + (usage.output_tokens or 0) + (usage.cache_write_input_tokens or 0)
        if cache_reads:
            tokens += usage.cache_read_input_tokens or 0
    return Amounts(min(tokens, MAX_AMOUNT), 0 if usd is None else micro_dollars_of(usd))


def micro_dollars_of(usd: Decimal) -> int:
    """US dollars in whole micro-dollars, rounded up, at most `MAX_AMOUNT`."""
    return min(int((usd * _MICRO_DOLLARS).to_integral_value(ROUND_CEILING)), MAX_AMOUNT)


def remaining(reserved: Amounts, max_output: int, usages: Iterable[TokenUsage]) -> Amounts:
    """What is still reserved for a call after a part of its output.

    Args:
        reserved: What was reserved for all of its output.
        max_output: How many tokens that may be; 0 if the request does not say.
        usages: What the provider has told.
    """
    if not max_output:
        return reserved
    left = max(0, max_output - sum(usage.output_tokens or 0 for usage in usages if not usage.model))
    return Amounts(reserved.tokens * left // max_output, -(-reserved.micro_dollars * left // max_output))
