"""The operator's own prices as they are sent, and the request to price past calls again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Self

from msgspec import UNSET, Meta, Struct, UnsetType, field

from limits.policies.policy import NOT_A_PATTERN, InvalidFieldError, ModelPattern, Wildcard
from resources.bodies import Body, InvalidBodyError, OtherReaders, Readers
from resources.fields import Count, doc
from resources.ranges import Problems, range_of
from storage.derived.rollup import TOKENS, Totals
from storage.prices.own_prices import MAX_PRICES, MONEY, OwnPrice
from storage.queries.filters.keys import parse_timestamp

MILLION: Final = 10**6

MAX_USD: Final = 10**6
"""The highest price of a million tokens, in US dollars."""

NOT_MONEY: Final = f"must be US dollars for a million tokens, from 0 to {MAX_USD:,}, such as 3 or 0.25, with at most six digits after the point"
NOT_A_TIME: Final = 'must be a day like "2026-11-01", which begins at midnight in UTC, or a timestamp like "2026-11-01T12:00:00Z" (RFC 3339)'
NOT_A_LIST: Final = "must be an array"
NOT_AN_OBJECT: Final = "must be a JSON object"
TWICE: Final = "is there already: provider, model and valid_from are those of prices[{}]"
TOO_MANY: Final = f"must have at most {MAX_PRICES:,} prices"

_USD: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,6})?")

Usd = (
    Annotated[str, Meta(extra_json_schema={"pattern": r"^[0-9]{1,7}(\.[0-9]{1,6})?$"})]
    | Annotated[int, Meta(ge=0, le=MAX_USD)]
    | Annotated[float, Meta(ge=0, le=MAX_USD)]
)


def read_usd(value: object) -> Decimal:
    """Read money, sent as text or as a number.

    Raises:
        ValueError: With what it must be.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        text = f"{Decimal(repr(value)):f}"
    else:
        raise ValueError(NOT_MONEY)  # noqa: TRY004 - what is wrong with a value, whatever it is
    text = text.removesuffix(".0")
    if not _USD.fullmatch(text) or (usd := Decimal(text)) > MAX_USD:
        raise ValueError(NOT_MONEY)
    return usd


def read_day_or_time(text: str) -> datetime:
    """Read a day, which begins at midnight in UTC, or a timestamp.

    Raises:
        ValueError: With what it must be.
    """
    try:
        return parse_timestamp(f"{text}T00:00:00Z" if len(text) == len("2026-11-01") else text)
    except (ValueError, OverflowError) as error:
        raise ValueError(NOT_A_TIME) from error


def _pattern(text: str) -> str:
    try:
        ModelPattern(text)
    except InvalidFieldError as error:
        raise ValueError(NOT_A_PATTERN) from error
    return text


class PriceBody(Body, kw_only=True, omit_defaults=True):
    """A price, in US dollars for a million tokens. It holds for calls that started at `valid_from` or later."""

    provider: Annotated[Wildcard, doc("The provider's name, which may have `*` in it.")]
    model: Annotated[Wildcard, doc("The model, as clients name it, which may have `*` in it.")]
    input: Annotated[Usd, doc("As text or as a number, with up to six decimal places.")]
    output: Usd
    cache_read: Annotated[Usd | UnsetType, doc("Tokens read from a cache; without it the price of `input`.")] = UNSET
    cache_write: Annotated[Usd | UnsetType, doc("Tokens written to a cache; without it the price of `input`.")] = UNSET
    cache_write_1h: Annotated[Usd | UnsetType, doc("The same for an hour; without it the price of `cache_write`.")] = (
        UNSET
    )
    valid_from: Annotated[str, doc("A day such as `2026-11-01`, in UTC, or a timestamp (RFC 3339).")]

    readers: ClassVar[Readers] = {"provider": _pattern, "model": _pattern, "valid_from": read_day_or_time}
    other_readers: ClassVar[OtherReaders] = dict.fromkeys(MONEY, read_usd)

    @property
    def price(self) -> OwnPrice:
        """The price as it is kept."""
        return OwnPrice(**self.changes)


def _prices(value: object) -> list[PriceBody]:
    if not isinstance(value, list):
        raise ValueError(NOT_A_LIST)  # noqa: TRY004 - what is wrong with a value, whatever it is
    if len(value) > MAX_PRICES:
        raise ValueError(TOO_MANY)
    problems: Problems = []
    prices: dict[int, PriceBody] = {}
    for number, entry in enumerate(value):
        try:
            if not isinstance(entry, dict):
                raise InvalidBodyError([("", NOT_AN_OBJECT)])  # noqa: TRY301 - as what is wrong inside one
            prices[number] = PriceBody.of(entry)
        except InvalidBodyError as error:
            problems += [(_join(number, field), rule) for field, rule in error.problems]
    problems += _repeated(prices)
    if problems:
        raise InvalidBodyError(problems)
    return list(prices.values())


class PriceListBody(Body):
    """All own prices."""

    prices: Annotated[list[PriceBody], Meta(max_length=MAX_PRICES)]

    other_readers: ClassVar[OtherReaders] = {"prices": _prices}


def _join(number: int, field: str) -> str:
    return f"prices[{number}].{field}" if field else f"prices[{number}]"


def _repeated(prices: Mapping[int, PriceBody]) -> Iterator[tuple[str, str]]:
    first: dict[object, int] = {}
    for number, price in prices.items():
        if (same := first.setdefault(price.price.key, number)) != number:
            yield f"prices[{number}]", TWICE.format(same)


class PricedModel(Struct):
    """A model that was called, and what a million of its tokens cost now in the usual tier and in a short prompt."""

    provider: Annotated[str, doc("The name of the provider.")]
    model: str
    calls: Annotated[Count, doc("Calls that ended.")]
    unpriced: Annotated[Count, doc("Calls of these that used tokens and have no price.")]
    prices: Annotated[str | None, doc("The table, or the own price, that says what it costs; null without a price.")]
    input: Annotated[float | None, doc("US dollars for a million tokens; null without a price.")]
    output: float | None
    cache_read: float | None
    cache_write: float | None

    @classmethod
    def of(cls, provider: str, model: str, total: Totals, rates: tuple[Mapping[str, Decimal], str] | None) -> Self:
        """Show its calls, given US dollars for a token by its count, and the table or own price that says so."""
        usd, prices = rates or ({}, None)
        each = [float(usd[name] * MILLION) if rates else None for name in TOKENS]
        return cls(provider, model, total["interceptions"], total.get("unpriced", 0), prices, *each)


class RangeBody(Body, omit_defaults=True):
    """The calls that started in a range."""

    from_: Annotated[str, doc("A day such as `2026-11-01`, in UTC, or a timestamp (RFC 3339).")] = field(name="from")
    to: Annotated[str, doc("The end of the range, exclusive. Without it now.")] = ""

    readers: ClassVar[Readers] = {"from": read_day_or_time, "to": read_day_or_time}

    def check(self, now: datetime) -> Problems:
        """Find what is wrong with the range."""
        problems: Problems = []
        self.range(now, problems)
        return problems

    def range(self, now: datetime, problems: Problems) -> tuple[datetime, datetime]:
        """Return the start and the end, at the time `now`; what is wrong becomes problems."""
        first: Any = self.from_  # the readers have made times of its texts
        last: Any = self.to or None
        return range_of(first, last, problems, now=now, usual=lambda end: end)
