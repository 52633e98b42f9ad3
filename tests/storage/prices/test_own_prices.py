from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.dialects.request_bodies import MAX_MODEL
from intercept.records import TokenUsage
from storage.prices.own_prices import OwnPrice, OwnPrices
from storage.prices.pricing import Prices

AUTUMN = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TIMES = st.integers(0, 9).map(lambda number: AUTUMN + number * SECOND)


def price(provider="anthropic", model="claude-*", valid_from=AUTUMN, input_="3", output="15", **cached):
    money = {name: Decimal(usd) for name, usd in cached.items()}
    return OwnPrice(provider, model, valid_from, Decimal(input_), Decimal(output), **money)


def usage(plain=None, output=None, read=None, written=None, kept=0):
    return TokenUsage(
        provider_response_id="r",
        input_tokens=plain,
        output_tokens=output,
        cache_read_input_tokens=read,
        cache_write_input_tokens=written,
        usage={"cache_creation": {"ephemeral_1h_input_tokens": kept}, "server_tool_use": {"web_search_requests": 1}},
    )


@pytest.fixture(scope="module")
def prices():
    return Prices({"anthropic": ("anthropic", "https://api.anthropic.com/"), "demo": ("demo", "http://127.0.0.1/")})


def test_of_prices_from_the_same_time_that_with_the_longest_patterns_holds():
    anything, claude, opus = price("*", "*"), price(), price(model="claude-opus-*")
    eu = price("*-eu", "claude-*")
    found = OwnPrices([anything, claude, opus, eu])
    names = {
        ("openai", "gpt-5"): anything,
        ("Anthropic", "Claude-Haiku"): claude,
        ("anthropic", "claude-opus-4-1"): opus,
        ("anthropic-eu", "claude-opus-4-1"): eu,
        ("anthropic", "x" * (MAX_MODEL + 1)): anything,
    }
    for (provider, model), expected in names.items():
        assert found.find(provider, model, AUTUMN) is expected


@given(
    st.lists(
        st.builds(
            price,
            st.sampled_from(["a*", "*", "b", "ab"]),
            st.sampled_from(["m*", "*", "mn"]),
            TIMES,
        ),
        max_size=9,
        unique_by=attrgetter("key"),
    ),
    st.sampled_from(["a", "b", "ab"]),
    st.sampled_from(["m", "mn", "x"]),
    TIMES,
)
def test_whatever_prices_there_are_the_order_in_which_they_came_makes_no_difference(prices, provider, model, at):
    found = OwnPrices(prices).find(provider, model, at)
    assert found == OwnPrices(reversed(prices)).find(provider, model, at)
    if found is not None:
        assert found.valid_from <= at
        assert all(
            one.valid_from <= found.valid_from
            for one in prices
            if one.valid_from <= at and one.key[:2] == found.key[:2]
        )


def test_an_own_price_comes_before_list_prices_and_to_the_token(prices):
    prices.set_own([price(input_="0.000001", output="15", cache_read="0.3", cache_write="3.75")])
    cost = prices.cost("anthropic", "claude-opus-4-1", [usage(1, 2, 3, 4), usage(1)], AUTUMN)
    name = "own price of claude-* of anthropic from 2026-11-01T00:00:00.000Z"
    assert cost[:2] == (Decimal("0.000045900002"), name)
    assert prices.cost("anthropic", "claude-opus-4-1", [usage()], AUTUMN) is None
    before = prices.cost("anthropic", "claude-opus-4-1", [usage(1)], AUTUMN - SECOND)
    assert before is not None
    assert before.prices.startswith("genai-prices")
    prices.set_own([])
    assert prices.cost("anthropic", "claude-opus-4-1", [usage(1)], AUTUMN) == before


def test_what_is_written_for_an_hour_has_a_price_of_its_own_or_that_of_other_writes(prices):
    used = [usage(0, 0, 0, 10, kept=4)]
    own = [price(), price(cache_write="5"), price(cache_write="5", cache_write_1h="8"), price(cache_write_1h="8")]
    usd = []
    for one in own:
        prices.set_own([one])
        usd.append(prices.cost("anthropic", "claude-opus-4-1", used, AUTUMN).usd * 10**6)
    assert usd == [30, 50, 62, 50]  # searches have no own price
