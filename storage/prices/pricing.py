"""The cost of a call: its tokens at an own price of the operator, else at list prices.

List prices are from a table that comes with the library genai-prices. The table is never fetched, so a price is as new
as the installed version, which is recorded beside it. What the table does not have has no price, which is not a price
of zero.

A list price is not an invoice. It is that of the service tier (flex, priority, batch) and of Anthropic's fast mode, where the
table has one. What a usage does not show is not priced: discounts, tools that the provider runs (except Anthropic's web
search), images and sound (their tokens are priced as text). What is billed by time or by image has no price.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from functools import cache, lru_cache
from operator import mul
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from msgspec import UNSET

from intercept.dialects.request_bodies import MAX_MODEL
from intercept.records import TokenUsage
from intercept.tokens import BATCH_TIER, SERVICE_TIER, processing, web_searches, written_for_an_hour
from storage.derived.rollup import TOKENS
from storage.mongo.codec import EXACT, write_decimal
from storage.prices.own_prices import OwnPrice, OwnPrices

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider

MAX_TOKENS = 10**9
"""Larger counts of tokens are cut to this. No model has as many, and so sums stay within range."""

MODELS_REMEMBERED = 1_000
"""Names of models that are remembered with what the table has of them, or with its having nothing."""

RATES_REMEMBERED = 1_000
"""Rates that are remembered as the database keeps them."""

PRECISION = Decimal("1e-12")
"""What a cost is rounded to, in US dollars: as fine as the sum of all calls stays exact in the database's 34 digits."""

_MILLION = 10**6

_log = logging.getLogger(__name__)


@cache
def list_prices() -> tuple[DataSnapshot, str]:
    """The table of list prices, and its name. The first call takes 0.2 s and 13 MB; a server makes it when it serves."""
    from genai_prices import __version__, data_snapshot  # noqa: PLC0415

    return data_snapshot.get_snapshot(), f"genai-prices {__version__}"


class InputRates(NamedTuple):
    """US dollars for a token of input: in no cache, read from the cache, and written to it, on average."""

    input: Decimal
    read: Decimal
    written: Decimal


@lru_cache(RATES_REMEMBERED)
def _stored(rates: InputRates) -> Mapping[str, str]:
    return {name: str(usd) for name, usd in rates._asdict().items()}


class Cost(NamedTuple):
    """The price of a call in US dollars, a multiple of `PRECISION`, and the table or the own price it is from.

    `rates` are those of its last usage with counts; None where the provider says nothing of a prompt cache, and where tokens of
    input and output are not all that is paid at them: an advisor of another model has used some, or searches cost more.
    """

    usd: Decimal
    prices: str
    rates: InputRates | None = None

    @property
    def stored(self) -> dict[str, Any]:
        """All of it as the database keeps it: rates as text, as nothing there works with them."""
        rates = {} if self.rates is None else {"rates": _stored(self.rates)}
        return {"usd": write_decimal(self.usd), "prices": self.prices, **rates}


class TokenRates(NamedTuple):
    """US dollars for a token by its count, in the usual tier and in a short prompt, and the table or own price that says so."""

    usd: dict[str, Decimal]
    prices: str


class _Counts(NamedTuple):
    """What is paid for. `plain` is input that is in no cache; `kept` was written to one for an hour, `written` for less."""

    plain: int
    output: int
    read: int
    written: int
    kept: int
    searches: int


class _Rates(NamedTuple):
    """US dollars for a call, and for each of its `_Counts`."""

    call: Decimal
    plain: Decimal
    output: Decimal
    read: Decimal
    written: Decimal
    kept: Decimal
    search: Decimal = Decimal()


_Found: TypeAlias = tuple[_Counts, _Rates, str]

# What every model of the demo provider costs, for a first look at costs: 1 dollar for a million tokens of input, 4 of output.
_DEMO = "demo"
DEMO_PRICES = "demo, made up"
_DEMO_RATES = _Rates(
    Decimal(),
    plain=Decimal("1e-6"),
    output=Decimal("4e-6"),
    read=Decimal("1e-7"),
    written=Decimal("1.25e-6"),
    kept=Decimal("2e-6"),
)


class _Tariff(NamedTuple):
    """What prices amount to: the first rates, and those for a prompt of more tokens than each of the starts."""

    prices: ModelPrice
    starts: list[int]
    rates: list[_Rates]


class Prices:
    """Prices the calls of some providers.

    Args:
        providers: By name: whose list prices count if the address does not decide, "" for none, and the base URL.
            `demo` is the demo provider.
    """

    def __init__(self, providers: Mapping[str, tuple[str, str]]) -> None:
        self._models = lru_cache(MODELS_REMEMBERED)(self._model)
        self._providers: dict[str, tuple[str, str]] = {}
        self._demos: set[str] = set()
        self.set_providers(providers)
        self._tariffs: dict[int, _Tariff] = {}
        self._variants: dict[tuple[int, ...], ModelPrice] = {}
        self._own = OwnPrices()
        self._failed = False

    def set_providers(self, providers: Mapping[str, tuple[str, str]]) -> None:
        """Price the calls of these from now on; as in the constructor. A call of one that is gone may still end."""
        self._providers |= providers
        self._demos |= {name for name, (vendor, _) in providers.items() if vendor == _DEMO}
        self._models.cache_clear()

    def set_own(self, prices: Iterable[OwnPrice]) -> None:
        """Have these own prices hold from now on, in the place of those before."""
        self._own = OwnPrices(prices)

    def cost(self, provider_name: str, model: str, usages: Iterable[TokenUsage], at: datetime) -> Cost | None:
        """Return what a call costs; None when it reported no tokens, or its provider or one of its models has no price.

        The table is that of the last usage, the one of the call's own model.

        Never raises: a call is recorded whatever the table makes of it.

        `model` is as the client named it, and `at` when the call started, because prices change.
        """
        try:
            return self._cost(provider_name, model, usages, at)
        except Exception:  # noqa: BLE001 - whatever the table raises
            if not self._failed:  # the names and counts are those of strangers: they could fill the log
                _log.exception("a call cannot be priced, and others may be without a price too")
            self._failed = True
            return None

    def has_price(self, provider_name: str, model: str, at: datetime) -> bool:
        """Whether a call that starts then has a known price."""
        usages = (TokenUsage(provider_response_id="", input_tokens=1, output_tokens=1),)
        return self.cost(provider_name, model, usages, at) is not None

    def rates(self, provider_name: str, model: str, at: datetime) -> TokenRates | None:
        """Return what a token of a model costs in a call that starts then; None where it has no price.

        A provider may take something for each call as well: it is left out.
        """
        if not self.has_price(provider_name, model, at):
            return None
        found = self._find(provider_name, model, _Counts(*[0] * len(_Counts._fields)), {}, at)
        if found is None:
            return None
        rates, table = found
        usd = (rates.plain, rates.output, rates.read, rates.written)
        return TokenRates(dict(zip(TOKENS, usd, strict=True)), table)

    def _cost(self, provider_name: str, model: str, usages: Iterable[TokenUsage], at: datetime) -> Cost | None:
        reported = [usage for usage in usages if usage.has_counts]
        if not reported:
            return None
        found: list[_Found] = []
        for usage in reported:
            counts, how = _counts_of(usage), processing(usage.usage)
            if (one := self._find(provider_name, usage.model or model, counts, how, at)) is None:
                return None
            found.append((counts, *one))
        usd = EXACT.quantize(sum((_price(counts, rates) for counts, rates, _ in found), Decimal()), PRECISION)
        _, rates, table = found[-1]
        return Cost(usd, table, _input_rates(rates, _written(found)) if _are_known(reported, found) else None)

    def _find(
        self, provider_name: str, model: str, counts: _Counts, how: dict[str, str], at: datetime
    ) -> tuple[_Rates, str] | None:
        """Find what tokens of a model cost, and the name of the table that says so."""
        if own := self._own.find(provider_name, model, at):
            return _own_rates(own), own.name
        if provider_name in self._demos:
            return _DEMO_RATES, DEMO_PRICES
        if found := self._models(provider_name, model):
            known, is_own = found
            return self._rates(known, counts, how if is_own else {}, at), list_prices()[1]
        return None

    def _rates(self, model: ModelInfo, counts: _Counts, how: dict[str, str], at: datetime) -> _Rates:
        tariff = self._tariff(self._prices(model, how, at))
        return tariff.rates[bisect_left(tariff.starts, counts.plain + counts.read + counts.written + counts.kept)]

    def _prices(self, model: ModelInfo, how: dict[str, str], at: datetime) -> ModelPrice:
        """The prices of a model for what is processed like this. The library makes new ones for each call."""
        standard = model.get_prices(at)
        if not how or not model.price_variants:
            return standard
        if how.get(SERVICE_TIER) == BATCH_TIER:
            how = {**how, "processing": BATCH_TIER}
        holding = [
            variant
            for variant in model.price_variants
            if how.items() >= variant.when.items() and (variant.constraint is None or variant.constraint.active(at))
        ]
        key = (id(standard), *map(id, holding))
        if key not in self._variants:
            self._variants[key] = model.get_prices(at, how)
        return self._variants[key]

    def _tariff(self, prices: ModelPrice) -> _Tariff:
        # The library resolves prices for every call, which takes 25 times as long. They have no hash, but an id that
        # stays theirs while the tariff holds them.
        if id(prices) not in self._tariffs:
            self._tariffs[id(prices)] = _worked_out(prices)
        return self._tariffs[id(prices)]

    def _model(self, provider_name: str, model: str) -> tuple[ModelInfo, bool] | None:
        """Find a model, and whether the table has it of this provider itself: another's tiers may not be those of its maker."""
        # Not by the table's own search, which remembers every name there ever was.
        about = self._providers.get(provider_name)
        provider = _provider(*about) if about else None
        if provider is None or len(model) > MAX_MODEL:
            return None
        known = provider.find_model(model, all_providers=list_prices()[0].providers)
        return None if known is None else (known, any(known is one for one in provider.models))


def _provider(vendor: str, base_url: str) -> Provider | None:
    """Find a provider in the table: by its address, else as a vendor whose models it may have."""
    table, _ = list_prices()
    with suppress(LookupError):
        return table.find_provider(None, None, base_url)
    return table.find_provider(None, vendor, None) if vendor and vendor != _DEMO else None


def _counts_of(usage: TokenUsage) -> _Counts:
    """What a usage has of each, cut to the priced range."""
    kept = written_for_an_hour(usage.usage)
    counts = (
        *(usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens, usage.cache_write_input_tokens),
        *(kept, web_searches(usage.usage)),
    )
    plain, output, read, written, kept, searches = (min(one, MAX_TOKENS) if one and one > 0 else 0 for one in counts)
    kept = min(kept, written)
    return _Counts(plain, output, read, written - kept, kept, searches)


def _price(counts: _Counts, rates: _Rates) -> Decimal:
    """What all of it costs at these rates."""
    return sum(map(mul, counts, rates[1:]), rates.call)


@lru_cache(RATES_REMEMBERED)
def _input_rates(rates: _Rates, written: Decimal) -> InputRates:
    plain, read = (EXACT.quantize(rate, PRECISION).normalize() for rate in (rates.plain, rates.read))
    return InputRates(plain, read, written.normalize())


def _written(found: Sequence[_Found]) -> Decimal:
    """A token that was written to the cache, on average. It is rounded down, so that the others cost no less than nothing."""
    tokens = sum(counts.written + counts.kept for counts, _, _ in found)
    usd = sum((counts.written * rates.written + counts.kept * rates.kept for counts, rates, _ in found), Decimal())
    return (usd / tokens if tokens else found[-1][1].written).quantize(PRECISION, ROUND_FLOOR)


def _are_known(reported: Iterable[TokenUsage], found: Iterable[_Found]) -> bool:
    """Whether rates tell apart what a cost is for: a cache was reported, and all is for tokens of one model."""
    cached = any(
        usage.cache_read_input_tokens is not None or usage.cache_write_input_tokens is not None for usage in reported
    )
    is_shared = len({usage.model for usage in reported}) > 1 or any(
        counts.searches * rates.search for counts, rates, _ in found
    )
    return cached and not is_shared


def _own_rates(price: OwnPrice) -> _Rates:
    plain = price.input / _MILLION
    read, written = (plain if usd is UNSET else usd / _MILLION for usd in (price.cache_read, price.cache_write))
    kept = written if price.cache_write_1h is UNSET else price.cache_write_1h / _MILLION
    return _Rates(Decimal(), plain, price.output / _MILLION, read, written, kept)


def _worked_out(prices: ModelPrice) -> _Tariff:
    from genai_prices.types import TieredPrices  # noqa: PLC0415 - loaded by then

    tiered = (price for price in vars(prices).values() if isinstance(price, TieredPrices))
    starts = sorted({tier.start for price in tiered for tier in price.tiers})
    return _Tariff(prices, starts, [_rates(prices, start) for start in (-1, *starts)])


def _rates(prices: ModelPrice, start: int) -> _Rates:
    """Have the library price one of each kind, at the prices for a prompt of more tokens than `start`."""
    from genai_prices import Usage  # noqa: PLC0415 - loaded by then
    from genai_prices.types import ModelPrice, TieredPrices  # noqa: PLC0415 - loaded by then

    def flat(price: Decimal | TieredPrices) -> Decimal:
        if not isinstance(price, TieredPrices):
            return price
        return next((tier.price for tier in reversed(price.tiers) if tier.start <= start), price.base)

    tier = ModelPrice(**{name: flat(price) for name, price in vars(prices).items()})
    call, *each = (
        tier.calc_price(Usage(**used))["total_price"]
        for used in (
            {},
            {"input_tokens": 1},
            {"output_tokens": 1},
            {"input_tokens": 1, "cache_read_tokens": 1},
            {"input_tokens": 1, "cache_write_tokens": 1},
            {"input_tokens": 1, "cache_write_tokens": 1, "cache_write_1h_tokens": 1},
            {"web_searches": 1},
        )
    )
    return _Rates(call, *(price - call for price in each))
