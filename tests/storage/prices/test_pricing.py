from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from itertools import product

import pytest
from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, Tier, TieredPrices
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from intercept.records import TokenUsage
from storage.prices.pricing import MAX_TOKENS, InputRates, Prices, _counts_of, _price
from tests.cases import for_each

AUTUMN = datetime(2026, 11, 1, tzinfo=UTC)
MILLION = 10**6
MADE_UP = ModelInfo(
    id="made-up",
    match=ClauseEquals("made-up"),
    prices=ModelPrice(
        input_mtok=TieredPrices(Decimal(1), [Tier(0, Decimal(2)), Tier(7, Decimal("0.3"))]),
        output_mtok=TieredPrices(Decimal(4), [Tier(0, Decimal(5)), Tier(9, Decimal(6))]),
        requests_kcount=Decimal("0.7"),
    ),
)
MODELS = [(provider, model) for provider in get_snapshot().providers for model in [*provider.models, MADE_UP]]
TABLE = f"genai-prices {version('genai-prices')}"


@pytest.fixture(scope="module")
def prices():
    return Prices(
        {
            "openai": ("openai", "https://api.openai.com/v1/"),
            "anthropic": ("anthropic", "https://api.anthropic.com/"),
            "gateway": ("anthropic", "https://gateway.example.com/claude/"),
            "groq": ("openai", "https://api.groq.com/openai/v1/"),
            "demo": ("demo", "http://127.0.0.1:4001/demo/"),
            "gemini": ("google", "https://generativelanguage.googleapis.com/"),
            "vertex": ("google", "https://us-east5-aiplatform.googleapis.com/"),
            "proxied": ("google", "https://gemini.example.com/"),
            "azure": ("azure", "https://example.openai.azure.com/"),
            "chatgpt": ("", "https://chatgpt.com/backend-api/codex/"),
        }
    )


def usage(plain=None, output=None, read=None, written=None, *, kept=0, searches=0, **said):
    """`kept` of the `written` tokens stay in the cache for an hour. The provider's object also has what is `said`."""
    return TokenUsage(
        provider_response_id="r",
        input_tokens=plain,
        output_tokens=output,
        cache_read_input_tokens=read,
        cache_write_input_tokens=written,
        usage={
            "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": kept},
            "server_tool_use": {"web_search_requests": searches, "web_fetch_requests": 3},
            **said,
        },
    )


# The prices are those that the vendors publish, in US dollars for a million tokens.
@for_each(
    ("provider", "model", "used", "usd"),
    ("openai", "gpt-4o", usage(plain=MILLION), "2.50"),
    ("openai", "gpt-4o", usage(read=MILLION), "1.25"),
    ("openai", "gpt-4o", usage(output=MILLION), "10"),
    ("openai", "gpt-4o-2024-08-06", usage(1_000, 500, 2_000), "0.01"),
    ("openai", "gpt-4o-mini", usage(1, 1, 1, None), "0.000000825"),
    ("openai", "gpt-5", usage(800, 100, 200), "0.002025"),
    ("anthropic", "claude-opus-4-1", usage(1_000, 1_000, 1_000, 1_000), "0.11025"),
    ("anthropic", "claude-sonnet-4-20250514", usage(1_000, 1_000, 1_000, 1_000), "0.02205"),
    ("anthropic", "claude-3-5-haiku-latest", usage(1_000, 100), "0.0012"),
    ("anthropic", "claude-opus-4-5", usage(0, 0, 0, 1_000, kept=400), "0.00775"),  # 600 at 6.25, 400 at 10
    ("anthropic", "claude-opus-4-5", usage(0, 0, 0, 1_000, kept=2_000), "0.01"),
    ("anthropic", "claude-haiku-4-5", usage(1_000, 100, searches=3), "0.0315"),  # 10 for a thousand searches
    ("groq", "llama-3.3-70b-versatile", usage(MILLION, MILLION), "1.38"),
    ("gemini", "gemini-2.5-flash", usage(MILLION, MILLION), "2.80"),
    ("proxied", "gemini-2.5-flash", usage(MILLION, MILLION), "2.80"),
    ("vertex", "claude-sonnet-4@20250514", usage(1_000, 100), "0.0045"),
)
def test_a_call_costs_what_the_vendor_publishes(prices, provider, model, used, usd):
    assert prices.cost(provider, model, [used], AUTUMN)[:2] == (Decimal(usd), TABLE)


def test_the_price_of_a_long_prompt_depends_on_all_of_it_cached_tokens_included(prices):
    short = prices.cost("anthropic", "claude-sonnet-4-5", [usage(plain=50_000, read=150_000)], AUTUMN)
    long = prices.cost("anthropic", "claude-sonnet-4-5", [usage(plain=50_001, read=150_000)], AUTUMN)
    assert (short.usd, long.usd) == (Decimal("0.195"), Decimal("0.390006"))


def test_an_advisor_is_priced_by_its_own_model(prices):
    own, advice = usage(1_000, 1_000), replace(usage(1_000, 1_000), model="claude-opus-4-1")
    assert prices.cost("anthropic", "claude-sonnet-4-5", [advice, own], AUTUMN).usd == Decimal(
        "0.108"
    )  # 0.09 and 0.018
    assert prices.cost("anthropic", "claude-sonnet-4-5", [replace(advice, model="gone"), own], AUTUMN) is None
    assert prices.cost("anthropic", "gone", [advice, replace(own, cache_read_input_tokens=1)], AUTUMN) is None
    read = replace(own, cache_read_input_tokens=1)
    told = [prices.cost("anthropic", "claude-sonnet-4-5", used, AUTUMN).rates for used in ([read], [advice, read])]
    assert [rates and rates.input for rates in told] == [Decimal("0.000003"), None]  # they are not those of all tokens


@for_each(
    ("provider", "model"),
    ("openai", "gpt-unheard-of"),
    ("openai", "claude-opus-4-1"),
    ("openai", ""),
    ("openai", "gpt-4o" * 1_000_000),
    ("openai", "\0\ud800\N{SNOWMAN}"),
    ("openai", "(a+)+$" * 40),
    ("unheard of", "gpt-4o"),
    ("chatgpt", "gpt-5"),
)
def test_what_the_table_does_not_have_has_no_price(prices, provider, model):
    assert prices.cost(provider, model, [usage(1, 1, 1, 1)], AUTUMN) is None


counts = st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 10**6)


@for_each(
    ("provider", "model", "said", "usd"),
    ("anthropic", "claude-opus-5-5", {"service_tier": "standard", "speed": "standard"}, "29.2"),
    ("anthropic", "claude-opus-5-5", {"service_tier": "batch"}, "14.6"),
    ("anthropic", "claude-opus-5-5", {"service_tier": "standard", "speed": "fast"}, "58.4"),
    ("anthropic", "claude-opus-5-5", {"service_tier": "priority"}, "29.2"),
    ("vertex", "claude-opus-5-5", {"service_tier": "batch"}, "29.2"),
    ("openai", "gpt-5.1", {}, "11.375"),
    ("openai", "gpt-5.1", {"service_tier": "flex"}, "5.6875"),
    ("openai", "gpt-5.1", {"service_tier": "priority"}, "22.75"),
    ("openai", "gpt-5.1", {"service_tier": "batch"}, "5.6875"),
    (
        "azure",
        "gpt-5.1",
        {"service_tier": "flex"},
        "11.375",
    ),  # that of its maker, which says nothing of Azure's tiers
    ("openai", "gpt-5.1", {"service_tier": "of tomorrow", "speed": "fast"}, "11.375"),
    ("openai", "gpt-5.1", {"service_tier": ["flex"], "speed": {"a": 1}, "trafficType": []}, "11.375"),
    ("vertex", "gemini-3.8-flash-tts", {"trafficType": "ON_DEMAND"}, "9.50"),
    ("vertex", "gemini-3.8-flash-tts", {"trafficType": "ON_DEMAND_FLEX"}, "4.75"),
    ("vertex", "gemini-3.8-flash-tts", {"trafficType": "ON_DEMAND_PRIORITY"}, "17.1"),
    ("gemini", "gemini-3.8-flash-tts", {"serviceTier": "standard"}, "9.50"),
    ("gemini", "gemini-3.8-flash-tts", {"serviceTier": "FLEX"}, "4.75"),
)
def test_a_service_tier_and_fast_mode_have_their_own_prices(prices, provider, model, said, usd):
    used = (MILLION, MILLION) if model.startswith("gemini") else (MILLION,) * (4 if model.startswith("claude") else 3)
    cost = prices.cost(provider, model, [usage(*used, **said)], AUTUMN)
    assert cost.usd == Decimal(usd)
    assert prices.cost(provider, model, [usage(*used, **said)], AUTUMN) == cost


def price_of_the_library(provider, model, used, at, how):
    plain, output, read, written, kept, searches = (min(max(count or 0, 0), MAX_TOKENS) for count in used)
    tokens = Usage(
        input_tokens=plain + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(kept, written),
        web_searches=searches,
    )
    context = {**how, "processing": "batch"} if how.get("service_tier") == "batch" else how
    return model.calc_price(tokens, provider, genai_request_timestamp=at, price_context=context).total_price


def price_of(prices, model, used, at, how):
    *tokens, kept, searches = used
    count = _counts_of(usage(*tokens, kept=kept, searches=searches))
    return _price(count, prices._rates(model, count, how, at))


def ways_of(model):
    """How responses of a model may be made, of which the table has prices."""
    ways = [{"service_tier": "batch"} if "processing" in one.when else one.when for one in model.price_variants or ()]
    return [{}, *ways]


def lengths_of_a_prompt(model):
    """Lengths on both sides of where each tier of a model begins, at any of its prices."""
    alternatives = model.prices if isinstance(model.prices, list) else [model]
    tiered = [price for each in alternatives for price in vars(each.prices).values() if isinstance(price, TieredPrices)]
    return {tier.start + more for price in tiered for tier in price.tiers for more in (0, 1)} | {1}


def shape_of(model):
    """What decides how a cost is worked out: models that have it in common differ in figures alone."""
    alternatives = model.prices if isinstance(model.prices, list) else [model]
    return tuple(
        (type(getattr(each, "constraint", None)), name, *(tier.start for tier in getattr(usd, "tiers", ())))
        for each in alternatives
        for name, usd in vars(each.prices).items()
        if usd is not None
    )


def test_a_model_of_each_shape_costs_what_the_library_says_on_both_sides_of_every_tier(prices):
    days = [datetime(2024, 5, 17, hour, tzinfo=UTC) for hour in (0, 12, 20)]
    shapes = {shape_of(model): (provider, model) for provider, model in MODELS}
    assert len(shapes) > 100
    for provider, model in shapes.values():
        # What always has the same price costs the same on other days: one use on one of them shows that.
        cases = [] if isinstance(model.prices, list) else [(days[0], (2, 3, 4, 5, 1, 2))]
        for at, length in product([AUTUMN, *days] if not cases else [AUTUMN], lengths_of_a_prompt(model)):
            cases += [
                (at, (length, 3, 0, 0, 0, 0)),
                (at, (0, 0, length, 0, 0, 1)),
                (at, (length // 2, 7, length - length // 2 - 1, 1, 1, 0)),
            ]
        for (at, used), how in product(cases, ways_of(model)):
            cost = price_of(prices, model, used, at, how)
            assert cost == price_of_the_library(provider, model, used, at, how), (model.id, how)


@given(
    st.integers(0, len(MODELS) - 1),  # written out, a model of the table is too long
    st.tuples(counts, counts, counts, counts, counts, counts),
    st.timedeltas(timedelta(-1_200), timedelta(1_200)).map(AUTUMN.__add__),
    st.data(),
)
def test_any_use_of_any_model_at_any_time_costs_what_the_library_says(prices, known, used, at, data):
    provider, model = MODELS[known]
    how = data.draw(st.sampled_from(ways_of(model)))
    assert price_of(prices, model, used, at, how) == price_of_the_library(provider, model, used, at, how)


def test_where_a_provider_tells_of_its_cache_the_price_of_a_token_is_kept(prices):
    rates = InputRates(input=Decimal("0.000003"), read=Decimal("3E-7"), written=Decimal("0.00000375"))
    cost = prices.cost("anthropic", "claude-sonnet-4-5", [usage(10, 1, 0, None)], AUTUMN)
    assert (cost.rates, cost.stored["rates"]) == (
        rates,
        {"input": "0.000003", "read": "3E-7", "written": "0.00000375"},
    )
    assert prices.cost("anthropic", "claude-sonnet-4-5", [usage(10, 1)], AUTUMN).rates is None


def test_a_written_token_costs_the_average_of_both_lifetimes_rounded_down(prices):
    used = [usage(0, 0, 0, 1, kept=1), usage(0, 0, 0, 2)]
    cost = prices.cost("anthropic", "claude-opus-4-5", used, AUTUMN)
    assert (cost.usd, cost.rates.written) == (Decimal("0.0000225"), Decimal("0.0000075"))  # 10 and twice 6.25, by three
    cost = prices.cost("anthropic", "claude-opus-4-5", [usage(0, 0, 0, 3, kept=1)] * 2, AUTUMN)
    assert (cost.usd, cost.rates.written) == (Decimal("0.000045"), Decimal("0.0000075"))
    cost = prices.cost("anthropic", "claude-opus-4-5", [usage(0, 0, 0, 7, kept=1)], AUTUMN)
    assert (cost.usd, cost.rates.written) == (Decimal("0.0000475"), Decimal("0.000006785714"))
    # Searches are not for tokens, so the kinds of tokens are not told apart.
    assert prices.cost("anthropic", "claude-opus-4-5", [usage(0, 0, 0, 7, searches=1)], AUTUMN).rates is None


@pytest.mark.expects_log(
    r"ERROR storage\.prices\.pricing: a call cannot be priced, and others may be without a price too"
)
def test_a_table_that_fails_is_complained_about_once(log_watch):
    prices = Prices({"openai": ("openai", "https://api.openai.com/v1/")})
    prices._models = None
    assert [prices.cost("openai", "gpt-4o", [usage(1)], AUTUMN) for _ in range(3)] == [None, None, None]
    assert len(log_watch.lines) == 1
