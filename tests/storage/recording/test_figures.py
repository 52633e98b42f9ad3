from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128

from intercept.records import EndReason, Reading, TokenUsage
from storage.derived.histograms import quantiles
from storage.prices.pricing import MAX_TOKENS, Cost, InputRates
from storage.recording.documents import ended_document, start_document
from storage.recording.figures import bucket_of, cost_figures_of
from tests.cases import for_each
from tests.storage.records import INSTANCE, NOON, ending, interception

USAGES = (
    TokenUsage(provider_response_id="1", input_tokens=100, output_tokens=40, cache_read_input_tokens=300),
    TokenUsage(provider_response_id="2", input_tokens=100, output_tokens=10, cache_write_input_tokens=100),
)
RATES = InputRates(input=Decimal("3e-6"), read=Decimal("3e-7"), written=Decimal("4e-6"))
COST = Cost(Decimal("0.005000000000"), "table 1", RATES)
OF_TIMES = {"took": 2000, "first_byte": 1000, "bridge": 50}


def figures(usages=USAGES, cost=COST, billed=True, streaming=True, **changes):
    """What an end adds to a document, aside from what it is made of."""
    started = interception(billed=billed, streaming=streaming)
    start = start_document(started, instance_id=INSTANCE)
    end = ending(**({"reading": Reading(token_usages=usages)} | changes))
    document = ended_document(start, end, cost=cost)
    names = (
        *("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "tokens"),
        *("cache_share", "input_cost", "output_cost", "read_cost", "written_cost", "saved"),
        *("took", "first_byte", "bridge", "speed", "buckets", "priced", "unpriced", "no_usage"),
    )
    return {name: document[name] for name in names if name in document}


def test_a_call_has_its_figures():
    assert figures() == {
        "input_tokens": 200,
        "output_tokens": 50,
        "cache_read_input_tokens": 300,
        "cache_write_input_tokens": 100,
        "tokens": 650,
        "cache_share": 0.5,
        "input_cost": Decimal128("0.000600"),
        "read_cost": Decimal128("0.0000900"),
        "written_cost": Decimal128("0.000400"),
        "output_cost": Decimal128("0.003910000000"),
        "saved": Decimal128("0.0008100"),
        **OF_TIMES,
        "speed": 50.0,
        "buckets": {"durations": 80, "first_bytes": 73, "bridges": 42, "speeds": 42},
        "priced": True,
        "unpriced": False,
        "no_usage": False,
    }


NOTHING = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens"), 0)
LARGE = TokenUsage(provider_response_id="", input_tokens=2**80, output_tokens=-5)


@for_each(
    ("given", "tokens", "flags"),
    ({"usages": (), "cost": None}, {}, (False, False, True)),
    ({"usages": (), "cost": None, "billed": False}, {}, (False, False, False)),
    ({"usages": (TokenUsage(provider_response_id=""),), "cost": None}, {"tokens": 0}, (False, False, False)),
    (
        {"usages": (LARGE,), "cost": None},
        {"input_tokens": MAX_TOKENS, "tokens": MAX_TOKENS, "cache_share": 0},
        (False, True, False),
    ),
    (
        {"usages": (LARGE, LARGE), "cost": Cost(Decimal(1), "table 1")},
        {"input_tokens": MAX_TOKENS, "tokens": MAX_TOKENS, "cache_share": 0},
        (True, False, False),
    ),
    ids=["no usage", "not billed", "usage without counts", "no price", "no rates"],
)
def test_what_is_not_known_is_absent(given, tokens, flags):
    known = figures(**given)
    times = {name: known.pop(name) for name in (*OF_TIMES, "buckets")}
    assert times == {**OF_TIMES, "buckets": {"durations": 80, "first_bytes": 73, "bridges": 42}}
    assert known == {**NOTHING, **tokens, **dict(zip(("priced", "unpriced", "no_usage"), flags, strict=True))}


@for_each(
    "changes",
    {"streaming": False},
    {"end_reason": EndReason.CLIENT_DISCONNECTED},
    {"first_byte_at": None},
    {"first_byte_at": NOON + timedelta(seconds=2)},
    {"usages": ()},
)
def test_speed_is_that_of_a_stream_that_was_completed_and_took_some_time(changes):
    known = figures(**changes)
    assert "speed" not in known
    assert "speeds" not in known["buckets"]


def test_times_are_whole_milliseconds_as_the_database_keeps_them():
    known = figures(ended_at=NOON + timedelta(microseconds=2_999), first_byte_at=NOON, upstream_asked_at=None)
    assert (known["took"], known["first_byte"], "bridge" in known) == (2, 0, False)


@pytest.mark.parametrize("number", [-5, 0, 1, 2, 3, 10, 999, 10**5, 10**9, 10**15])
def test_a_bucket_stands_for_its_numbers(number):
    (middle,) = quantiles(1 << 32 * bucket_of(number), [0.5])
    assert abs(middle - min(max(number, 1), 1.1**200)) <= 0.05 * abs(number) + 0.1


def test_a_price_of_another_time_gives_the_figures_of_a_cost_alone():
    usage = {"input_tokens": 5, "output_tokens": None}
    document = {"_id": UUID(int=1), "token_usages": [usage], "cost": {"usd": Decimal128("1"), "prices": "table 1"}}
    assert cost_figures_of(document) == {
        **NOTHING,
        "input_tokens": 5,
        "tokens": 5,
        "cache_share": 0.0,
        "priced": True,
        "unpriced": False,
        "no_usage": False,
    }
