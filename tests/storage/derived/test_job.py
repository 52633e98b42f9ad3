import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from pymongo.errors import ExecutionTimeout

from storage.derived import job as job_module
from storage.derived.recount import counted_until
from storage.mongo.database import DatabaseUnavailableError
from tests.derived import derive, derived_job
from tests.examples import examples
from tests.storage.derived.interruptions import Held, Interrupted
from tests.storage.derived.world import World
from tests.storage.rollup_checks import MIDNIGHT, Call, has_counted_all, write

NOON = MIDNIGHT + timedelta(hours=12)
HOLDER = UUID(int=1)
LATER = "figures since 2099-0[23]-.. 00:00:00.00:00 are derived again from the records"


async def far(database):
    """Have the job's position be one that the database does not know."""
    await database.derived.update_one({}, {"$set": {"position": "82" + "00" * 20}})


@pytest.mark.parametrize("seed", range(examples(2, 20)))
@pytest.mark.gen_test(timeout=600)
async def test_random_calls_add_up_wherever_the_job_stops(database, seed):
    random = Random(seed)
    world = World(database, random)
    calls, stops = examples(200, 500), 0
    for part in range(10):
        await world.go_on(calls // 10)
        if part in {3, 7}:
            await world.price_again()
        if part in {4, 8}:
            await world.remove_texts()
        # A database that is slow is asked again for less, also where a commit was slow that was done.
        error = random.choice((None, ExecutionTimeout("operation exceeded time limit", 50)))
        interrupted = Interrupted(database, random.randint(0, 60), error)
        with suppress(DatabaseUnavailableError):
            await derived_job(interrupted, now=world.now, holder=HOLDER).catch_up()
        stops += interrupted.happened
    await derived_job(database, now=world.now, holder=HOLDER).catch_up()
    await world.adds_up()
    assert stops >= 3


@pytest.mark.gen_test(timeout=120)
async def test_it_may_stop_at_every_step_and_in_its_first_count(database):
    random = Random(5)
    world = World(database, random)
    await world.go_on(3)
    for step in range(200):
        interrupted = Interrupted(database, step)
        with suppress(DatabaseUnavailableError):
            await derived_job(interrupted, now=world.now, holder=HOLDER).catch_up()
        if not interrupted.happened:
            break
        await world.go_on(1)
    assert step >= 12
    await derived_job(database, now=world.now, holder=HOLDER).catch_up()
    await world.adds_up()


@pytest.mark.parametrize("is_begun", [True, False], ids=["followed", "counted from the records"])
async def test_a_commit_that_was_slow_and_done_is_not_done_again(database, is_begun):
    world = World(database, Random(17))
    if is_begun:
        await derive(database, now=world.now)
    await world.go_on(12)
    first = 0 if is_begun else 1  # behind the one that removes what was derived
    slow = Interrupted(database, first, ExecutionTimeout("operation exceeded time limit", 50), at_commit=True)
    await derived_job(slow, now=world.now).catch_up()
    assert slow.happened
    await world.adds_up()


@pytest.fixture
def copy(database, io_loop):
    copy = database.beside("-copy")
    yield copy
    io_loop.run_sync(lambda: copy.derived.database.client.drop_database(copy.derived.database.name))


@pytest.mark.expects_log(r"figures since 20\d\d-\d\d-\d\d 00:00:00.00:00 are derived again from the records")
async def test_what_is_counted_in_a_copy_of_the_database_is_not_added_once_more(database, copy):
    seconds = 0
    job = derived_job(database, now=lambda: MIDNIGHT, clock=lambda: seconds)
    await job.catch_up()
    await write(database, *(Call(number).end() for number in range(5)))
    await job.step()
    seconds += job_module.RENEWAL_SECONDS
    await job.step()  # keeps a position that is of no event, so also one of the copy, before all that is copied
    await job.close()
    await copy.prepare(retention=None)
    for name in await database.derived.database.list_collection_names():
        if documents := await getattr(database, name).find().to_list(None):
            await getattr(copy, name).insert_many(documents)
    await write(copy, Call(5).end())
    await derive(copy)
    await has_counted_all(copy)


@pytest.mark.gen_test(timeout=120)
async def test_a_process_that_is_killed_adds_nothing_twice(private_mongodb, private_database):
    database, random = private_database, Random(7)
    world = World(database, random)
    where = private_mongodb.uri, database.rollups.database.name
    await world.go_on(5)
    await derive(database, now=world.now)
    for _ in range(examples(3, 20)):
        command = (sys.executable, "-m", "tests.storage.derived.job_worker", *where)
        worker = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        assert await worker.stdout.readline() == b"derived\n"
        await world.go_on(10)
        await asyncio.wait({asyncio.ensure_future(worker.stdout.readline())}, timeout=random.uniform(0, 0.05))
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        # Ends its transaction, with which nobody goes on. By itself MongoDB does so after a minute.
        await database.rollups.database.client.admin.command({"killAllSessions": []})
        await database.derived.update_one({}, {"$unset": {"lease": ""}})
    await derive(database, now=world.now)
    await world.adds_up()


@pytest.mark.gen_test(timeout=60)
async def test_of_several_at_the_same_time_one_derives(database):
    world = World(database, Random(3))
    for _ in range(3):
        await world.go_on(5)
        await asyncio.gather(*(derive(database, now=world.now) for _ in range(3)), world.go_on(5))
    await derive(database, now=world.now)
    await world.adds_up()


@pytest.mark.gen_test(timeout=60)
async def test_one_that_is_paused_while_it_clears_days_removes_nothing_of_its_successor(database):
    world = World(database, Random(19))
    await world.go_on(20)
    await derive(database, now=world.now)
    held = Held(database, "delete_many")
    recounting = asyncio.create_task(derived_job(held, now=world.now).recount(MIDNIGHT))
    await held.reached.wait()
    await database.derived.update_one({}, {"$unset": {"lease": ""}})
    await derive(database, now=world.now)
    held.gate.set()
    await recounting
    await world.adds_up()


@pytest.mark.expects_log(LATER)
@pytest.mark.gen_test(timeout=120)
async def test_what_changed_while_the_database_forgot_is_counted_from_the_records(database):
    world = World(database, Random(11))
    await world.go_on(40)
    await derive(database, now=world.now)
    await database.derived.update_one({}, {"$set": {"time": MIDNIGHT}})
    await world.go_on(20)
    await far(database)
    job = derived_job(database, now=world.now)
    while not await job.step() or await counted_until(database) is None:
        await world.go_on(1)  # also while it is counted
    await job.close()
    await derive(database, now=world.now)
    await world.adds_up()


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.gen_test(timeout=120)
async def test_a_recount_puts_right_what_is_wrong_since_its_day_and_changes_nothing_else(database, first):
    world = World(database, Random(13))
    await world.go_on(40)
    later = Call(9_001, second=86_400 + 60)
    await write(database, later.start, later.end())
    await derive(database, now=world.now)
    start = MIDNIGHT + timedelta(days=first)
    await database.rollups.update_many({"at": {"$gte": start}}, {"$inc": {"interceptions": 5}})
    said = []

    async def say(at):
        said.append(at)

    await derived_job(database, now=world.now).recount(start, say)
    assert said == sorted(said)
    await world.adds_up()
    await world.go_on(5)
    await derive(database, now=world.now)
    await world.adds_up()


@pytest.mark.gen_test(timeout=60)
async def test_days_that_the_first_version_counts_again_are_counted_from_there_on(database):
    world = World(database, Random(17))
    await world.go_on(40)
    await derive(database, now=world.now)
    await database.rollups.update_many({"at": {"$gte": MIDNIGHT}}, {"$inc": {"interceptions": 5}})
    begun = {"start": MIDNIGHT, "end": MIDNIGHT + timedelta(days=1), "is_cleared": True, "done": None, "batch": None}
    await database.derived.update_one({}, {"$set": {"recount": {**begun, "time": None}}})
    await derive(database, now=world.now)
    await world.adds_up()


@pytest.mark.expects_log(r"the call 00000000-0000-0000-0000-000000000004 is left out of all figures: KeyError")
@pytest.mark.parametrize("is_begun", [True, False], ids=["followed", "counted from the records"])
async def test_one_that_cannot_be_added_keeps_no_other_waiting(database, caplog, is_begun):
    if is_begun:
        await derive(database)
    calls = [Call(number) for number in range(1, 6)]
    for call in calls:
        if call.number == 4:
            await database.interceptions.insert_one({**call.document, "status": "completed", "end_reason": ["odd"]})
        else:
            await write(database, call.end())
    await derive(database, now=lambda: NOON)
    await database.interceptions.delete_one({"_id": calls[3].id})
    await has_counted_all(database)
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


async def test_who_has_no_lease_knows_how_far_the_figures_are(database):
    one, other = derived_job(database), derived_job(database)
    await one.step()
    await one.step()
    assert await other.step() == job_module.RENEWAL_SECONDS
    assert other.counted_until == await counted_until(database)
    await one.close()
    assert await other.step() == job_module.PAUSE_SECONDS
    await other.close()
