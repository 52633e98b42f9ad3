"""Ledgers: the statements change documents of MongoDB as the model of a cluster says, and what is left until when."""

import time
from functools import partial
from itertools import count
from random import Random

import pytest
from msgspec import structs

from limits.limit import NEVER_NS, SLOT_RETRY_NS, BudgetPeriod
from storage.admission.cluster import LedgerStore
from storage.admission.ledger import (
    GRANT_MS,
    MAX_ENTRIES,
    MS,
    Ledger,
    LedgerChange,
    Member,
    Use,
    name_of,
    span_of,
    state_of,
    statement_of,
    window_of,
)
from tests.storage.admission.cluster.model import changed
from tests.storage.admission.cluster.servers import budget, rate, slots, tokens

LIMITS = [rate(9, 0.05), rate(3_000), slots(9), tokens(2_000, reserve=True), budget(5_000)]


def any_change(random, limit, number):
    others = ["ada", "bob", "eve"]
    held = 0 if limit.kind == "rate" else random.choice([0, 0, 2, 300])
    return LedgerChange(
        random.choice(["ada", "bob"]),
        number + random.choice([0, 1, 1, 1]),
        limit,
        limit.maximum,
        wanted=random.choice([0, 1, 3, 400]),
        held=held,
        charge=0 if limit.kind == "concurrency" else random.choice([0, 0, 7, 800]),
        at_least=random.choice([0, 3_000]) if limit.kind == "budget" else 0,
        absent={"eve": random.choice([0, 2])} if random.random() < 0.3 else {},
        dead=(others[2], "gone") if random.random() < 0.1 else (),
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.gen_test(timeout=60)
async def test_mongodb_changes_ledgers_as_the_model_does(database, seed):
    random, ledgers, took = Random(seed), database.limit_ledgers, 0
    expected = {}
    for nth in range(250):
        limit = random.choice(LIMITS)
        name = name_of(limit)
        change = any_change(random, limit, nth)
        document = expected.get(name, {})
        if document.get("log") and random.random() < 0.3:
            entry = random.choice(document["log"])
            change = change._replace(returned=((entry["at"], random.randrange(entry["n"] + 1)),))
        clock = random.choice(["a:1"] * 20 + ["b:2"])
        true = await now_of(database)
        now = true + random.choice([0] * 9 + [-2_000])
        update = statement_of(change, now, clock)
        done = await database._database.command("update", "limit_ledgers", updates=[update])
        assert done["n"] == 1
        stored = await ledgers.find_one({"_id": name})
        own = stored.get("members", {}).get(change.server, {})
        at = own["at"] if own.get("number") == change.number else true
        model = changed(document, change, at, now, clock)
        took += model is not None
        expected[name] = document = model or document
        found = {key: stored[key] for key in ("clock", "log", "members") if key in stored}
        assert found.get("log", []) == document.get("log", [])
        assert {key: found.get(key) for key in ("clock", "members")} == {
            key: document.get(key) for key in ("clock", "members")
        }
        assert stored.get("busy") is document.get("busy")
        assert stored["expires_at"] is not None
    assert took > 150


async def now_of(database):
    await database.members.update_one({"_id": None}, [{"$set": {"now": {"$toLong": "$$NOW"}}}], upsert=True)
    return (await database.members.find_one({"_id": None}))["now"]


async def test_what_one_server_gives_back_is_not_taken_from_another_in_the_same_millisecond(database):
    limit, now = rate(100), await now_of(database)
    two = [LedgerChange(server, 1, limit, limit.maximum, wanted=3) for server in ("ada", "bob")]
    statements = [statement_of(change, now, "a:1") for change in two]  # one command has one time
    await database._database.command("update", "limit_ledgers", updates=statements)
    at = (await database.limit_ledgers.find_one({}))["members"]["bob"]["at"]
    back = LedgerChange("bob", 2, limit, limit.maximum, returned=((at, 3),))
    await database._database.command("update", "limit_ledgers", updates=[statement_of(back, now, "a:1")])
    assert (await database.limit_ledgers.find_one({}))["log"] == [{"at": at, "n": 3}]


def test_a_ledger_may_say_more_than_this_version_knows():
    document = {"members": {"ada": {"number": 1, "held": 2, "unknown": 3}}}
    assert Ledger.of(document).members == {"ada": Member(1, 2)}


async def test_a_long_log_takes_little_room_and_counts_no_shorter(database):
    limit, total = tokens(10**9), 0
    for number in range(1, 3 * MAX_ENTRIES):
        now = await now_of(database)
        update = statement_of(LedgerChange("ada", number, limit, limit.maximum, charge=number), now, "a:1")
        await database._database.command("update", "limit_ledgers", updates=[update])
        total += number
    ledger = Ledger.of(await database.limit_ledgers.find_one({"_id": name_of(limit)}))
    assert len(ledger.log) < 2 * MAX_ENTRIES
    assert sum(amount for _, amount in ledger.log) == total


async def test_the_whole_log_is_read_only_where_it_says_more_than_its_sum(database):
    store, limit, number = LedgerStore(database, time.monotonic_ns), rate(10, 0.5), count(1)
    name = name_of(limit)

    async def write(wanted):
        change = LedgerChange("ada", next(number), limit, limit.maximum, wanted)
        return (await store.change([change], [name])).ledgers[name].log

    await write(1)
    ((_, used),) = await write(1)
    assert used == 2
    assert [n for _, n in await write(4)] == [1, 1, 4]
    others = rate(1_000, 0.5, "token:b")
    change = LedgerChange("ada", next(number), others, others.maximum, 7)
    read = await store.change([change], [name_of(others)])
    while read.ledgers[name_of(others)].counted(span_of(others, read.time.now)).log:
        read = await store.change([], [name_of(others)])
    assert read.time.now >= read.ledgers[name_of(others)].log[0][0] + window_of(others)


async def test_ledgers_are_as_expected_only_if_every_change_was_made_and_little_is_used(database):
    store, limit, expected = LedgerStore(database, time.monotonic_ns), rate(10), {}
    name, change = name_of(limit), LedgerChange("ada", 1, limit, limit.maximum, 1)
    assert (await store.change([change], [name], expected)).ledgers is expected
    store.time = store.time._replace(now=store.time.now - 2 * GRANT_MS)  # so the next one comes too late
    late = change._replace(number=2)
    assert (await store.change([late], [name], expected)).ledgers[name].members["ada"].number == 1
    more = change._replace(number=3, wanted=4)
    assert (await store.change([more], [name], expected)).ledgers[name].members["ada"].granted == 4


@pytest.mark.parametrize(
    ("limit", "use", "need", "remaining", "wait"),
    [
        (rate(5), {"log": [(900, 3), (1_000, 2)], "used": 5}, 1, 0, 59_900 * MS),
        (rate(3), {"log": [(900, 3), (1_000, 2)], "used": 5}, 1, 0, 59_900 * MS),
        (rate(2), {"log": [(900, 3), (1_000, 2)], "used": 5}, 1, 0, 60_000 * MS),
        (rate(6), {"log": [(900, 3)], "used": 3, "left": 4}, 1, 0, 59_900 * MS),
        (rate(6), {"left": 6}, 1, 0, SLOT_RETRY_NS),
        (rate(0), {}, 1, 0, NEVER_NS),
        (slots(3), {"held": 3}, 1, 0, SLOT_RETRY_NS),
        (slots(0), {}, 1, 0, NEVER_NS),
        (tokens(100), {"log": [(900, 90)], "used": 90, "held": 5}, 6, 5, 59_900 * MS),
        (tokens(100), {}, 101, 100, NEVER_NS),
        (tokens(100), {"held": 100}, 1, 0, SLOT_RETRY_NS),
    ],
)
def test_a_refusal_says_how_long_to_wait(limit, use, need, remaining, wait):
    state = state_of(limit, Use(span_of(limit, 1_000), **use), need)
    assert (state.remaining, state.retry_after_ns) == (remaining, wait)


def test_a_budget_of_all_time_never_starts_again():
    total = structs.replace(budget(5_000), period=BudgetPeriod.TOTAL)
    span = span_of(total, int(time.time() * 1_000))
    spent, some = Use(span, used=5_000), Use(span, [(span.now, 4_000)], used=4_000, held=900)
    assert [
        (one.remaining, one.retry_after_ns, one.reset_ns) for one in map(partial(state_of, total), (spent, some))
    ] == [
        (0, NEVER_NS, 0),
        (100, 0, 0),
    ]
    assert state_of(total, some, 500).retry_after_ns == SLOT_RETRY_NS
    assert state_of(total, some, 1_500).retry_after_ns == NEVER_NS
