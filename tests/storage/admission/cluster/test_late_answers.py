"""Answers that are late or lost, requests that leave, and servers that are paused."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from storage.mongo.errors import DatabaseUnavailableError
from tests.bridge import until
from tests.storage.admission.cluster.servers import MEMBERSHIPS, admitted, burst, rate, servers, slots

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("written", [True, False])
async def test_a_round_without_an_answer_is_made_again_and_counts_once(database, written):
    async with servers(2, database) as (one, other):
        store, failed = one._store, []

        class Late:
            def __getattr__(self, name):
                return getattr(store, name)

            async def change(self, *asked):
                if not failed:
                    failed.append(await store.change(*asked) if written else True)
                    raise DatabaseUnavailableError
                return await store.change(*asked)

        one._store = Late()
        assert admitted(await burst([one], 20, [rate(10)])) == 10
        assert failed
        assert not one.unavailable
        assert admitted(await burst([one, other], 5, [rate(10)])) == 0
        assert admitted(await burst([other], 5, [rate(12)])) == 2


async def test_a_request_that_leaves_while_it_waits_holds_nothing(database):
    async with servers(1, database) as (one,):
        waiting = [asyncio.ensure_future(one.start([slots(3)])) for _ in range(3)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        await until(lambda: not one.busy)
        assert admitted(await burst([one], 5, [slots(3)])) == 3


@pytest.mark.gen_test(timeout=60)
async def test_a_server_that_is_paused_again_and_again_never_opens_a_limit(mongodb_uri, database_name, database):
    paused = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.storage.admission.cluster.cluster_server", mongodb_uri, database_name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    async with servers(1, database) as (ada,):
        running = asyncio.create_task(MEMBERSHIPS[ada].run())
        limits, mine = [rate(100, 60)], 0
        for _ in range(2):
            paused.stdin.write(b"\n" * 5)
            await paused.stdout.readline()
            os.kill(paused.pid, signal.SIGSTOP)
            mine += admitted(await burst([ada], 10, limits))
            await asyncio.sleep(1.2)  # longer than any answer may take
            os.kill(paused.pid, signal.SIGCONT)
        paused.stdin.close()
        out, _ = await paused.communicate()
        theirs = json.loads(out.splitlines()[-1])
        assert theirs["alone"] == 0
        assert mine + theirs["admitted"] <= 100
        assert mine + admitted(await burst([ada], 100, limits)) + theirs["admitted"] <= 100
        assert theirs["admitted"] > 0
        running.cancel()
        await asyncio.wait({running})
