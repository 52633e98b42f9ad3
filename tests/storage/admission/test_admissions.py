from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from storage.admission import admissions as admissions_module
from storage.admission.admissions import HEARTBEAT_SECONDS, LEASE_SECONDS, LOOK_SECONDS, Admissions, SharedLimits
from storage.admission.ledger import update
from tests.storage.admission.admission_worker import PATIENCE_SECONDS
from tests.storage.conditions import until

pytest_plugins = ["tests.storage.outages"]

ADA, BOB = UUID(int=1), UUID(int=2)
ROOT = Path(__file__).parents[3]
# Where the database does not answer, each decision takes that long.
SHORT_PATIENCE_SECONDS = 1.0
AWAY = r"^WARNING storage\.admission\.admissions: limits are process-local until the database is available: "


class Clock:
    """Seconds that pass when a test says so; `pause` waits for the test to say so."""

    def __init__(self):
        self.seconds = 0.0
        self.pausing = asyncio.Semaphore(0)
        self.turn = asyncio.Semaphore(0)

    def __call__(self):
        return self.seconds

    async def pause(self, seconds):
        self.pausing.release()
        await self.turn.acquire()
        self.seconds += seconds

    async def pass_(self, seconds):
        """Let so many seconds pass, look by look, and wait until what is due then is done."""
        for _ in range(round(seconds / LOOK_SECONDS)):
            await self.pausing.acquire()
            self.turn.release()
        await self.pausing.acquire()
        self.pausing.release()


@asynccontextmanager
async def taking_part(database, process=ADA, *, clock=None, patience=PATIENCE_SECONDS, **limits):
    """A process that takes part, until the end of the block."""
    time = {"clock": clock, "pause": clock.pause} if clock else {}
    admissions = Admissions(database, process=process, limits=SharedLimits(**limits), patience=patience, **time)
    await admissions.open(lambda: {"process": str(process)})
    renewing = asyncio.create_task(admissions.run())
    yield admissions
    renewing.cancel()
    await asyncio.wait({renewing})
    await admissions.close()


class Worker:
    """Another operating system process that takes part."""

    def __init__(self, process):
        self._process = process

    @classmethod
    async def start(cls, database_uri, name, *, lease=LEASE_SECONDS, **limits):
        arguments = (
            "-m",
            "tests.storage.admission.admission_worker",
            database_uri,
            name,
            json.dumps(limits),
            str(lease),
        )
        pipe = asyncio.subprocess.PIPE
        worker = cls(
            await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=pipe, stdout=pipe, cwd=ROOT)
        )
        assert await worker.answer() is True
        return worker

    async def ask(self, *action):
        self._process.stdin.write(json.dumps(action).encode() + b"\n")
        return await self.answer()

    async def answer(self):
        return json.loads(await self._process.stdout.readline())

    async def kill(self):
        self._process.kill()
        await self._process.wait()

    async def stop(self):
        self._process.stdin.close()
        assert await self._process.wait() == 0


@asynccontextmanager
async def workers(number, *where, **limits):
    started = await asyncio.gather(*(Worker.start(*where, **limits) for _ in range(number)))
    yield started
    await asyncio.gather(*(worker.stop() for worker in started))


def most_in_any_window(times, seconds):
    times = sorted(times)
    return max(sum(start <= at < start + seconds - 1e-6 for at in times) for start in times)


async def ledgers(database):
    return {document["_id"]: document async for document in database.admissions.find({"shares": {"$exists": True}})}


async def slots_taken(database, ledger="server"):
    return sum(share["slots"] for share in (await ledgers(database))[ledger]["shares"])


@pytest.mark.gen_test(timeout=30)
async def test_of_a_burst_from_three_processes_the_limit_is_admitted_and_another_key_is_not_touched(
    database, mongodb_uri, database_name
):
    async with workers(3, mongodb_uri, database_name, rate_limit=100, window_ms=20_000) as three:
        answers = await asyncio.gather(*(worker.ask("requests", "token", None, 100) for worker in three))
        refused_by = [limit for answer in answers for limit in answer["refused_by"]]
        assert (refused_by.count(None), refused_by.count("rate")) == (100, 200)
        other = await three[0].ask("requests", "other token", None, 100)
        assert other["refused_by"] == [None] * 100
        (log,) = [rate["log"] for rate in (await ledgers(database))["key:token"]["rates"]]
        assert len(log) == 100


@pytest.mark.gen_test(timeout=30)
async def test_of_a_burst_with_a_token_each_the_users_limit_is_admitted(database, mongodb_uri, database_name):
    limits = {"rate_limit": 60, "user_rate_limit": 100, "window_ms": 20_000}
    async with workers(3, mongodb_uri, database_name, **limits) as three:
        asking = (worker.ask("requests", f"token {number}", "user", 100) for number, worker in enumerate(three))
        answers = await asyncio.gather(*asking)
        refused_by = [limit for answer in answers for limit in answer["refused_by"]]
        assert (refused_by.count(None), refused_by.count("rate") + refused_by.count("user_rate")) == (100, 200)
        other = await three[0].ask("requests", "token 0", "other user", 100)
        assert other["refused_by"].count(None) == 60
        rates = {rate["key"]: len(rate["log"]) for rate in (await ledgers(database))["user:user"]["rates"]}
        assert rates.pop("user:user") == sum(rates.values()) == 100
        assert max(rates.values()) <= 60


@pytest.mark.gen_test(timeout=30)
async def test_in_no_window_of_a_storm_from_three_processes_is_more_admitted_than_the_limit(
    database, mongodb_uri, database_name
):
    async with workers(3, mongodb_uri, database_name, rate_limit=100, window_ms=400) as three:

        async def storm(worker):
            while len(admitted) < 300:
                admitted.extend((await worker.ask("requests", "token", None, 10))["admitted_at"])

        admitted = []
        await asyncio.gather(*map(storm, three))
        assert most_in_any_window(admitted, 0.4) == 100


@pytest.mark.gen_test(timeout=30)
async def test_slots_are_shared_by_three_processes_and_come_back_when_they_stop(database, mongodb_uri, database_name):
    async with workers(3, mongodb_uri, database_name, max_concurrency=100) as three:
        answers = await asyncio.gather(*(worker.ask("slots", 100) for worker in three))
        refused_by = [limit for answer in answers for limit in answer["refused_by"]]
        assert (refused_by.count(None), refused_by.count("concurrency")) == (100, 200)
        assert await slots_taken(database) == 100
    assert await slots_taken(database) == 0


@pytest.mark.gen_test(timeout=30)
async def test_the_slots_of_a_killed_process_come_back_when_its_lease_is_over(database, mongodb_uri, database_name):
    killed = await Worker.start(mongodb_uri, database_name, max_concurrency=2, lease=1.5)
    assert (await killed.ask("slots", 2))["refused_by"] == [None, None]
    leased_at = time.monotonic()
    async with taking_part(database, max_concurrency=2) as admissions:
        assert (await admissions.take_slot()).refused_by == "concurrency"
        await killed.kill()
        while (verdict := await admissions.take_slot()).refused_by:
            pass
        assert 1.4 < time.monotonic() - leased_at < LEASE_SECONDS / 3
        verdict.slot.release()


@pytest.mark.gen_test
async def test_a_heartbeat_keeps_the_slots_of_the_living(database):
    clock = Clock()
    async with taking_part(database, clock=clock, max_concurrency=1) as admissions:
        verdict = await admissions.take_slot()
        (before,) = (await ledgers(database))["server"]["shares"]
        await clock.pass_(HEARTBEAT_SECONDS - LOOK_SECONDS)
        assert (await ledgers(database))["server"]["shares"] == [before]
        await clock.pass_(LOOK_SECONDS)
        (after,) = (await ledgers(database))["server"]["shares"]
        assert (after["slots"], after["until"] > before["until"]) == (1, True)
        verdict.slot.release()
    assert LEASE_SECONDS >= 3 * HEARTBEAT_SECONDS


@pytest.mark.gen_test
async def test_a_users_slots_and_rate_are_decided_together(database):
    limits = {"user_max_concurrency": 1, "rate_limit": 2, "rate_window": timedelta(minutes=1)}
    async with taking_part(database, ADA, **limits) as ada, taking_part(database, BOB, **limits) as bob:
        first = await ada.count_request("token", "user")
        assert (first.refused_by, first.rates[0].remaining) == (None, 1)
        refused = await bob.count_request("token", "user")
        assert (refused.refused_by, refused.slot, refused.rates[0].remaining) == ("user_concurrency", None, 1)
        assert (await bob.count_request("other token", "other user")).refused_by is None
        first.slot.release()
        await until_idle(ada)
        second = await bob.count_request("token", "user")
        second.slot.release()
        await until_idle(bob, but=1)
        assert (second.refused_by, second.rates[0].remaining) == (None, 0)
        refused = await ada.count_request("token", "user")
        assert (refused.refused_by, refused.slot) == ("rate", None)
        assert 58e9 < refused.rates[0].retry_after_ns <= refused.rates[0].reset_ns <= 60e9
        assert await slots_taken(database, "user:user") == 0


async def until_idle(admissions, but=0):
    """Wait until everything that was given back is written down."""
    await until(lambda: len(admissions._ledgers) == but)


@pytest.mark.gen_test
async def test_waiting_as_long_as_a_refusal_says_succeeds_by_the_clock_of_the_database(database):
    limits = {"rate_limit": 1, "rate_window": timedelta(milliseconds=300)}
    async with taking_part(database, ADA, **limits) as ada, taking_part(database, BOB, **limits) as bob:
        for _ in range(3):
            await ada.count_request("token", None)
            refused = await bob.count_request("token", None)
            assert refused.refused_by == "rate"
            await asyncio.sleep(refused.rates[0].retry_after_ns / 1e9)
            assert (await bob.count_request("token", None)).refused_by is None
            await asyncio.sleep(0.3)


@pytest.mark.gen_test
async def test_a_client_without_a_user_has_a_rate_and_no_slot(database):
    async with taking_part(database, user_max_concurrency=1, rate_limit=5) as admissions:
        verdicts = [await admissions.count_request("203.0.113.7", None) for _ in range(2)]
        assert [(verdict.refused_by, verdict.slot) for verdict in verdicts] == [(None, None)] * 2
        assert set(await ledgers(database)) == {"key:203.0.113.7"}


@pytest.mark.gen_test
async def test_what_is_not_limited_costs_no_update(database):
    async with taking_part(database, max_concurrency=1) as admissions:
        assert await admissions.count_request("token", "user") == (None, None, ())
        assert await ledgers(database) == {}


@pytest.mark.gen_test
async def test_nothing_is_remembered_of_ledgers_where_nothing_is_held(database):
    async with taking_part(database, max_concurrency=5, user_max_concurrency=5, rate_limit=100) as admissions:
        held = await asyncio.gather(*(admissions.count_request(f"token {n}", f"user {n}") for n in range(9)))
        held += await asyncio.gather(*(admissions.take_slot() for _ in range(5)))
        assert len(admissions._ledgers) == 10
        for verdict in held:
            verdict.slot.release()
        await until_idle(admissions)


@pytest.mark.gen_test
async def test_many_processes_may_begin_a_ledger_at_once(database):
    for n in range(10):
        processes = [
            Admissions(database, process=uuid4(), limits=SharedLimits(rate_limit=3), patience=PATIENCE_SECONDS)
            for _ in range(8)
        ]
        verdicts = await asyncio.gather(*(process.count_request(f"token {n}", None) for process in processes))
        assert [verdict.refused_by for verdict in verdicts].count(None) == 3
        assert not any(process.away for process in processes)


@pytest.mark.gen_test
async def test_what_is_over_is_removed_by_an_index(database):
    index = (await database.admissions.index_information())["expiry"]
    assert (index["key"], index["expireAfterSeconds"]) == ([("expires_at", 1)], 0)
    async with taking_part(database, rate_limit=1):
        pass
    assert all("expires_at" in document for document in (await ledgers(database)).values())


@pytest.mark.gen_test
async def test_usage_is_what_all_processes_use(database):
    limits = {"max_concurrency": 9, "user_max_concurrency": 9, "rate_limit": 5, "rate_window": timedelta(minutes=1)}
    async with taking_part(database, ADA, **limits) as ada, taking_part(database, BOB, **limits) as bob:
        held = [await admissions.take_slot() for admissions in (ada, ada, bob)]
        held += [await admissions.count_request("a", "user a") for admissions in (ada, bob, bob)]
        held += [await ada.count_request("b", "user b")]
        await bob.count_request("203.0.113.7", None)
        await bob.count_request("203.0.113.7", None)
        usage = await ada.usage(2)
        assert (usage.slots, usage.users) == (3, {"user a": 3, "user b": 1})
        assert [(key, rate.remaining) for key, rate in usage.rates.items()] == [("a", 2), ("203.0.113.7", 3)]
        assert await ada.reports() == [{"process": str(BOB)}]
        for verdict in held:
            verdict.slot.release()
    async with taking_part(database, ADA, **limits) as ada:
        assert (await ada.usage(2)).users == {}
        assert await ada.reports() == []


@pytest.mark.expects_log(AWAY)
@pytest.mark.gen_test(timeout=30)
async def test_a_database_that_does_not_answer_is_waited_for_once_and_within_bounds(
    private_database, private_mongodb, log_watch
):
    clock = Clock()
    limits = {"max_concurrency": 1, "user_max_concurrency": 1, "rate_limit": 1}
    async with taking_part(private_database, clock=clock, patience=SHORT_PATIENCE_SECONDS, **limits) as admissions:
        before = await admissions.take_slot()
        private_mongodb.freeze()
        began = time.monotonic()
        asking = [admissions.count_request(f"token {n}", f"user {n}") for n in range(50)]
        verdicts = await asyncio.gather(admissions.take_slot(), *asking)
        assert time.monotonic() - began < 2 * SHORT_PATIENCE_SECONDS
        assert [(verdict.refused_by, verdict.rates) for verdict in verdicts] == [(None, ())] * 51
        assert admissions.away
        began = time.monotonic()
        verdicts += [await admissions.take_slot() for _ in range(100)]
        assert time.monotonic() - began < SHORT_PATIENCE_SECONDS
        await clock.pass_(LOOK_SECONDS)
        assert admissions.away
        assert len(log_watch.lines) == 1

        private_mongodb.thaw()
        await until_back(admissions, clock)
        assert await slots_taken(private_database) == 102
        assert (await admissions.take_slot()).refused_by == "concurrency"
        for verdict in [before, *verdicts]:
            verdict.slot.release()
        await until_idle(admissions)
        assert await slots_taken(private_database) == 0
        assert (await admissions.take_slot()).slot is not None


async def until_back(admissions, clock):
    while admissions.away:
        await clock.pass_(LOOK_SECONDS)


@pytest.mark.expects_log(AWAY)
@pytest.mark.gen_test(timeout=30)
async def test_it_begins_and_ends_without_the_database(unreachable):
    async with taking_part(unreachable, patience=SHORT_PATIENCE_SECONDS, max_concurrency=1) as admissions:
        assert admissions.away
        verdict = await admissions.take_slot()
        verdict.slot.release()


@pytest.mark.gen_test
async def test_a_ruling_on_an_earlier_ask_is_not_taken_for_ones_own(database, monkeypatch):
    monkeypatch.setattr(admissions_module, "update", lambda ask: update(replace(ask, number=0)))
    async with taking_part(database, rate_limit=1) as admissions:
        assert await admissions.count_request("token", None) == (None, None, ())
        assert not admissions.away


@pytest.mark.expects_log(AWAY + "OperationFailure$")
@pytest.mark.gen_test
async def test_a_database_that_refuses_to_decide_is_away_too(mongodb_uri, monkeypatch, database):
    monkeypatch.setattr(admissions_module, "update", lambda _: [{"$nonsense": 1}])
    async with taking_part(database, rate_limit=1) as admissions:
        assert await admissions.count_request("token", None) == (None, None, ())
        assert admissions.away
