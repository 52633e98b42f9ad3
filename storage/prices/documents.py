"""Own prices as the database has them: one document with all of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from bson.decimal128 import Decimal128
from msgspec import UNSET, Meta

from storage.costs.own_prices import OwnPrice
from storage.mongo.documents.stored import Hidden, Stored, StoredTime

DOCUMENT: Final = "own"
"""The `_id` of the document."""

NO_VERSION: Final = "0"
"""The version of prices that were never set."""

MONEY: Final = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
"""The fields of a price that are US dollars."""

_SCHEMA_VERSION: Final = 1


class KeptPrices(Stored, frozen=True):
    """All own prices, by provider, model and time."""

    prices: tuple[OwnPrice, ...]
    version: Hidden[str]
    changed_at: Annotated[StoredTime | None, Meta(description="The time of the last change; null if never.")]


NO_PRICES: Final = KeptPrices((), NO_VERSION, None)


def document_of(kept: KeptPrices) -> dict[str, Any]:
    """Make the document."""
    return {
        "_id": DOCUMENT,
        "schema_version": _SCHEMA_VERSION,
        "version": kept.version,
        "changed_at": kept.changed_at,
        "prices": [
            {
                "provider": price.provider,
                "model": price.model,
                "valid_from": price.valid_from,
                **{name: Decimal128(usd) for name in MONEY if (usd := getattr(price, name)) is not UNSET},
            }
            for price in kept.prices
        ],
    }


def read_document(document: Mapping[str, Any] | None) -> KeptPrices:
    """Read the document; None is that there is none."""
    if document is None:
        return NO_PRICES
    prices = [
        OwnPrice(
            provider=one["provider"],
            model=one["model"],
            valid_from=one["valid_from"],
            **{name: one[name].to_decimal() for name in MONEY if name in one},
        )
        for one in document["prices"]
    ]
    return KeptPrices(tuple(prices), document["version"], document["changed_at"])
