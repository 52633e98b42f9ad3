"""What a call has used, in the units of the limits. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

from intercept.records import TokenUsage
from limits.limit import Amounts

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
