from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import AutoReconnect, OperationFailure

from intercept.records import EndReason
from storage import rollups as rollups_module
from storage.database import Database, DatabaseUnavailableError
from storage.histograms import histogram, pack
from storage.mongod import Mongod, arguments, find_program
from storage.rollups import BATCH, TURN_SECONDS, Rollups
from tests.storage.conditions import until
from tests.storage.countings import MIDNIGHT, Call, cells, expected, marked, write

AWAY = r"^WARNING storage\.rollups: nothing is counted for now: MongoDB is unavailable: "
NOON = MIDNIGHT + timedelta(hours=12)
DIVERSE = [
    Call(1),
    Call(2, second=59.999),
    Call(3, second=60, model="$b.c", client=""),
    Call(4, second=3_600, initiator=UUID(int=5)),
    Call(5, second=86_400, provider_name="openai-eu"),
]


@pytest.fixture
def rollups(database):
    return Rollups(database, now=lambda: NOON)


async def has_counted_all(database):
    """Whether each cell is what the interceptions add up to, and nothing is left to be done."""
    assert await marked(database) == []
    assert await cells(database) == await expected(database)
    assert "note" not in (await database.rollups.find_one({"_id": "counting"}) or {})


@pytest.mark.gen_test
async def test_every_call_that_has_ended_is_counted_once(database, rollups):
    await write(database, *(call.start for call in DIVERSE), *(call.end(call.number) for call in DIVERSE[:4]))
    assert await rollups.count_pending() == 4
    await has_counted_all(database)
    assert len(await cells(database)) == 43
    assert await rollups.count_pending() == 0
    await write(database, DIVERSE[4].end(priced=False, first_byte=None, end_reason=EndReason.CLIENT_DISCONNECTED))
    assert await rollups.count_pending() == 1
    await has_counted_all(database)


@pytest.mark.gen_test
async def test_a_cell_looks_like_this(database, rollups):
    first, second = Call(1), Call(2, second=1)
    await write(database, first.start, first.end(5), second.start, second.end(7, took=0, first_byte=0))
    await rollups.count_pending()
    document = await database.rollups.find_one({"level": "model", "bucket": "minute"}, {"_id": False})
    assert document == {
        "level": "model",
        "bucket": "minute",
        "at": MIDNIGHT,
        "model": "gpt-5",
        "expires_at": MIDNIGHT + timedelta(days=8),
        "interceptions": 2,
        "completed": 2,
        "ends": {"completed": 2},
        "input_tokens": 12,
        "output_tokens": 2,
        "priced": 2,
        "cost": Decimal128("0.000012000000"),
        "durations": pack(histogram([0, 80])),
        "first_bytes": pack(histogram([0, 73])),
    }


@pytest.mark.gen_test
async def test_a_backlog_is_counted_to_its_end_without_a_pause(database, rollups, monkeypatch):
    monkeypatch.setattr(rollups_module, "BATCH", 3)
    monkeypatch.setattr(rollups_module, "AT_ONCE", 2)
    rollups._most = 3
    calls = [Call(number, second=number * 40) for number in range(1, 11)]
    await write(database, *(call.start for call in calls), *(call.end() for call in calls))
    assert await rollups.count_pending() == 10
    await has_counted_all(database)


@pytest.mark.gen_test
async def test_minutes_that_are_too_old_to_be_kept_are_not_made(database):
    await write(database, Call(1).start, Call(1).end())
    await Rollups(database, now=lambda: MIDNIGHT + timedelta(days=8)).count_pending()
    found = await cells(database)
    assert {about[1] for about in found} == {"hour", "day"}
    assert found == {about: figures for about, figures in (await expected(database)).items() if about[1] != "minute"}


@pytest.mark.gen_test
async def test_a_true_end_takes_the_place_of_a_presumed_one_that_was_counted(database, rollups):
    call, other = Call(1), Call(2)
    await write(database, call.start, other.start, other.end(), call.checkpoint(3), call.presumed_end())
    assert await rollups.count_pending() == 2
    await has_counted_all(database)
    assert (await database.interceptions.find_one({"_id": call.id}))["counted"]["ends"] == {"server_crashed": 1}
    await write(database, call.end(9, took=80))
    assert await rollups.count_pending() == 1
    await has_counted_all(database)
    assert await database.interceptions.count_documents({"counted": {"$exists": True}}) == 0
    await write(database, call.start, call.checkpoint(5), call.presumed_end(), call.end(1))
    assert await rollups.count_pending() == 0
    await has_counted_all(database)


@pytest.mark.gen_test
async def test_a_true_end_before_the_count_leaves_no_trace_of_the_presumed_one(database, rollups):
    await write(database, Call(1).start, Call(1).presumed_end(), Call(1).end())
    assert await rollups.count_pending() == 1
    await has_counted_all(database)
    assert {figures.get("ends.server_crashed") for figures in (await cells(database)).values()} == {None}


@pytest.mark.gen_test
async def test_a_cell_that_has_expired_in_between_does_not_hold_up_counting(database, rollups):
    await write(database, Call(1).start, Call(1).presumed_end(took=80))
    await rollups.count_pending()
    await database.rollups.delete_many({"bucket": "minute"})
    await write(database, Call(1).end(took=2))
    assert await rollups.count_pending() == 1
    found, wanted = await cells(database), await expected(database)
    for about, figures in wanted.items():
        assert about[1] == "minute" or found[about] == figures


class Interrupted:
    """A database that fails at one of the things it is asked, before or after it has done it."""

    def __init__(self, database, step, *, done, error=None):
        self._database = database
        self._error = error or AutoReconnect("connection closed")
        self._left = step
        self._done = done
        self.interceptions = _Collection(database.interceptions, self)
        self.rollups = _Collection(database.rollups, self)

    @property
    def happened(self):
        return self._left < 0

    @contextlib.asynccontextmanager
    async def transaction(self):
        async with self._database.transaction() as session:
            yield session
            self.step(done=False)  # of the commit
        self.step(done=True)

    def step(self, *, done):
        if done is self._done:
            self._left -= 1
            if self._left == -1:
                raise self._error


class _Collection:
    def __init__(self, collection, interrupted):
        self._collection = collection
        self._interrupted = interrupted

    def __getattr__(self, name):
        ask = getattr(self._collection, name)
        if name in {"find", "aggregate"}:
            return ask

        async def asked(*args, **options):
            self._interrupted.step(done=False)
            answer = await ask(*args, **options)
            self._interrupted.step(done=True)
            return answer

        return asked


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.gen_test(timeout=60)
async def test_wherever_a_turn_stops_the_next_one_completes_it(database, done, monkeypatch):
    monkeypatch.setattr(rollups_module, "AT_ONCE", 20)
    stops = 0
    for step in range(100):
        number = 10 * (step + 1)
        ended, presumed, replaced, first = (Call(number + place, second=step * 25) for place in range(4))
        await write(database, *(call.start for call in (ended, presumed, replaced, first)))
        await write(database, ended.end(), presumed.presumed_end(), replaced.presumed_end())
        await Rollups(database, now=lambda: NOON).count_pending()
        await write(database, replaced.end(2, took=9), first.presumed_end())
        interrupted = Interrupted(database, step, done=done)
        with contextlib.suppress(DatabaseUnavailableError):
            await Rollups(interrupted, now=lambda: NOON).count_pending()
        # The true end comes while it is not known how far the turn has come.
        await write(database, first.end(4, took=7), presumed.end(5))
        await Rollups(database, now=lambda: NOON).count_pending()
        await has_counted_all(database)
        if not interrupted.happened:
            break
        stops += 1
    assert stops >= 8


@pytest.mark.parametrize(("code", "counted"), [(246, 1), (112, 0)], ids=["asked to", "another one counts"])
@pytest.mark.gen_test
async def test_a_transaction_is_tried_again_where_mongodb_asks_for_it(database, code, counted):
    await write(database, Call(1).start, Call(1).end())
    await database.rollups.insert_one({"_id": "counting", "turn": 0})
    error = OperationFailure("not now", code, {"errorLabels": ["TransientTransactionError"]})
    third = Interrupted(database, 2, done=True, error=error)
    assert await Rollups(third, now=lambda: NOON).count_pending() == counted
    assert third.happened
    await Rollups(database, now=lambda: NOON).count_pending()
    await has_counted_all(database)


@pytest.mark.gen_test
async def test_of_two_at_the_same_time_one_counts(database):
    for turn in range(10):
        calls = [Call(100 * turn + number, second=number) for number in range(20)]
        await write(database, *(call.start for call in calls), *(call.end() for call in calls))
        both = [Rollups(database, now=lambda: NOON) for _ in range(4)]
        counted = await asyncio.gather(*(one.count_pending() for one in both))
        assert sum(counted) <= 20
        await both[0].count_pending()
        await has_counted_all(database)


@pytest.mark.gen_test
async def test_who_comes_too_late_for_a_turn_leaves_it_to_the_next(database):
    early, late = (Rollups(database, now=lambda: NOON) for _ in range(2))
    await write(database, Call(1).start, Call(1).end())
    turn = await late._next_turn()
    assert await early.count_pending() == 1
    await write(database, Call(2).start, Call(2).end())
    assert await early._transact(await early._next_turn(), BATCH) == {"true": [Call(2).id], "presumed": []}
    assert await late._transact(turn, BATCH) is None
    assert await late.count_pending() == 0
    await has_counted_all(database)


@pytest.mark.gen_test
async def test_documents_of_the_first_schema_are_marked_and_counted_once(database, monkeypatch):
    monkeypatch.setattr(rollups_module, "BATCH", 4)
    calls = [Call(number, second=number * 40) for number in range(1, 12)]
    await write(database, *(call.start for call in calls), *(call.end() for call in calls[:9]), calls[9].presumed_end())
    unmarked = {"$set": {"schema_version": 1}, "$unset": {"uncounted": "", "ungrouped": "", "cost": ""}}
    await database.interceptions.update_many({}, unmarked)
    both = [Rollups(database, now=lambda: NOON) for _ in range(2)]
    await asyncio.gather(*(one.count_pending() for one in both))
    await both[0].count_pending()
    await has_counted_all(database)
    assert await marked(database, "ungrouped") == [call.number for call in calls[:10]]
    versions = database.interceptions.find().sort("_id")
    assert [document["schema_version"] async for document in versions] == [2] * 10 + [1]
    await write(database, calls[9].end(3), calls[10].end(4))
    assert await both[1].count_pending() == 2
    await has_counted_all(database)
    assert await database.interceptions.count_documents({"schema_version": 1}) == 0


kinds = st.sampled_from(["start", "checkpoint", "presume", "end", "end otherwise", "count", "count twice at once"])


def operation(kind, call):
    match kind:
        case "start":
            return call.start
        case "checkpoint":
            return call.checkpoint(3)
        case "presume":
            return call.presumed_end(took=call.number)
        case "end":
            return call.end(call.number)
        case _:
            return call.end(None, first_byte=None, end_reason=EndReason.UPSTREAM_ERROR, took=90)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(kinds, st.sampled_from(DIVERSE)), max_size=25))
def test_in_every_order_of_everything_each_cell_is_what_the_interceptions_add_up_to(io_loop, database, steps):
    async def happen():
        for collection in (database.interceptions, database.rollups):
            await collection.delete_many({})
        one, other = (Rollups(database, now=lambda: NOON) for _ in range(2))
        for kind, call in steps:
            if kind == "count":
                await one.count_pending()
                await has_counted_all(database)
            elif kind == "count twice at once":
                await asyncio.gather(one.count_pending(), other.count_pending(), write(database, call.end()))
            else:
                await write(database, operation(kind, call))
        await other.count_pending()
        await has_counted_all(database)

    io_loop.run_sync(happen)


@pytest.mark.gen_test(timeout=60)
async def test_a_process_that_is_killed_while_it_counts_counts_nothing_twice(private_mongodb, private_database):
    database, random = private_database, Random(7)
    # A transaction that nobody goes on with is ended by MongoDB, after a minute otherwise.
    await database.rollups.database.client.admin.command({"setParameter": 1, "transactionLifetimeLimitSeconds": 1})
    calls = [Call(number, second=number, initiator=UUID(int=number % 50)) for number in range(3_000)]
    await write(database, *(call.start for call in calls), *(call.end() for call in calls))
    command = [
        sys.executable,
        "-m",
        "tests.storage.counting_worker",
        private_mongodb.uri,
        database.rollups.database.name,
    ]
    for _ in range(4):
        worker = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert await worker.stdout.readline() == b"counting\n"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(worker.wait(), random.uniform(0.05, 0.5))
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
    rollups = Rollups(database, now=lambda: NOON)
    while await marked(database):
        await rollups.count_pending()
    await has_counted_all(database)


class Pause:
    """Lets turns follow each other at once, so many of them."""

    def __init__(self, turns):
        self.turns = turns
        self.seconds = []

    async def __call__(self, seconds):
        self.seconds.append(seconds)
        if len(self.seconds) == self.turns:
            raise asyncio.CancelledError


@pytest.mark.gen_test
async def test_it_takes_turns_until_it_is_cancelled(database):
    await write(database, Call(1).start, Call(1).end())
    pause = Pause(2)
    with pytest.raises(asyncio.CancelledError):
        await Rollups(database, now=lambda: NOON, pause=pause).run()
    assert pause.seconds == [TURN_SECONDS] * 2
    await has_counted_all(database)


@pytest.mark.expects_log(AWAY)
@pytest.mark.gen_test
async def test_a_database_that_is_away_is_named_once_and_waited_for(unreachable, log_watch, monkeypatch):
    monkeypatch.setattr(rollups_module, "BATCH_SECONDS", 0.1)
    with pytest.raises(asyncio.CancelledError):
        await Rollups(unreachable, now=lambda: NOON, pause=Pause(3)).run()
    assert len(log_watch.lines) == 1


@pytest.mark.gen_test
async def test_where_nothing_is_to_be_counted_nothing_is_written(private_database, commands):
    await Rollups(private_database, now=lambda: NOON).count_pending()
    assert [name for name, _ in commands.sent] == ["find", "find"]


@pytest.fixture
def single_mongodb(io_loop, tmp_path):
    """A MongoDB that is no replica set."""
    address = tmp_path / "mongodb.sock"
    command = arguments(database_dir=tmp_path, socket=address)
    command.remove("--replSet")
    command.remove("rs0")
    mongod = Mongod(find_program(), command, tmp_path / "mongod.log")
    io_loop.run_sync(lambda: until(address.exists))
    yield f"mongodb://{str(address).replace('/', '%2F')}/?directConnection=true"
    io_loop.run_sync(mongod.stop)


@pytest.mark.expects_log(
    r"^WARNING storage\.rollups: nothing is counted: MongoDB has transactions only as a replica set, which may have one "
    r"member$"
)
@pytest.mark.gen_test(timeout=30)
async def test_on_a_mongodb_without_transactions_it_says_so_and_ends(single_mongodb, log_watch):
    database = Database.connect(single_mongodb, "single")
    await database.prepare(retention=None)
    await write(database, Call(1).start, Call(1).end())
    await Rollups(database, now=lambda: NOON).run()
    assert await cells(database) == {}
    assert len(log_watch.lines) == 1
    database.close()


@pytest.mark.gen_test
async def test_what_waits_is_found_by_its_index_in_its_order(database, rollups):
    await write(database, *(call.start for call in DIVERSE), *(call.end() for call in DIVERSE))
    await database._database.command("profile", 2)
    await rollups.count_pending()
    await database._database.command("profile", 0)
    profiled = database._database["system.profile"].find({"ns": database.interceptions.full_name})
    plans = [entry["planSummary"] async for entry in profiled if entry["op"] != "update" and "planSummary" in entry]
    assert plans
    assert all(plan.startswith("IXSCAN") for plan in plans)
    aggregated = await database._database["system.profile"].find_one({"command.aggregate": "interceptions"})
    assert not aggregated.get("hasSortStage")
