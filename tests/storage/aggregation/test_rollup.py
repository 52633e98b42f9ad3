from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from storage.aggregation.histograms import histogram
from storage.aggregation.rollup import (
    BUCKETS,
    DETAILS,
    DIMENSIONS,
    NO_GROUP,
    Breakdown,
    Bucket,
    RollupKey,
    add,
    document_of,
    increments,
    rollups_of,
    totals_of,
)
from tests.cases import for_each

MINUTE = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
ADA, BOB = UUID(int=1), UUID(int=2)
RESEARCH, OPS = UUID(int=3), UUID(int=4)


def minute(initiator=ADA, provider="openai", provider_name="openai", model="gpt-5", *, client="Codex", at=MINUTE):
    return RollupKey(Breakdown.USER_COMBINATION, Bucket.MINUTE, at, (initiator, provider, provider_name, model, client))


def of_token(initiator=ADA, token="abcdefghij", groups=(), at=MINUTE):
    return RollupKey(Breakdown.TOKEN, Bucket.MINUTE, at, (initiator, token, groups))


def with_tokens(minutes):
    """The same calls by token: each user has one, and is in as many groups as the name of the client says."""
    groups = {"x": (), "y": (RESEARCH, OPS)}
    return [(of_token(key.values[0], str(key.values[0]), groups[key.values[4]], key.at), part) for key, part in minutes]


@for_each(
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


def test_a_call_is_in_one_rollup_of_every_breakdown_and_bucket():
    made = rollups_of([(minute(), {"interceptions": 1})], [(of_token(groups=(RESEARCH,)), {"interceptions": 1})])
    assert {(key.breakdown, key.bucket) for key in made} == {
        (breakdown, b) for breakdown in set(Breakdown) - DETAILS for b in BUCKETS[breakdown]
    }
    assert len(made) == 24
    for key in made:
        assert key.at == key.bucket.floor(MINUTE)
        assert (
            key.values
            == {
                Breakdown.ALL: (),
                Breakdown.MODEL: ("gpt-5",),
                Breakdown.PROVIDER: ("openai", "openai"),
                Breakdown.CLIENT: ("Codex",),
                Breakdown.COMBINATION: ("openai", "openai", "gpt-5", "Codex"),
                Breakdown.USER: (ADA,),
                Breakdown.USER_COMBINATION: (ADA, "openai", "openai", "gpt-5", "Codex"),
                Breakdown.TOKEN: (ADA, "abcdefghij", (RESEARCH,)),
                Breakdown.GROUP: (RESEARCH,),
            }[key.breakdown]
        )


keys = st.builds(
    minute,
    initiator=st.sampled_from([ADA, BOB]),
    provider_name=st.sampled_from(["openai", "eu"]),
    model=st.sampled_from(["a", "b"]),
    client=st.sampled_from(["x", "y"]),
    at=st.sampled_from([MINUTE, MINUTE + timedelta(minutes=1), MINUTE - timedelta(hours=3)]),
)
parts = st.dictionaries(st.sampled_from(["interceptions", "ends.completed", "durations"]), st.integers(-5, 5))


@given(st.lists(st.tuples(keys, parts), max_size=8))
def test_every_rollup_is_the_sum_of_its_minutes(minutes):
    made = rollups_of(minutes, [])
    for key, totals in made.items():
        wanted = {}
        for part, added in minutes:
            named = dict(zip(DIMENSIONS[Breakdown.USER_COMBINATION], part.values, strict=True))
            values = tuple(named[name] for name in DIMENSIONS[key.breakdown])
            if (values, key.bucket.floor(part.at)) == (key.values, key.at):
                add(wanted, added)
        assert totals == wanted


@given(st.lists(st.tuples(keys, parts), max_size=8))
def test_a_call_is_counted_once_in_each_group_of_its_user_and_once_in_all(minutes):
    made = rollups_of(minutes, with_tokens(minutes))
    for bucket in Bucket:
        wanted = {}
        for key, added in minutes:
            for group in (RESEARCH, OPS) if key.values[4] == "y" else (NO_GROUP,):
                add(wanted.setdefault((group, bucket.floor(key.at)), {}), added)
        groups = {key: part for key, part in made.items() if (key.breakdown, key.bucket) == (Breakdown.GROUP, bucket)}
        assert {(key.values[0], key.at): part for key, part in groups.items()} == wanted
        everyone, by_token = ({}, {})
        for key, part in made.items():
            if key.bucket is bucket and key.breakdown in {Breakdown.ALL, Breakdown.TOKEN}:
                add((everyone if key.breakdown is Breakdown.ALL else by_token).setdefault(key.at, {}), part)
        assert everyone == by_token


@given(st.lists(st.tuples(keys, parts), max_size=8), st.integers(0, 8))
def test_it_does_not_matter_how_calls_are_divided_among_runs(minutes, cut):
    total = {}
    for run in (minutes[:cut], minutes[cut:]):
        for key, totals in rollups_of(run, with_tokens(run)).items():
            add(total.setdefault(key, {}), totals)
    assert total == rollups_of(minutes, with_tokens(minutes))


def test_what_is_given_is_not_changed():
    totals = {"interceptions": 1}
    rollups_of([(minute(), totals), (minute(), totals)], [(of_token(), totals), (of_token(), totals)])
    assert totals == {"interceptions": 1}


def test_figures_are_the_same_after_the_database_had_them():
    totals = {"interceptions": 2, "ends.completed": 2, "cost": Decimal("0.10")}
    totals |= {"durations": histogram([7, 7, 8]), "first_bytes": histogram([0, 0])}
    assert document_of(totals) == {
        "interceptions": 2,
        "ends": {"completed": 2},
        "durations": b"\x07\x02\x00\x00\x00\x01",
        "first_bytes": b"\x00\x02",
        "cost": Decimal128("0.10"),
    }
    about = {"_id": b"", "level": "everyone", "bucket": "day", "at": MINUTE, "expires_at": MINUTE, "model": "gpt-5"}
    assert totals_of({**about, **document_of(totals)}) == totals


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**20, places=12))
def test_a_cost_is_the_same_after_the_database_had_it(cost):
    found = totals_of({"cost": Decimal128(cost)})["cost"]
    assert found.as_tuple() == cost.as_tuple()


def test_taking_away_what_was_added_leaves_nothing():
    totals = {"interceptions": 2, "ends.completed": 2, "cost": Decimal("0.10"), "durations": histogram([7, 99])}
    rest = dict(totals)
    add(rest, totals, -1)
    assert rest == {"interceptions": 0, "ends.completed": 0, "cost": Decimal(0), "durations": 0}
    assert document_of(rest) == increments(rest) == {}


def test_a_rollup_has_the_fields_of_its_place():
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
    day = RollupKey(Breakdown.ALL, Bucket.DAY, MINUTE, ())
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
        RollupKey(Breakdown.MODEL, Bucket.MINUTE, MINUTE, ("gpt-5",)),
        RollupKey(Breakdown.CLIENT, Bucket.MINUTE, MINUTE, ("gpt-5",)),
    ]
    ids = {key.id for key in (minute(), *others)}
    assert len(ids) == 1 + len(others)
    assert {len(id_) for id_ in ids} == {16}
