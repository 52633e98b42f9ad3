"""Groups that are ranked by columns in memory are those that MongoDB finds, at every moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import product
from random import Random
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from intercept.records import EndReason
from storage.aggregation.rollup import DIMENSIONS, Breakdown, Bucket
from storage.aggregation.rollup_job import RollupJob
from storage.queries.filters.grouped.dimensions import Order, parse_by
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.search_language import parse_search
from storage.queries.grouped.grouped import Grouped
from storage.queries.grouped.memory import column_cache, group_cache
from storage.queries.grouped.memory.columns import ColumnRows, Combinations, RollupColumns, first
from storage.queries.grouped.memory.group_cache import GroupCache
from tests.storage.rollup_checks import MIDNIGHT, Call, write

HOURS = 30
USERS = [UUID(int=number) for number in (3, 1, 2)]
MODELS = ("m0", "m1", "gpt-5")
RANGE = MIDNIGHT - timedelta(hours=2), MIDNIGHT + timedelta(hours=HOURS)


def some_calls(seed, number=120):
    random = Random(seed)
    return [
        Call(
            1 + index,
            second=random.randrange(HOURS * 60) * 60,
            initiator=random.choice(USERS),
            model=random.choice(MODELS),
            provider_name=random.choice(("openai", "azure")),
            client=random.choice(("Codex", "Zed")),
            token=random.choice(("laptop", "server")),
            groups=random.choice(((), (UUID(int=7),))),
            tools=random.choice(((), ("Bash",), ("Bash", "Read"))),
            tags=random.choice(((), (("project", "apollo"),), (("project", "zeus"), ("env", "ci")))),
        )
        for index in range(number)
    ]


async def count(database, *operations):
    await write(database, *operations)
    await RollupJob(database, now=lambda: MIDNIGHT).add_pending()


async def filled(database):
    calls = some_calls(1)
    random = Random(2)
    ends = [
        call.end(random.randrange(1_000), end_reason=random.choice((EndReason.COMPLETED, EndReason.UPSTREAM_ERROR)))
        for call in calls
    ]
    await database.prepare(retention=None)
    await count(database, *(call.start for call in calls), *ends)


def question(by="user,model", q="", **changes):
    start, end = RANGE
    known = {"order": Order.COST, "limit": 1_000} | changes
    conditions = parse_search(q, now=MIDNIGHT).filter(initiator_id=None)
    return GroupQuery(start, end, conditions, by=tuple(map(parse_by, by.split(","))), **known)


async def read(grouped, query):
    groups = await grouped.read(query)
    return groups.count, [(one.key, one.total, one.points, one.previous) for one in groups.groups], groups.total


def by_mongodb(database, monkeypatch):
    """The same without any memory."""
    grouped = Grouped(database)
    monkeypatch.setattr(grouped._columns, "ranked", nothing)
    monkeypatch.setattr(grouped._known, "known", lambda *_: {})
    return grouped


async def nothing(*_):
    return None


QUESTIONS = (
    *product(
        ("user,model", "user", "model,client", "client,user", "provider,user"),
        ("", "model:m1", "model:m0,m1 -client:Zed", "provider_name:azure", "-model:m0"),
    ),
    *product(("tag.project", "tag.project,model", "model,tag.project", "user,tag.env"), ("", "-model:m0")),
    *product(("token", "user,token", "token,user", "tool,model", "model,tool", "group,token"), ("",)),
    *product(("user,http_status", "error_type,user", "end_reason,model"), ("", "status:failed")),
    *(("user", "tag:project=apollo"), ("model", "tool:Bash"), ("tag.project,model", "tag:project=apollo,project=zeus")),
)
LEVELS = {
    *(Breakdown.USER_COMBINATION, Breakdown.TOKEN, Breakdown.TAG, Breakdown.MODEL_TAG, Breakdown.USER_TAG),
    *(Breakdown.MODEL_OUTCOME, Breakdown.USER_OUTCOME, Breakdown.MODEL_TOOL),
}


@pytest.mark.gen_test(timeout=60)
async def test_groups_are_ranked_as_mongodb_ranks_them(database, monkeypatch):
    await filled(database)
    cached, plain = Grouped(database), by_mongodb(database, monkeypatch)
    orders = (Order.COST, Order.CALLS, Order.TOKENS, Order.FAILED)
    for number, (names, q) in enumerate(QUESTIONS):
        query = question(names, q, order=orders[number % 4], compare=number % 2 == 0)
        expected = await read(plain, query)
        assert await read(cached, query) == expected
        page = question(names, q, order=orders[number % 4], compare=number % 2 == 0, offset=1, limit=2)
        found = await read(cached, page)
        assert found == (expected[0], expected[1][1:3], expected[2])
    assert {name[0] for name in cached._columns._buckets} >= LEVELS


@pytest.mark.gen_test
async def test_what_changes_afterwards_is_in_the_next_answer(database, monkeypatch):
    await filled(database)
    cached, plain = Grouped(database), by_mongodb(database, monkeypatch)
    query = question()
    before = await read(cached, query)
    call = Call(900, second=3_600, initiator=UUID(int=9), model="new")
    await count(database, call.start, call.presumed_end())
    for change in (None, call.end(999)):
        if change:
            await count(database, change)
        found = await read(cached, query)
        assert found == await read(plain, query)
        assert found != before
        before = found
    await database.rollups.delete_many({"at": {"$gte": MIDNIGHT + timedelta(days=1)}})
    found = await read(cached, query)
    assert found == await read(plain, query)
    assert found[1] != before[1]


@pytest.mark.gen_test
async def test_a_run_that_adds_up_to_nothing_leaves_its_number_all_the_same(database):
    await database.prepare(retention=None)
    call = Call(1)
    await count(database, call.start, call.presumed_end())
    everyone = {"level": "everyone", "bucket": {"$in": [Bucket.HOUR.value, Bucket.DAY.value]}}
    before = await database.rollups.find(everyone).sort("bucket").to_list(None)
    await count(database, call.end(None, end_reason=EndReason.SERVER_CRASHED))
    after = await database.rollups.find(everyone).sort("bucket").to_list(None)
    assert [one["turn"] for one in before] == [1, 1]
    assert after == [{**one, "turn": 2} for one in before]


@pytest.mark.gen_test
async def test_a_second_answer_reads_what_changed_alone(database):
    await filled(database)
    grouped = Grouped(database)
    raw = database._database
    await grouped.read(question())
    await raw.command("profile", 2)
    await grouped.read(question(order=Order.CALLS))
    await raw.command("profile", 0)
    found = [one async for one in raw["system.profile"].find({"ns": {"$regex": "[.]rollups$"}})]
    await raw["system.profile"].drop()
    pipelines = [one["command"]["pipeline"] for one in found if "pipeline" in one["command"]]
    versions = [one for one in found if one["command"].get("pipeline", [{}])[0].get("$match", {}).keys() == {"$or"}]
    assert [pipeline for pipeline in pipelines if {"$limit": column_cache.MAX_ROWS + 1} in pipeline] == []
    # Two days, the hours of the second one, and none of before.
    assert min(one["docsExamined"] for one in versions) == 2 + HOURS - 24


@pytest.mark.gen_test
async def test_what_is_too_much_for_memory_is_left_to_mongodb(database, monkeypatch):
    await filled(database)
    expected = await read(by_mongodb(database, monkeypatch), question())
    monkeypatch.setattr(column_cache, "MAX_ROWS", 30)
    grouped = Grouped(database)
    assert [await read(grouped, question()) for _ in range(2)] == [expected, expected]
    assert (len(grouped._columns._buckets), grouped._columns._rows.total()) == (0, 0)


@pytest.mark.gen_test
async def test_one_query_reads_few_buckets_and_mongodb_ranks_until_all_are_there(database, monkeypatch):
    await filled(database)
    expected = await read(by_mongodb(database, monkeypatch), question())
    monkeypatch.setattr(column_cache, "LOADED", {Bucket.DAY: 1, Bucket.HOUR: 2})
    grouped, sizes = Grouped(database), []
    for _ in range(4):
        assert await read(grouped, question()) == expected
        sizes.append(len(grouped._columns._buckets))
    # The day, and two of its six hours at a time.
    assert sizes == [3, 5, 7, 7]


@pytest.mark.gen_test
async def test_the_memory_forgets_what_was_not_asked_for_the_longest(database, monkeypatch):
    await filled(database)
    monkeypatch.setattr(column_cache, "MAX_ROWS", 40)
    monkeypatch.setattr(column_cache, "MIN_COMBINATIONS", 5)
    plain, grouped = by_mongodb(database, monkeypatch), Grouped(database)
    for hour in (*range(24, HOURS), 24, 1, 2, 3, 25):
        within = {"start": MIDNIGHT + timedelta(hours=hour), "end": MIDNIGHT + timedelta(hours=hour + 1)}
        query = GroupQuery(**within, by=question().by, limit=1_000)
        assert await read(grouped, query) == await read(plain, query)
        cache = grouped._columns
        assert sum(map(len, cache._buckets.values())) == cache._rows.total() <= 40


@pytest.mark.gen_test
async def test_a_reading_that_is_cancelled_half_way_leaves_no_columns_behind(database, monkeypatch):
    await filled(database)
    expected = await read(by_mongodb(database, monkeypatch), question())
    grouped, add, added = Grouped(database), ColumnRows.add, []

    def leave(rows, document):
        added.append(document)
        if len(added) == 20:
            task.cancel()
        add(rows, document)

    monkeypatch.setattr(column_cache, "_AT_ONCE", 10)
    monkeypatch.setattr(ColumnRows, "add", leave)
    task = asyncio.ensure_future(grouped.read(question()))
    with pytest.raises(asyncio.CancelledError):
        await task
    cache = grouped._columns
    assert (len(added), len(cache._buckets), cache._rows.total(), cache._loading.locked()) == (20, 0, 0, False)
    assert [await read(grouped, question()) for _ in range(2)] == [expected, expected]
    assert len(cache._buckets) == 7


@pytest.mark.gen_test
async def test_columns_are_bounded_while_too_few_are_there_to_rank(database, monkeypatch):
    await filled(database)
    expected = await read(by_mongodb(database, monkeypatch), question())
    monkeypatch.setattr(column_cache, "LOADED", {Bucket.DAY: 1, Bucket.HOUR: 2})
    monkeypatch.setattr(column_cache, "MAX_ROWS", 110)
    grouped, sizes = Grouped(database), []
    for names in ("token", "tool,model", "user,http_status", "user,model", "error_type,model"):
        for _ in range(2):
            await grouped.read(question(names))
            cache = grouped._columns
            sizes.append(cache._rows.total())
            assert sum(map(len, cache._buckets.values())) == sizes[-1] <= 110
    assert sizes[-1] > 0
    assert await read(grouped, question()) == expected


@pytest.mark.gen_test
async def test_columns_and_sizes_of_a_bounded_number_of_buckets_are_in_memory(database, monkeypatch):
    await filled(database)
    plain = by_mongodb(database, monkeypatch)
    monkeypatch.setattr(column_cache, "MAX_BUCKETS", 3)
    grouped = Grouped(database)
    cache = grouped._columns
    for hour in (1, 2, 5, 24, 1):
        within = {"start": MIDNIGHT + timedelta(hours=hour), "end": MIDNIGHT + timedelta(hours=hour + 2)}
        for names in ("user", "tag.project", "token"):
            query = GroupQuery(**within, by=tuple(map(parse_by, names.split(","))), limit=1_000)
            assert await read(grouped, query) == await read(plain, query)
            assert max(len(cache._buckets), len(cache._sizes)) <= 3
    known = dict(cache._buckets)
    assert known
    # More buckets than that are left to MongoDB.
    assert await read(grouped, question()) == await read(plain, question())
    assert cache._buckets == known


NAMES = DIMENSIONS[Breakdown.USER_COMBINATION]
figures = st.integers(-5, 10**13)
combinations = st.tuples(*(st.sampled_from((None, "a", "b")) for _ in NAMES))
rows = st.lists(st.tuples(combinations, figures, st.decimals("-3", "3", places=13)), max_size=12)


@given(st.lists(rows, max_size=4), st.sampled_from((Order.CALLS, Order.COST, Order.FAILED, Order.TOKENS)), st.data())
def test_totals_of_columns_are_those_of_their_rows(buckets, order, data):
    fields = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True))
    known = Combinations(NAMES)
    made, expected = [], {}
    for number, bucket in enumerate(buckets):
        gathered = ColumnRows(known)
        for combination, figure, cost in bucket:
            figures = {"interceptions": figure, "failed": 2 * figure, "input_tokens": figure, "output_tokens": 1}
            gathered.add({**dict(zip(NAMES, combination, strict=True)), **figures, "cost": Decimal128(cost)})
            key = tuple(combination[NAMES.index(name)] for name in fields)
            picked = {
                Order.CALLS: figure,
                Order.COST: cost * 10**12,
                Order.FAILED: 2 * figure,
                Order.TOKENS: figure + 1,
            }
            expected[key] = expected.get(key, 0) + picked[order]
        made.append(gathered.make(bytes([number])))
    settled = data.draw(st.integers(0, len(made)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(group_cache, "MAX_SIZE", data.draw(st.sampled_from((0, 5, 100))))
        remembered = GroupCache()
        found = RollupColumns(known, made[:settled], made[settled:], remembered)
        for _ in range(2):
            groups = found.groups(order, fields, {})
            assert groups == expected
            assert remembered.size <= group_cache.MAX_SIZE
    ordered = sorted(expected, key=lambda key: (-expected[key], [(value is not None, value) for value in key]))
    offset, limit = data.draw(st.integers(0, 5)), data.draw(st.integers(1, 5))
    assert first(groups, offset, limit) == ordered[offset : offset + limit]


def test_a_user_of_many_combinations_is_in_memory_once():
    combinations = Combinations(("initiator_id", "model", "streaming", "http_status"))
    made = [(UUID(int=1), "".join(("m", str(number))), True, 1) for number in (1, 2, 1)]
    assert list(map(combinations.number, made)) == [0, 1, 0]
    assert combinations[0] == made[0]
    assert combinations[0][0] is combinations[1][0]
    assert [type(value) for value in combinations[1]] == [UUID, str, bool, int]
