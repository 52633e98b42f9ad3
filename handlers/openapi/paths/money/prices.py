"""Own prices."""

from __future__ import annotations

from msgspec import structs

from handlers.api.accounts.changes import TOO_LARGE
from handlers.api.accounts.policies import NOTE_HEADER
from handlers.api.money.prices import MAX_PRICES_BYTES, NO_PROVIDER, NOT_YOURS_TO_CHANGE, NOT_YOURS_TO_SEE
from handlers.openapi.errors import not_members, only_owners, problem
from handlers.openapi.methods import get, put
from handlers.openapi.operations import ETAG, IF_MATCH, Described, body, header, json_response
from handlers.problems import sentence
from resources.money.prices import Price, PriceBody, PriceList, PriceListBody
from storage.prices.store import CHANGED

_PRICE = Price(
    provider="anthropic",
    model="claude-opus-4-*",
    input="4.50",
    output="22.50",
    cache_read="0.45",
    cache_write="5.625",
    cache_write_1h="9.00",
    valid_from="2026-11-01T00:00:00.000Z",
)
_SENT = PriceListBody([PriceBody(**structs.asdict(_PRICE) | {"valid_from": "2026-11-01"})])
_NOTED = ETAG | {NOTE_HEADER: header(str, "Warnings, one header for each.", NO_PROVIDER.format(0))}

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/prices": get(
        "listPrices",
        "Own prices",
        "They come before list prices. For owners and auditors.",
        responses={"200": json_response("All of them.", PriceList, ETAG)} | not_members(NOT_YOURS_TO_SEE),
    )
    | put(
        "setPrices",
        "Replace all own prices",
        "For owners. Calls that end from now on cost what they say, on every server within 2 s. What is recorded keeps "
        "its cost.",
        parameters=(IF_MATCH,),
        request=body(prices=_SENT),
        responses={
            "200": json_response("All of them.", PriceList, _NOTED),
            "412": problem("They have another version.", sentence(CHANGED)),
            "413": problem(f"The body has more than {MAX_PRICES_BYTES} bytes.", TOO_LARGE.format(MAX_PRICES_BYTES)),
        }
        | only_owners(NOT_YOURS_TO_CHANGE),
    ),
}
