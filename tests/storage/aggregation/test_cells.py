from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from storage.aggregation.cells import (
    BUCKETS,
    DIMENSIONS,
    Bucket,
    Level,
    RollupKey,
    add,
    cells_of,
    document_of,
    figures_of,
    increments,
)
from storage.aggregation.histograms import histogram

MINUTE = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
ADA, BOB = UUID(int=1), UUID(int=2)


def minute(initiator=ADA, provider="openai", provider_name="openai", model="gpt-5", *, client="Codex", at=MINUTE):
    return RollupKey(Level.INITIATOR, Bucket.MINUTE, at, (initiator, provider, provider_name, model, client))


@pytest.mark.parametrize(
    ("bucket", "floor"),
    [
        (Bucket.MINUTE, datetime(2026, 3, 1, 23, 59, tzinfo=UTC)),
        (Bucket.HOUR, datetime(2026, 3, 1, 23, tzinfo=UTC)),
        (Bucket.DAY, datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_bucket_begins_where_its_last_moment_is_floored_to(bucket, floor):
    assert bucket.floor(MINUTE + timedelta(seconds=59, microseconds=999_000)) == floor
    assert bucket.floor(floor) == floor
    assert bucket.floor(floor + bucket.length) == floor + bucket.length


def test_a_call_is_in_one_cell_of_every_level_and_bucket():
    made = cells_of([(minute(), {"interceptions": 1})])
    assert {(place.level, place.bucket) for place in made} == {(level, b) for level in Level for b in BUCKETS[level]}
    assert len(made) == 18
    for place in made:
        assert place.at == place.bucket.floor(MINUTE)
        assert (
            place.values
            == {
                Level.EVERYONE: (),
                Level.MODEL: ("gpt-5",),
                Level.PROVIDER: ("openai", "openai"),
                Level.CLIENT: ("Codex",),
                Level.COMBINATION: ("openai", "openai", "gpt-5", "Codex"),
                Level.PERSON: (ADA,),
                Level.INITIATOR: (ADA, "openai", "openai", "gpt-5", "Codex"),
            }[place.level]
        )


places = st.builds(
    minute,
    initiator=st.sampled_from([ADA, BOB]),
    provider_name=st.sampled_from(["openai", "eu"]),
    model=st.sampled_from(["a", "b"]),
    client=st.sampled_from(["x", "y"]),
    at=st.sampled_from([MINUTE, MINUTE + timedelta(minutes=1), MINUTE - timedelta(hours=3)]),
)
parts = st.dictionaries(st.sampled_from(["interceptions", "ends.completed", "durations"]), st.integers(-5, 5))


@given(st.lists(st.tuples(places, parts), max_size=8))
def test_every_cell_is_the_sum_of_its_minutes(minutes):
    made = cells_of(minutes)
    for place, figures in made.items():
        wanted = {}
        for part, added in minutes:
            named = dict(zip(DIMENSIONS[Level.INITIATOR], part.values, strict=True))
            values = tuple(named[name] for name in DIMENSIONS[place.level])
            if (values, place.bucket.floor(part.at)) == (place.values, place.at):
                add(wanted, added)
        assert figures == wanted


@given(st.lists(st.tuples(places, parts), max_size=8), st.integers(0, 8))
def test_it_does_not_matter_how_calls_are_divided_among_turns(minutes, cut):
    total = {}
    for turn in (minutes[:cut], minutes[cut:]):
        for place, figures in cells_of(turn).items():
            add(total.setdefault(place, {}), figures)
    assert total == cells_of(minutes)


def test_what_is_given_is_not_changed():
    figures = {"interceptions": 1}
    cells_of([(minute(), figures), (minute(), figures)])
    assert figures == {"interceptions": 1}


def test_figures_are_the_same_after_the_database_had_them():
    figures = {"interceptions": 2, "ends.completed": 2, "cost": Decimal("0.10")}
    figures |= {"durations": histogram([7, 7, 8]), "first_bytes": histogram([0, 0])}
    assert document_of(figures) == {
        "interceptions": 2,
        "ends": {"completed": 2},
        "durations": b"\x07\x02\x00\x00\x00\x01",
        "first_bytes": b"\x00\x02",
        "cost": Decimal128("0.10"),
    }
    about = {"_id": b"", "level": "everyone", "bucket": "day", "at": MINUTE, "expires_at": MINUTE, "model": "gpt-5"}
    assert figures_of({**about, **document_of(figures)}) == figures


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**20, places=12))
def test_a_cost_is_the_same_after_the_database_had_it(cost):
    found = figures_of({"cost": Decimal128(cost)})["cost"]
    assert found.as_tuple() == cost.as_tuple()


def test_taking_away_what_was_added_leaves_nothing():
    figures = {"interceptions": 2, "ends.completed": 2, "cost": Decimal("0.10"), "durations": histogram([7, 99])}
    rest = dict(figures)
    add(rest, figures, -1)
    assert rest == {"interceptions": 0, "ends.completed": 0, "cost": Decimal(0), "durations": 0}
    assert document_of(rest) == increments(rest) == {}


def test_a_cell_has_the_fields_of_its_place():
    assert minute().fields == {
        "level": "initiator",
        "bucket": "minute",
        "at": MINUTE,
        "initiator_id": ADA,
        "provider": "openai",
        "provider_name": "openai",
        "model": "gpt-5",
        "client": "Codex",
        "expires_at": MINUTE + timedelta(days=8),
    }
    day = RollupKey(Level.EVERYONE, Bucket.DAY, MINUTE, ())
    assert day.fields == {"level": "everyone", "bucket": "day", "at": MINUTE}


def test_the_same_place_has_the_same_id_and_no_other_has_it():
    assert minute().id == minute().id
    others = [
        minute(initiator=BOB),
        minute(provider="openai-openai"),
        minute(provider="", provider_name="openaiopenai"),
        minute(provider="openaiopenai", provider_name=""),
        minute(model="$gpt-5"),
        minute(at=MINUTE + timedelta(minutes=1)),
        minute()._replace(bucket=Bucket.HOUR),
        RollupKey(Level.MODEL, Bucket.MINUTE, MINUTE, ("gpt-5",)),
        RollupKey(Level.CLIENT, Bucket.MINUTE, MINUTE, ("gpt-5",)),
    ]
    ids = {place.id for place in (minute(), *others)}
    assert len(ids) == 1 + len(others)
    assert {len(id_) for id_ in ids} == {16}
