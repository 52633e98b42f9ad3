"""The operator's own prices. For owners to change, for auditors to see."""

from __future__ import annotations

from typing import Annotated, Final

from handlers.operations.operation import AUDITORS, OWNERS, Ask, Noted, ReadBy, Tagged, Versions, operation
from limits.policies.patterns import Patterns
from limits.policies.policy import ModelPattern
from resources.money.prices import PriceBody, PriceListBody
from storage.costs.own_prices import OwnPrice
from storage.prices.documents import KeptPrices
from storage.prices.store import PriceStore

MAX_PRICES_BYTES: Final = 256 * 1024
NO_PROVIDER = "prices[{}].provider: no provider has a name like this now"
MAX_NOTES = 5

_EXAMPLE = PriceListBody(
    [PriceBody(provider="anthropic", model="claude-opus-4-*", input="4.50", output="22.50", valid_from="2026-11-01")]
)


def _store(ask: Ask) -> PriceStore:
    return PriceStore(ask.bridge.database, now=ask.bridge.now)


@operation("GET", "prices", AUDITORS)
async def list_prices(ask: Ask) -> Tagged[KeptPrices]:
    """List the own prices.

    They come before list prices.
    """
    kept = await _store(ask).read()
    return Tagged(kept, kept.version)


@operation("PUT", "prices", OWNERS, max_body=MAX_PRICES_BYTES, example=_EXAMPLE)
async def set_prices(
    ask: Ask, body: Annotated[list[OwnPrice], ReadBy(PriceListBody.read, PriceListBody)], versions: Versions
) -> Noted[KeptPrices]:
    """Replace all own prices.

    Calls that end from now on cost what they say, on every server within 2 s. What is recorded keeps its cost.
    """
    kept = await _store(ask).change(lambda _: body, versions=versions, author=ask.author)
    ask.bridge.prices.put(kept)
    notes = [NO_PROVIDER.format(number) for number in _without_provider(ask, body)[:MAX_NOTES]]
    return Noted(kept, kept.version, notes)


def _without_provider(ask: Ask, prices: list[OwnPrice]) -> list[int]:
    """Which prices hold for none of the providers that there are: a slip, or one that was removed."""
    names = [name.lower() for name in ask.bridge.providers]
    found = []
    for number, price in enumerate(prices):
        pattern = Patterns([ModelPattern(price.provider)])
        if all(pattern.find(name, "") is None for name in names):
            found.append(number)
    return found
