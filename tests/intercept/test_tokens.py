from decimal import Decimal

import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from intercept.records import ProviderPrice, TokenUsage
from intercept.tokens import (
    MAX_COUNT,
    MAX_PRICE,
    MAX_USAGE_DEPTH,
    MAX_USAGE_WEIGHT,
    count,
    openai_tokens,
    provider_price,
    storable,
    web_searches,
    written_for_an_hour,
)
from tests.cases import for_each

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("value", [0, 1, MAX_COUNT])
def test_a_count_is_a_whole_number_that_fits_into_64_bits(value):
    assert count(value) == value


@for_each("value", -1, MAX_COUNT + 1, 1.0, True, False, "1", None, [], {})
def test_everything_else_was_not_reported(value):
    assert count(value) is None


@for_each(
    "usage",
    {},
    {"a": 1, "b": {"c": [1.5, None, True, "text\0"]}, "d.e": -MAX_COUNT},
    nested(MAX_USAGE_DEPTH),
    {"a": "x" * (MAX_USAGE_WEIGHT - 5)},
    ids=["empty", "mixed", "deep", "heavy"],
)
def test_a_usage_object_is_kept_whole(usage):
    assert storable(usage) is usage


@for_each(
    "usage",
    {"a": MAX_COUNT + 1},
    {"a": [{"b": -MAX_COUNT - 2}]},
    {"a\0b": 1},
    {"a": {"$where": 1}},
    nested(MAX_USAGE_DEPTH + 1),
    {"a": "x" * MAX_USAGE_WEIGHT},
    {"a" * MAX_USAGE_WEIGHT: 1},
    {"a": [None] * MAX_USAGE_WEIGHT},
    {str(number): None for number in range(MAX_USAGE_WEIGHT)},
    ids=["large", "small", "NUL", "operator", "deep", "text", "name", "list", "names"],
)
def test_a_usage_object_that_mongodb_would_not_take_is_not_kept(usage):
    assert storable(usage) == {}


@for_each(
    ("usage", "counts"),
    ({"input_tokens": 10, "output_tokens": 2}, {"input_tokens": 10, "output_tokens": 2}),
    (
        {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}},
        {"input_tokens": 6, "cache_read_input_tokens": 4},
    ),
    (
        {"input_tokens": 4, "input_tokens_details": {"cached_tokens": 9}},
        {"input_tokens": 0, "cache_read_input_tokens": 9},
    ),
    ({"input_tokens_details": {"cached_tokens": 0}}, {"cache_read_input_tokens": 0}),
    ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 0, "output_tokens": 0}),
    ({"input_tokens": 3, "input_tokens_details": None, "output_tokens": "2"}, {"input_tokens": 3}),
)
def test_openai_s_counts_are_made_disjoint(usage, counts):
    assert openai_tokens(usage, "input", "output") == TokenUsage(provider_response_id="", usage=usage, **counts)


@for_each("usage", None, {}, [], "10", {"input_tokens": None}, {"input_tokens": -1, "output_tokens": 1.0})
def test_a_usage_without_a_count_is_none(usage):
    assert openai_tokens(usage, "input", "output") is None


def test_the_counts_outlive_an_object_too_heavy_to_keep():
    usage = {"input_tokens": 3, "essay": "x" * MAX_USAGE_WEIGHT}
    assert openai_tokens(usage, "input", "output") == TokenUsage(provider_response_id="", input_tokens=3, usage={})


@for_each(
    ("usage", "price"),
    ({"cost": 0.00014}, ("0.00014", "cost")),
    ({"cost": 0}, ("0", "cost")),
    ({"cost": 1e-15}, ("0", "cost")),
    ({"cost_in_usd_ticks": 37756000}, ("0.0037756", "cost_in_usd_ticks")),
    ({"cost_in_usd_ticks": 1, "cost": 5}, ("1e-10", "cost_in_usd_ticks")),
    ({"cost_in_usd_ticks": "1", "cost": 5}, ("5", "cost")),
)
def test_a_provider_says_what_it_takes_in_a_field_of_its_own(usage, price):
    assert provider_price(usage) == ProviderPrice(usd=Decimal(price[0]), source=price[1])


@for_each("value", None, True, "1", -1, -0.1, MAX_PRICE + 1, 10**400, [], {}, float("inf"))
def test_what_cannot_be_a_price_is_none(value):
    assert provider_price({"cost": value}) is None


@for_each("value", None, True, "1", -1, 1.5, MAX_PRICE * 10**10 + 1, [], {})
def test_what_cannot_be_ticks_is_no_price(value):
    assert provider_price({"cost_in_usd_ticks": value}) is None


@for_each(
    ("usage", "tokens"),
    ({}, 0),
    ({"cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 20}}, 20),
    ({"cacheDetails": [{"ttl": "1h", "inputTokens": 3}, {"ttl": "5m", "inputTokens": 4}]}, 3),
    ({"cacheDetails": [5, {"ttl": "1h"}, {"ttl": "1h", "inputTokens": "3"}], "cache_creation": [1]}, 0),
)
def test_how_many_tokens_were_written_for_an_hour_is_said_by_two_vendors(usage, tokens):
    assert written_for_an_hour(usage) == tokens


@for_each(("tools", "searches"), ({"web_search_requests": 2, "web_fetch_requests": 3}, 2), ({}, 0), (None, 0), (7, 0))
def test_searches_that_the_provider_made_are_counted(tools, searches):
    assert web_searches({"server_tool_use": tools}) == searches


@given(JSON, JSON)
def test_any_usage_has_a_price_that_the_database_can_keep_or_none(cost, ticks):
    price = provider_price({"cost": cost, "cost_in_usd_ticks": ticks})
    assert price is None or (0 <= price.usd <= MAX_PRICE and Decimal128(price.usd).to_decimal() == price.usd)
