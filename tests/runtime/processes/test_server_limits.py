"""Limits that all workers of a server have together: real workers, real sockets."""

import asyncio
import os
import signal

import pytest

from tests.faults.waiting import until
from tests.handlers.conversations import MESSAGES
from tests.runtime.processes.bursts import begin, burst, by_name, fill, finish, limits, replace_worker, until_free

pytest_plugins = ["tests.runtime.processes.two_workers_plugin"]

WINDOW = ("--rate-window", "1000s")
UNAVAILABLE = "unavailable: the supervisor does not answer"


def given_up(server):
    """The lines in which a worker says that its supervisor does not answer."""
    return [line for line in server.stderr.so_far() if "the supervisor does not answer: requests are refused" in line]


class TestConcurrency:
    @pytest.fixture
    def flags(self):
        return ("--max-concurrency", "6")

    @pytest.mark.gen_test(timeout=120)
    async def test_workers_share_the_slots_of_their_server_also_if_one_hangs_or_dies(self, server, upstream):
        admitted = await burst(server, 12)
        assert len(admitted) == 6
        found = await limits(server)
        assert (found["scope"], found["state"]) == ("server", "ok")
        used = by_name(found)["concurrency"]
        assert (used["used"], used["remaining"]) == (6, 0)
        await finish(upstream, admitted)
        await until_free(server)
        upstream.gate.clear()

        streams = await server.streams()
        paused = next(iter(streams))
        os.kill(paused, signal.SIGSTOP)
        calls = [asyncio.create_task(begin(server)) for _ in range(10)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert done
        os.kill(paused, signal.SIGCONT)
        begun = [one for of_worker in streams.values() for one in of_worker]
        admitted = [(client, response) for client, response in await asyncio.gather(*calls) if response.status == 200]
        assert len(begun) + len(admitted) == 6
        assert given_up(server) == []
        await finish(upstream, begun + admitted)
        assert {bytes(response.body) for _, response in begun} == {MESSAGES.stream}
        await until_free(server)
        upstream.gate.clear()

        await replace_worker(server, upstream, await fill(server, 6))


class TestRates:
    @pytest.fixture
    def flags(self):
        return ("--rate-limit", "4", *WINDOW)

    @pytest.mark.gen_test(timeout=120)
    async def test_nothing_is_admitted_while_the_supervisor_hangs_and_counts_outlive_that_and_a_restart(
        self, server, upstream
    ):
        async def admit(number):
            admitted = await burst(server, number)
            await finish(upstream, admitted)
            return len(admitted)

        assert await admit(2) == 2
        server.send(signal.SIGSTOP)
        try:
            while len(given_up(server)) < 2:
                assert await admit(8) == 0
            ready = [await server.get("/readyz") for _ in range(8)]
            assert {(status, said["limits"]) for status, said in ready} == {(503, UNAVAILABLE)}
            assert (await limits(server))["state"] == UNAVAILABLE
        finally:
            server.send(signal.SIGCONT)
        for pid in server.workers():
            await asyncio.to_thread(
                server.stderr.find, rf"worker {pid}: the supervisor answers: requests are admitted again$"
            )
        assert await admit(8) <= 2  # what was admitted in vain counts as a start
        assert await admit(8) == 0

        before = server.workers()
        server.send(signal.SIGHUP)
        await asyncio.to_thread(server.stderr.find, "INFO aibridge: rolling restart finished$")
        assert server.workers().isdisjoint(before)
        assert await admit(10) == 0
        (key,) = by_name(await limits(server))["rate"]["keys"]
        assert (key["used"], key["remaining"]) == (4, 0)


@pytest.mark.gen_test(timeout=60)
async def test_the_supervisor_derives_figures_and_its_workers_know_how_far_these_are(server, upstream):
    upstream.gate.set()
    client = await server.client()
    response = await server.call(client)
    assert response.status == 200
    with server.database() as database:

        async def is_counted():
            return bool(await database.rollups.find_one({"level": "everyone", "interceptions": 1}))

        await until(is_counted, 30)
        job = await database.derived.find_one({})
        instances = {one["_id"] async for one in database.members.find()}
    assert job["lease"]["holder"] not in instances
    assert "figures_behind_seconds" in (await (await server.client()).request("GET", "/metrics", {})).body.decode()
