"""Prices that the operator sets, which of them holds for a call, and the one document that has them. Pure.

A price holds for the models of some providers, for calls that started at `valid_from` or later. Of those that hold for a
call, the one with the newest `valid_from` counts; of several with the same one that whose pattern of the model has the most
characters besides `*`, then the same of the provider.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from intercept.dialects.request_bodies import MAX_MODEL
from intercept.times import format_time
from limits.policies.compiled import Patterns
from limits.policies.policy import ModelPattern
from storage.mongo.documents.stored import Hidden, Stored, StoredTime

MAX_PRICES = 1_000
"""How many prices there may be."""

MODELS_REMEMBERED = 1_000
"""Models that are remembered with the prices that hold for them."""


class OwnPrice(Stored, frozen=True):
    """A price, in US dollars for a million tokens. It holds for calls that started at `valid_from` or later."""

    provider: Annotated[str, Meta(description="A pattern of names of providers.")]
    model: Annotated[str, Meta(description="A pattern of names of models, as clients name them.")]
    valid_from: StoredTime
    input: Annotated[Decimal, Meta(description="Exact, as in `3.00`.")]
    output: Decimal
    cache_read: Annotated[Decimal | UnsetType, Meta(description="Without it the price of `input`.")] = UNSET
    cache_write: Annotated[Decimal | UnsetType, Meta(description="Without it the price of `input`.")] = UNSET
    cache_write_1h: Annotated[
        Decimal | UnsetType, Meta(description="For an hour in the cache; without it the price of `cache_write`.")
    ] = UNSET

    @property
    def key(self) -> tuple[str, str, datetime]:
        """What no two prices have in common."""
        return self.provider.lower(), self.model.lower(), self.valid_from

    @property
    def name(self) -> str:
        """What a call with this price is recorded with."""
        return f"own price of {self.model} of {self.provider} from {format_time(self.valid_from)}"

    def __str__(self) -> str:
        """In a line, for the audit trail: all that it says."""
        kinds = ("cache_read", "cache_write", "cache_write_1h")
        cached = "".join(f", {kind} {usd:f}" for kind in kinds if (usd := getattr(self, kind)) is not UNSET)
        return f"{self.name}: input {self.input:f}, output {self.output:f}{cached}"


class OwnPrices:
    """Finds the price of a call.

    Args:
        prices: All that there are, no two with the same `key`.
    """

    def __init__(self, prices: Iterable[OwnPrice] = ()) -> None:
        self._prices = [(Patterns([ModelPattern(one.provider, one.model)]), one) for one in sorted(prices, key=_rank)]
        self._holding = lru_cache(MODELS_REMEMBERED)(self._hold)

    def find(self, provider: str, model: str, at: datetime) -> OwnPrice | None:
        """The price of a call of a model of a provider that started then; None where none holds."""
        if not self._prices:
            return None
        # A name that is too long to be one of a model is not remembered.
        hold = self._holding if len(model) <= MAX_MODEL else self._hold
        return next((price for price in hold(provider, model) if price.valid_from <= at), None)

    def _hold(self, provider: str, model: str) -> tuple[OwnPrice, ...]:
        """Those for a model, the first that holds before the others."""
        provider, model = provider.lower(), model.lower()
        return tuple([price for patterns, price in self._prices if patterns.find(provider, model) is not None])


def _rank(price: OwnPrice) -> tuple[float, int, int, str, str]:
    return (
        -price.valid_from.timestamp(),
        -len(price.model.replace("*", "")),
        -len(price.provider.replace("*", "")),
        price.model,
        price.provider,
    )


DOCUMENT: Final = "own"
"""The `_id` of the document."""

NO_VERSION: Final = "0"
"""The version of prices that were never set."""

MONEY: Final = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
"""The fields of a price that are US dollars."""


class KeptPrices(Stored, frozen=True):
    """All own prices, by provider, model and time."""

    prices: tuple[OwnPrice, ...] = ()
    version: Hidden[str] = NO_VERSION
    changed_at: Annotated[StoredTime | None, Meta(description="The time of the last change; null if never.")] = None
    id: Hidden[str] = DOCUMENT
