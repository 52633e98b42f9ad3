"""Thousands of calls of every fate on two workers with common limits; one worker is killed in the middle."""

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path
from random import Random, SystemRandom

import pytest

from tests.faults.sabotage import marks
from tests.faults.storms.storm import Storm, StormProvider, fate
from tests.faults.waiting import until
from tests.server_process import ROOT

WARM_UP = 1_000
REQUESTS = 5_000
FIRST = 1_000
SEED = os.environ.get("FAULTS_SEED") or str(SystemRandom().randrange(10**9))
# A kept connection of the upstream client is closed after 15 s.
SETTLE_SECONDS = 60
# What a worker may hold more after the storm than before, when it had been through a fifth of one.
MEMORY_BYTES = 16 * 2**20
# Connections to MongoDB that are opened when many ask at once, and stay: as many as the driver keeps.
OPEN_FILES = 100

pytestmark = [
    pytest.mark.faults,
    pytest.mark.server(
        AIBRIDGE_WORKERS="2",
        AIBRIDGE_LIMITS_SCOPE="cluster",
        AIBRIDGE_MAX_CONCURRENCY="145",
        AIBRIDGE_USER_MAX_CONCURRENCY="140",
        AIBRIDGE_UPSTREAM_IDLE_TIMEOUT="500ms",
        PYTHONPATH=f"{Path(marks.__file__).parent}:{ROOT}",
    ),
    pytest.mark.server_says(
        r"WARNING storage\.recording\.left_calls: worker \d+: calls that instance \S+ left in flight: \d+$",
        r"ERROR handlers\.dataplane\.call: worker \d+: a reader failed and was dropped: ",
        r"ERROR handlers\.base: worker \d+: unexpected error: ",
        # Where the machine is too busy for a decision in time.
        r"WARNING storage\.admission\.cluster: limits are server-local until the database is available: TimeoutError$",
        r"WARNING aibridge: worker \d+ was killed by SIGKILL: starting another$",
        r"^(Traceback|  |sitecustomize\.SabotageError|$)",
    ),
]


@pytest.fixture
def provider(io_loop):
    provider = io_loop.run_sync(StormProvider().start)
    yield provider
    io_loop.run_sync(provider.stop)


class Worker:
    def __init__(self, pid):
        self._proc = Path(f"/proc/{pid}")
        self.pid = pid

    @property
    def memory(self):
        return int((self._proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def open_files(self):
        return len(list((self._proc / "fd").iterdir()))


def leased(records):
    ledgers = records.interceptions.database["limit_ledgers"].find({"_id": {"$regex": "^concurrency:"}})
    return sum(one["held"] for ledger in ledgers for one in ledger["members"].values())


async def at_rest(server, token, records):
    """Wait until nothing is held, by the word of the server and in the database, and nothing is under way."""

    async def nothing():
        status, limits = await server.get("/api/v2/aibridge/limits", token)
        concurrency, users, *_ = limits["limits"]
        used = (concurrency["used"], users["keys"])
        assert status == 200
        in_flight = await asyncio.to_thread(records.interceptions.count_documents, {"status": "in_flight"})
        slots = await asyncio.to_thread(leased, records)
        return (used, in_flight, slots) == ((0, []), 0, 0)

    await until(nothing, SETTLE_SECONDS)


@pytest.mark.gen_test(timeout=240)
async def test_after_a_storm_with_a_killed_worker_each_start_has_one_end(scenario, token, records):
    scenario.tell(f"FAULTS_SEED={SEED}")
    random = Random(SEED)
    server = await scenario.deployment.start()
    storm = Storm(server, token, scenario.provider)
    fates = [fate(random, number) for number in range(FIRST, FIRST + WARM_UP + REQUESTS)]
    await storm.rage(fates[:WARM_UP])
    await at_rest(server, token, records)
    survivor, victim = map(Worker, server.children())
    before = (survivor.memory, survivor.open_files)
    began = time.monotonic()

    async def kill():
        async def half_way():
            return storm.statuses.total() > WARM_UP + REQUESTS / 2

        await until(half_way, SETTLE_SECONDS)
        os.kill(victim.pid, signal.SIGKILL)

    await asyncio.gather(storm.rage(fates[WARM_UP:]), kill())
    raged = time.monotonic() - began
    await at_rest(server, token, records)
    took = time.monotonic() - began

    assert storm.statuses.total() == len(fates)
    assert set(storm.statuses) == {200, 400, 401, 404, 429, 500, 502, 503, 504, 529, None}
    numbers = Counter()
    ends = Counter()
    for document in await asyncio.to_thread(lambda: list(records.interceptions.find())):
        (prompt,) = document["user_prompts"]
        numbers[int(prompt["prompt"].removeprefix("call "))] += 1
        ends[document["end_reason"]] += 1
        storm.begun.discard(document["_id"])
    assert set(numbers.values()) == {1}
    assert set(scenario.provider.requested.values()) == {1}
    recorded = {one.call.number for one in fates if one.name != "passed on"}
    assert scenario.provider.requested.keys() & recorded <= numbers.keys() <= recorded
    assert storm.begun == set()
    assert ends.keys() == {
        *("completed", "client_disconnected", "server_crashed", "upstream_error", "upstream_timeout"),
        *("upstream_truncated", "upstream_unreachable"),
    }
    assert await server.metric("interceptions_inflight") == 0
    counted = await server.metric("interceptions_total")
    # A client that leaves while its start is being recorded has a record and no count.
    assert numbers.total() - ends["server_crashed"] - ends["client_disconnected"] <= counted <= numbers.total()
    after = (survivor.memory, survivor.open_files)
    scenario.tell(
        f"{len(fates)} calls in {raged:.0f} s, at rest after {took:.0f} s; {dict(ends)}; statuses {dict(storm.statuses)};"
        f" memory {before[0] / 2**20:.1f} -> {after[0] / 2**20:.1f} MiB, open files {before[1]} -> {after[1]}"
    )
    assert after[0] - before[0] < MEMORY_BYTES
    assert after[1] - before[1] < OPEN_FILES
