from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercept.records import EndReason
from resources.recorded.stats import Totals
from storage.aggregation import uncounted as uncounted_module
from storage.aggregation.rollup import FIELDS, NO_GROUP, Bucket, GroupBy, add
from storage.aggregation.rollup_job import RollupJob
from storage.mongo.database import DatabaseUnavailableError
from storage.queries import statistics as statistics_module
from storage.queries.statistics import Statistics, StatsQuery, TooManyRollupsError
from tests.cases import for_each
from tests.examples import examples
from tests.storage.rollup_checks import MIDNIGHT, Call, marked, totals_of_call, write

ADA, BOB = UUID(int=0xADA), UUID(int=0xB0B)
RESEARCH, OPS = UUID(int=0xE5), UUID(int=0x095)
DAY, HOUR = 86_400, 3_600
DAYS = StatsQuery(MIDNIGHT, MIDNIGHT + timedelta(days=3), Bucket.DAY)


def now():
    return MIDNIGHT


async def count(database, *calls, ends=None):
    ends = ends or [{} for _ in calls]
    await write(
        database,
        *(call.start for call in calls),
        *(call.end(**end) for call, end in zip(calls, ends, strict=True)),
    )
    await RollupJob(database, now=now).add_pending()


def figures(totals):
    """What series show of totals."""
    return {name: total for name, total in totals.items() if name.partition(".")[0] in FIELDS}


def numbers(series):
    """How many calls each series has, by time."""
    return [
        (one.group, one.other, {str(at - MIDNIGHT): totals["interceptions"] for at, totals in one.points.items()})
        for one in series
    ]


@pytest.mark.gen_test
async def test_nothing_is_a_series_without_points_and_figures_look_like_this(database):
    uncounted, (series,) = await Statistics(database).read(DAYS, visible_to=None)
    assert (uncounted, series.group, series.points, series.other) == (0, None, {}, False)
    assert await Statistics(database).read(
        StatsQuery(DAYS.start, DAYS.end, Bucket.DAY, GroupBy.MODEL), visible_to=None
    ) == (0, [])
    calls = [Call(number, second=number) for number in range(1, 5)]
    failed = {"end_reason": EndReason.UPSTREAM_ERROR, "first_byte": None, "took": 10, "priced": False}
    await count(database, *calls, ends=[{"tokens": 5}, {"tokens": None}, failed, failed | {"tokens": None}])
    _, (series,) = await Statistics(database).read(DAYS, visible_to=None)
    assert list(series.points) == [MIDNIGHT]
    assert msgspec.to_builtins(Totals.of(series.total)) == {
        "interceptions": 4,
        "completed": 2,
        "failures": {"upstream_error": 2},
        "token_usage": {
            "input_tokens": 12,
            "output_tokens": 2,
            "cache_read_input_tokens": 0,
            "cache_write_input_tokens": 0,
        },
        "cost_usd": 0.000005,
        "cost_micro_usd": 5,
        "unpriced": 1,
        "no_usage": 2,
        "duration_ms": {"p50": 1950.9, "p95": 9860.6, "p99": 9860.6},
        "first_byte_ms": {"p50": 1001.1, "p95": 1001.1, "p99": 1001.1},
    }


@pytest.mark.gen_test
async def test_what_has_no_price_and_no_times_shows_null_and_what_costs_nothing_has_one(database):
    ends = {"priced": False, "first_byte": None}, {"tokens": 0}
    await count(database, Call(1), Call(2, second=DAY), ends=ends)
    _, (series,) = await Statistics(database).read(DAYS, visible_to=None)
    assert Totals.of(series.points.pop(MIDNIGHT + timedelta(days=1))).cost_usd == 0
    totals = msgspec.to_builtins(Totals.of(series.points[MIDNIGHT]))
    unknown = totals["cost_usd"], totals["cost_micro_usd"], totals["first_byte_ms"]
    assert (unknown, totals["unpriced"]) == ((None, None, None), 1)
    assert Totals.of({}).duration_ms is None


@pytest.mark.gen_test
async def test_the_largest_groups_come_first_and_what_is_left_is_one(database, monkeypatch):
    monkeypatch.setattr(statistics_module, "MAX_GROUPS", 2)
    models = ["b"] * 3 + ["a"] * 2 + ["c"] * 2 + ["d"]
    await count(
        database,
        *(
            Call(n, second=n % 3 * DAY, model=model, client=model, initiator=UUID(bytes=model.encode() * 16))
            for n, model in enumerate(models)
        ),
    )
    for group_by in (GroupBy.MODEL, GroupBy.CLIENT, GroupBy.INITIATOR):
        b, a = [UUID(bytes=name * 16) if group_by is GroupBy.INITIATOR else name.decode() for name in (b"b", b"a")]
        query = StatsQuery(DAYS.start, DAYS.end, Bucket.DAY, group_by)
        _, series = await Statistics(database).read(query, visible_to=None)
        assert numbers(series) == [
            (b, False, {"0:00:00": 1, "1 day, 0:00:00": 1, "2 days, 0:00:00": 1}),
            (a, False, {"0:00:00": 1, "1 day, 0:00:00": 1}),
            (None, True, {"0:00:00": 1, "1 day, 0:00:00": 1, "2 days, 0:00:00": 1}),
        ]


@pytest.mark.gen_test
async def test_a_rollup_that_has_expired_before_others_of_its_time_is_no_error(database, monkeypatch):
    monkeypatch.setattr(statistics_module, "MAX_GROUPS", 1)
    await count(database, *(Call(number, model=f"model-{number % 2}") for number in range(1, 4)))
    await database.rollups.delete_many({"level": "everyone", "bucket": "day"})
    query = StatsQuery(DAYS.start, DAYS.end, Bucket.DAY, GroupBy.MODEL)
    _, series = await Statistics(database).read(query, visible_to=None)
    assert numbers(series) == [("model-1", False, {"0:00:00": 2})]


@for_each(("days", "groups"), [(1, 20), (50, 20), (60, 16), (168, 8), (1_500, 8)])
def test_the_more_points_a_series_has_the_fewer_there_are(days, groups):
    assert StatsQuery(DAYS.start, DAYS.start + timedelta(days=days), Bucket.DAY, GroupBy.MODEL).max_groups == groups


@pytest.mark.gen_test
async def test_a_member_has_statistics_of_their_own_calls(database, monkeypatch):
    monkeypatch.setattr(statistics_module, "MAX_GROUPS", 2)
    calls = [Call(n, second=n * HOUR, initiator=ADA if n % 2 else BOB, model=f"m{n % 8}") for n in range(16)]
    await count(database, *calls)
    read = Statistics(database).read
    for bucket in Bucket:
        requested = [StatsQuery(DAYS.start, DAYS.start + timedelta(days=1), bucket, by) for by in (None, *GroupBy)]
        series = [(await read(query, visible_to=ADA))[1] for query in requested]
        assert [[(one.group, one.other, one.total["interceptions"]) for one in each] for each in series] == [
            [(None, False, 8)],
            [("m1", False, 2), ("m3", False, 2), (None, True, 4)],
            [("openai", False, 8)],
            [("Codex", False, 8)],
            [(ADA, False, 8)],
            [(NO_GROUP, False, 8)],
            [("abcdefghij", False, 8)],
        ]
    assert (await read(DAYS, visible_to=UUID(int=7)))[1][0].points == {}


@pytest.mark.gen_test
async def test_a_call_of_a_user_in_three_groups_is_in_each_and_once_in_all(database):
    three = (RESEARCH, OPS, UUID(int=3))
    await count(database, Call(1, groups=three), Call(2, groups=(OPS,), token="ci"), Call(3, initiator=BOB))
    read = Statistics(database).read
    by = {group_by: StatsQuery(DAYS.start, DAYS.end, Bucket.DAY, group_by) for group_by in (None, *GroupBy)}

    async def sizes(group_by, visible_to=None):
        return {one.group: one.total["interceptions"] for one in (await read(by[group_by], visible_to=visible_to))[1]}

    assert await sizes(None) == {None: 3}
    assert await sizes(GroupBy.GROUP) == {OPS: 2, RESEARCH: 1, UUID(int=3): 1, NO_GROUP: 1}
    assert await sizes(GroupBy.TOKEN) == {"abcdefghij": 2, "ci": 1}
    assert await sizes(GroupBy.GROUP, BOB) == {NO_GROUP: 1}
    assert await sizes(GroupBy.TOKEN, BOB) == {"abcdefghij": 1}


@pytest.mark.gen_test
async def test_groups_that_have_no_series_are_left_out_as_they_overlap(database, monkeypatch):
    monkeypatch.setattr(statistics_module, "MAX_GROUPS", 1)
    await count(database, Call(1, groups=(RESEARCH, OPS)), Call(2, groups=(OPS,)))
    query = StatsQuery(DAYS.start, DAYS.end, Bucket.DAY, GroupBy.GROUP)
    for visible_to in (None, Call(1).initiator):
        _, series = await Statistics(database).read(query, visible_to=visible_to)
        assert [(one.group, one.other, one.total["interceptions"]) for one in series] == [(OPS, False, 2)]


@pytest.mark.gen_test
async def test_what_is_not_counted_yet_is_told_as_far_as_it_is_asked_for(database):
    await count(database, Call(1))
    calls = [Call(2, second=5), Call(3, second=5, initiator=BOB), Call(4, second=3 * DAY)]
    await write(database, *(call.start for call in calls), *(call.end() for call in calls))
    await write(database, Call(5).start)
    for visible_to, uncounted in ((None, 2), (BOB, 1), (ADA, 0)):
        assert (await Statistics(database).read(DAYS, visible_to=visible_to))[0] == uncounted
    rollups = RollupJob(database, now=now)
    await rollups._transact(await rollups._next_run(), partial(rollups._add_noted, 10))
    uncounted, (series,) = await Statistics(database).read(DAYS, visible_to=None)
    assert (uncounted, series.total["interceptions"]) == (0, 3)


@pytest.mark.gen_test
async def test_others_that_wait_do_not_hide_what_is_not_counted_yet(database, monkeypatch):
    monkeypatch.setattr(uncounted_module, "MAX_UNCOUNTED", 2)
    calls = [Call(number, second=number) for number in range(1, 5)]
    calls += [Call(5, second=DAY + 1), Call(6, second=DAY + 2, initiator=BOB)]
    await write(database, *(call.start for call in calls), *(call.end() for call in calls))
    second_day = StatsQuery(MIDNIGHT + timedelta(days=1), MIDNIGHT + timedelta(days=2), Bucket.DAY)
    told = [
        (await Statistics(database).read(query, visible_to=visible_to))[0]
        for query, visible_to in ((DAYS, None), (second_day, None), (DAYS, BOB), (second_day, calls[0].initiator))
    ]
    assert told == [2, 2, 1, 1]


@pytest.mark.gen_test
async def test_a_call_that_is_counted_and_marked_again_is_not_told_as_uncounted(database):
    statistics, rollups = Statistics(database), RollupJob(database, now=now)
    call = Call(1)
    await write(database, call.start, call.presumed_end())
    assert (await statistics.read(DAYS, visible_to=None))[0] == 1
    await rollups._transact(await rollups._next_run(), partial(rollups._add_noted, 10))
    assert (await statistics.read(DAYS, visible_to=None))[0] == 0
    await rollups.add_pending()
    await write(database, call.end())
    uncounted, (series,) = await statistics.read(DAYS, visible_to=None)
    assert (uncounted, await marked(database), series.total["interceptions"]) == (0, [1], 1)


@pytest.mark.gen_test
async def test_too_much_is_refused(database, monkeypatch):
    monkeypatch.setattr(statistics_module, "MAX_ROLLUPS", 3)
    await count(database, *(Call(number, second=number * HOUR) for number in range(4)))
    hours = StatsQuery(DAYS.start, DAYS.end, Bucket.HOUR)
    with pytest.raises(TooManyRollupsError):
        await Statistics(database).read(hours, visible_to=None)
    await Statistics(database).read(StatsQuery(DAYS.start, MIDNIGHT + timedelta(hours=3), Bucket.HOUR), visible_to=None)


@pytest.mark.gen_test
async def test_without_the_database_the_error_says_so(unreachable):
    with pytest.raises(DatabaseUnavailableError, match=r"^MongoDB is unavailable: .*Connection refused$"):
        await Statistics(unreachable).read(DAYS, visible_to=None)


calls = st.lists(
    st.tuples(
        st.sampled_from([0, 59, 60, HOUR, DAY - 1, DAY, 2 * DAY, 3 * DAY]),
        st.sampled_from([ADA, BOB]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["openai", "own"]),
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from(["laptop", "ci"]),
        st.sampled_from([(), (RESEARCH,), (RESEARCH, OPS)]),
    ),
    max_size=12,
).map(lambda rows: [Call(number, *row) for number, row in enumerate(rows)])


@settings(max_examples=examples(4, 80), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=calls,
    visible_to=st.sampled_from([None, ADA]),
    most=st.sampled_from([1, 2, 50]),
    bucket=st.sampled_from(Bucket),
)
def test_every_series_is_what_its_interceptions_add_up_to(
    *, io_loop, database, monkeypatch, calls, visible_to, most, bucket
):
    monkeypatch.setattr(statistics_module, "MAX_GROUPS", most)
    monkeypatch.setattr(statistics_module, "_AT_ONCE", 3)

    async def compare():
        for collection in (database.interceptions, database.rollups):
            await collection.delete_many({})
        await count(database, *calls, ends=[{"tokens": call.number, "took": call.number} for call in calls])
        documents = [(document, figures(totals_of_call(document))) async for document in database.interceptions.find()]
        for group_by in (None, *GroupBy):
            query = StatsQuery(DAYS.start, DAYS.end, bucket, group_by)
            _, series = await Statistics(database).read(query, visible_to=visible_to)
            named = {one.group for one in series if not one.other}
            wanted = {}
            for document, totals in documents:
                if document["started_at"] < DAYS.end and visible_to in {None, document["initiator_id"]}:
                    for group in groups_of(document, group_by):
                        if group in named or group_by is not GroupBy.GROUP:
                            place = (group if group in named else None), bucket.floor(document["started_at"])
                            add(wanted.setdefault(place, {}), totals)
            assert {(one.group, at): nonzero(totals) for one in series for at, totals in one.points.items()} == {
                place: nonzero(each) for place, each in wanted.items()
            }
            sizes = [one.total["interceptions"] for one in series if not one.other]
            assert sizes == sorted(sizes, reverse=True)

    io_loop.run_sync(compare, timeout=60)


def groups_of(document, group_by):
    """The groups that a call is in: as many as its user was in, if it is by these."""
    if group_by is GroupBy.GROUP:
        return document.get("group_ids") or [NO_GROUP]
    return [document[group_by.field] if group_by else None]


def nonzero(totals):
    return {name: value for name, value in totals.items() if value}
