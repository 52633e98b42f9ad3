"""Groups that are ranked from what is in memory are those that MongoDB finds, at every moment."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from random import Random
from uuid import UUID

import pytest

from intercept.records import EndReason
from storage.aggregation.rollup import Breakdown, Bucket
from storage.aggregation.rollup_job import RollupJob
from storage.queries.filters.grouped.dimensions import Order, parse_by
from storage.queries.filters.grouped.grouping import GroupQuery
from storage.queries.filters.search_language import parse_search
from storage.queries.grouped import reading
from storage.queries.grouped.grouped import Grouped
from tests.storage.queries.grouped.test_ranking import ranks
from tests.storage.rollup_checks import MIDNIGHT, Call, write

HOURS = 30
USERS = [UUID(int=number) for number in (3, 1, 2)]
MODELS = ("m0", "m1", "gpt-5")
RANGE = MIDNIGHT - timedelta(hours=2), MIDNIGHT + timedelta(hours=HOURS)


def some_calls(seed, number=30):
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
    await count(database, *(call.start for call in calls), *ends)


def question(by="user,model", q="", **changes):
    start, end = RANGE
    known = {"order": Order.COST, "limit": 1_000} | changes
    conditions = parse_search(q, now=MIDNIGHT).filter(initiator_id=None)
    return GroupQuery(start, end, conditions, by=tuple(map(parse_by, by.split(","))), **known)


async def read(grouped, query):
    groups = await grouped.read(query)
    return groups.count, [(one.key, one.total, one.points, one.previous) for one in groups.groups], groups.total


@contextmanager
def by_mongodb(monkeypatch):
    """Have MongoDB rank."""
    with monkeypatch.context() as patched:
        patched.setattr(reading, "MAX_REMEMBERED", 0)
        yield


# What is searched for is taken out before calls are grouped, whether they are grouped by it or not.
QUESTIONS = (
    *(("user,model", ""), ("user", "model:m1"), ("model,client", "model:m0,m1 -client:Zed")),
    *(("client,user", "provider_name:azure"), ("provider,user", "provider_name:azure")),
    *(("tag.project", ""), ("tag.project,model", "-model:m0"), ("user,tag.env", "")),
    *product(("token", "user,token", "model,tool", "group,token"), ("",)),
    *(("user,http_status", ""), ("error_type,user", "status:failed"), ("end_reason,model", "status:failed")),
    *(("user", "tag:project=apollo"), ("model", "tool:Bash"), ("tag.project,model", "tag:project=apollo,project=zeus")),
)
LEVELS = {
    *(Breakdown.USER_COMBINATION, Breakdown.TOKEN, Breakdown.TAG, Breakdown.MODEL_TAG, Breakdown.USER_TAG),
    *(Breakdown.MODEL_OUTCOME, Breakdown.USER_OUTCOME, Breakdown.MODEL_TOOL),
}


@pytest.mark.gen_test(timeout=60)
async def test_groups_are_ranked_as_mongodb_ranks_them(database, monkeypatch):
    await filled(database)
    grouped = Grouped(database)
    orders = (Order.COST, Order.CALLS, Order.TOKENS, Order.FAILED)
    for number, (names, q) in enumerate(QUESTIONS):
        asked = {"order": orders[number % 4], "compare": number % 3 == 0}
        with by_mongodb(monkeypatch):
            expected = await read(Grouped(database), question(names, q, **asked))
        assert await read(grouped, question(names, q, **asked)) == expected, (names, q)
        if number % 4 == 0:
            found = await read(grouped, question(names, q, **asked, offset=1, limit=2))
            assert found == (expected[0], expected[1][1:3], expected[2]), (names, q)
    assert {key[1] for key in grouped._ranked._held} >= LEVELS


@pytest.mark.gen_test
async def test_the_next_answer_has_what_changed_and_reads_that_alone(database, monkeypatch):
    await filled(database)
    grouped = Grouped(database)

    async def expected():
        with by_mongodb(monkeypatch):
            return await read(Grouped(database), query)

    query = question()
    before = await read(grouped, query)
    raw = database._database
    await raw.command("profile", 2)
    assert await read(grouped, query) == before
    await raw.command("profile", 0)
    work = await raw["system.profile"].find({"ns": {"$regex": "[.]rollups$"}}).to_list(None)
    await raw["system.profile"].drop()
    assert [one for one in work if ranks(one)] == []
    # The versions of three days, of which one has no calls.
    versions = [one for one in work if "$or" in one["command"].get("pipeline", [{}])[0].get("$match", {})]
    assert [one["docsExamined"] for one in versions] == [2]
    call = Call(900, second=3_600, initiator=UUID(int=9), model="new")
    await count(database, call.start, call.presumed_end())
    for change in (None, call.end(999)):
        if change:
            await count(database, change)
        found = await read(grouped, query)
        assert found == await expected()
        assert found != before
        before = found
    await database.rollups.delete_many({"at": {"$gte": MIDNIGHT + timedelta(days=1)}})
    found = await read(grouped, query)
    assert found == await expected()
    assert found[1] != before[1]


@pytest.mark.gen_test
async def test_a_run_that_adds_up_to_nothing_leaves_its_number_all_the_same(database):
    call = Call(1)
    await count(database, call.start, call.presumed_end())
    everyone = {"level": "everyone", "bucket": {"$in": [Bucket.HOUR.value, Bucket.DAY.value]}}
    before = await database.rollups.find(everyone).sort("bucket").to_list(None)
    await count(database, call.end(None, end_reason=EndReason.SERVER_CRASHED))
    after = await database.rollups.find(everyone).sort("bucket").to_list(None)
    assert [one["turn"] for one in before] == [1, 1]
    assert after == [{**one, "turn": 2} for one in before]
