from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from intercept.blocks import Blocks
from storage.derived.sessions.prompt_cache import (
    LIFETIME,
    LONG_LIFETIME,
    MAX_LINES,
    compare,
    lines_id,
)
from storage.mongo.codec import binary
from tests.cases import for_each
from tests.storage.records import NOON

RATES = {"input": "0.000003", "read": "0.000001", "written": "0.000004"}
COST = {"usd": Decimal128("1"), "prices": "table 1", "rates": RATES}


def id_of(number):
    return binary(UUID(int=number))


def blocks(messages, tools="", system="s"):
    parts = (tuple(name.encode() * 8 for name in part) for part in (tools, system, messages))
    return Blocks(*parts).pack()


def call(number, seconds, packed, *, read=0, written=0, fresh=10, **changes):
    at = NOON + timedelta(seconds=seconds)
    fields = {
        "_id": id_of(number),
        "provider_name": "anthropic",
        "model": "claude-sonnet-4-5",
        "started_at": at,
        "first_byte_at": at + timedelta(seconds=1),
        "ended_at": at + timedelta(seconds=2),
        "blocks": packed,
        "cost": COST,
        "input_tokens": fresh,
        "output_tokens": 1,
        "cache_read_input_tokens": read,
        "cache_write_input_tokens": written,
        "long_lived": False,
    }
    return fields | changes


def losses(*calls):
    return compare(None, calls)[1]


FIRST = call(1, 0, blocks("ab", tools="tu"), written=1000)


def test_a_call_that_reads_what_the_one_before_had_cached_lost_nothing():
    assert losses(FIRST, call(2, 60, blocks("abcd", tools="tu"), read=1000, written=50)) == {}


@for_each(
    ("now", "where"),
    (blocks("abcd", tools="xu"), {"cause": "changed", "kind": "tools", "index": 0}),
    (blocks("abcd", tools="ut"), {"cause": "reordered", "kind": "tools", "index": 0}),
    (blocks("abcd", tools="tu", system="z"), {"cause": "changed", "kind": "system", "index": 0}),
    (blocks("axbcd", tools="tu"), {"cause": "inserted", "kind": "message", "index": 1}),
    (blocks("b", tools="tu"), {"cause": "removed", "kind": "message", "index": 0}),
    (blocks("abcd", tools="tu"), {"cause": "evicted"}),
)
def test_a_call_that_did_not_lost_it_and_where_is_said(now, where):
    lost = losses(FIRST, call(2, 60, now, written=1200))
    usd = Decimal128("0.003000")  # 1,000 tokens written for 4 instead of read for 1 dollar a million
    assert lost == {id_of(2): {"lost_tokens": 1000, "lost": usd, "since": id_of(1)} | where}


@for_each(
    ("long_lived", "after", "cause"),
    (False, LIFETIME, "evicted"),
    (False, LIFETIME + timedelta(seconds=1), "expired"),
    (True, LONG_LIFETIME, "evicted"),
    (True, LONG_LIFETIME + timedelta(seconds=1), "expired"),
)
def test_without_a_change_the_lifetime_says_whether_it_expired(long_lived, after, cause):
    first = FIRST | {"long_lived": long_lived}
    late = call(2, after.total_seconds(), blocks("abc", tools="tu"), written=1200)
    assert losses(first, late)[id_of(2)]["cause"] == cause


@for_each(
    ("read", "written", "fresh", "tokens", "usd"),
    (0, 0, 1200, 1000, "0.002"),  # paid as input
    (0, 400, 800, 1000, "0.0024"),  # 400 of it written
    (900, 300, 0, 100, "0.0003"),
    (0, 0, 30, 30, "0.00006"),  # no more than what was paid for
)
def test_what_was_lost_costs_what_was_paid_instead(read, written, fresh, tokens, usd):
    lost = losses(FIRST, call(2, 9, blocks("abc", tools="tu"), read=read, written=written, fresh=fresh))[id_of(2)]
    assert (lost["lost_tokens"], lost["lost"].to_decimal()) == (tokens, Decimal(usd))


def test_each_conversation_is_compared_with_itself():
    other = call(2, 10, blocks("pq", tools="tu"), written=700)
    third = call(3, 20, blocks("abc", tools="tu"), read=1000)
    fourth = call(4, 30, blocks("pqr", tools="tu"), written=900)
    assert {id_: loss["since"] for id_, loss in losses(FIRST, other, third, fourth).items()} == {id_of(4): id_of(2)}


def test_lines_are_bounded_to_the_latest():
    calls = [call(number, number, blocks(chr(64 + number)), written=9) for number in range(1, MAX_LINES + 3)]
    lines = compare(None, calls)[0]["lines"]
    assert [line["call"] for line in lines] == [id_of(number) for number in range(3, MAX_LINES + 3)]


def test_a_line_whose_texts_go_soon_does_not_take_the_others_with_it():
    untils = [NOON + timedelta(days=1), NOON + timedelta(hours=47)]
    side = call(1, 0, blocks("pq"), written=9, texts_until=untils[0])
    fields = compare(None, [side, call(2, 22 * 3_600, blocks("ab"), written=9, texts_until=untils[1])])[0]
    assert ([line["call"] for line in fields["lines"]], fields["expires_at"]) == ([id_of(1), id_of(2)], untils[0])
    fields = compare(fields, [call(3, 23 * 3_600, blocks("abc"), read=9, texts_until=untils[1])])[0]
    assert ([line["call"] for line in fields["lines"]], fields["expires_at"]) == ([id_of(3)], untils[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"presumed": True},
        {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0, "cache_write_input_tokens": 0},
    ],
)
def test_what_is_not_known_for_sure_is_not_compared(changes):
    assert lines_id(id_of(9), FIRST | changes) is None
    assert lines_id(id_of(9), {name: value for name, value in FIRST.items() if name != "blocks"}) is None


def test_models_providers_agents_and_sessions_are_apart():
    calls = [
        FIRST,
        FIRST | {"model": "x"},
        FIRST | {"provider_name": "x"},
        FIRST | {"agent": {"id": "x"}},
    ]
    ids = {lines_id(id_of(9), one) for one in calls} | {lines_id(id_of(8), FIRST)}
    assert len(ids) == 5
    assert lines_id(id_of(9), FIRST | {"agent": {}}) == lines_id(id_of(9), FIRST)


steps = st.lists(
    st.builds(
        lambda at, messages, tools, read, written, fresh: (at, blocks(messages, tools=tools), read, written, fresh),
        st.integers(0, 900),
        st.text("abc", min_size=1, max_size=5),
        st.text("tu", max_size=2),
        *(st.integers(0, 100) for _ in range(3)),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda step: step[0],
).map(sorted)


@given(steps, st.data())
def test_however_calls_are_parted_they_lose_the_same_and_never_more_than_they_paid(made, data):
    calls = [
        call(number, at, packed, read=read, written=written, fresh=fresh)
        for number, (at, packed, read, written, fresh) in enumerate(made)
    ]
    at_once, lost = compare(None, calls)
    known, in_parts, rest = None, {}, calls
    while rest:
        part = data.draw(st.integers(1, len(rest)))
        known, some = compare(known, rest[:part])
        in_parts |= some
        rest = rest[part:]
    assert in_parts == lost
    assert known["expires_at"] == at_once["expires_at"]
    for one in calls:
        if loss := lost.get(one["_id"]):
            assert 0 < loss["lost_tokens"] <= one["input_tokens"] + one["cache_write_input_tokens"]
            assert loss["lost"].to_decimal() >= 0
            assert loss["since"] < one["_id"]
