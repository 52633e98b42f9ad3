"""What a token of a model costs, for what is compared or shown without a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from msgspec import structs

from intercept.records import TokenUsage
from storage.derived.rollup import TOKENS
from storage.prices.pricing import Cost

_SOME: Final = 1_000
"""Tokens that are priced to know the price of one: few enough for a short prompt, and enough for an exact price."""


class TokenRates(NamedTuple):
    """US dollars for a token by its count, in the usual tier and in a short prompt, and the table or own price that says so."""

    usd: dict[str, Decimal]
    prices: str


def token_rates(
    cost_of: Callable[[str, str, Sequence[TokenUsage], datetime], Cost | None], provider: str, model: str, at: datetime
) -> TokenRates | None:
    """Work out what tokens of a model cost, at the time `at`; None where it has no price.

    A provider may take something for each call as well: it is left out.
    """

    def priced(name: str, tokens: int) -> Cost | None:
        return cost_of(provider, model, (structs.replace(TokenUsage(provider_response_id=""), **{name: tokens}),), at)

    of_call = priced("input_tokens", 0)
    each = {name: priced(name, _SOME) for name in TOKENS}
    if of_call is None or None in each.values():
        return None
    usd = {name: (cost.usd - of_call.usd) / _SOME for name, cost in each.items() if cost}
    return TokenRates(usd, of_call.prices)
