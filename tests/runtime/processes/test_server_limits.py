"""Limits that all workers of a server have together: real workers, real sockets."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.handlers.conversations import MESSAGES
from tests.runtime.processes.bursts import begin, burst, by_name, fill, finish, limits, replace_worker, until_free

pytest_plugins = ["tests.runtime.processes.two_workers_plugin"]

WINDOW = ("--aibridge-rate-window", "1000s")
PROCESS_LOCAL = "process-local: the supervisor does not answer"


def alone(server):
    """The lines that say that a worker decides alone."""
    return [line for line in server.stderr.so_far() if "limits are process-local: the supervisor" in line]


class TestConcurrency:
    @pytest.fixture
    def flags(self):
        return ("--aibridge-max-concurrency", "6")

    @pytest.mark.gen_test(timeout=120)
    async def test_workers_share_the_slots_of_their_server_also_if_one_hangs_or_dies(self, server, upstream):
        admitted = await burst(server, 12)
        assert len(admitted) == 6
        found = await limits(server)
        assert (found["scope"], found["state"], found["holding"], len(found["holders"])) == ("server", "ok", 6, 6)
        used = by_name(found)["concurrency"]
        assert (used["used"], used["remaining"], used["refused"]) == (6, 0, 6)
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
        assert alone(server) == []
        await finish(upstream, begun + admitted)
        assert {bytes(response.body) for _, response in begun} == {MESSAGES.stream}
        await until_free(server)
        upstream.gate.clear()

        await replace_worker(server, upstream, await fill(server, 6))


class TestRates:
    @pytest.fixture
    def flags(self):
        return ("--aibridge-rate-limit", "4", *WINDOW)

    @pytest.mark.gen_test(timeout=120)
    async def test_what_was_admitted_counts_after_a_pause_of_the_supervisor_and_a_restart(self, server, upstream):
        async def admit(number):
            admitted = await burst(server, number)
            await finish(upstream, admitted)
            return len(admitted)

        admitted = await admit(1)
        server.send(signal.SIGSTOP)
        try:
            while len(alone(server)) < 2:
                admitted += await admit(8)
            ready = [(await server.get("/readyz"))[1]["limits"] for _ in range(8)]
            assert set(ready) == {PROCESS_LOCAL}
            assert (await limits(server))["state"] == PROCESS_LOCAL
        finally:
            server.send(signal.SIGCONT)
        for pid in server.workers():
            await asyncio.to_thread(
                server.stderr.find, rf"worker {pid}: the supervisor answers: limits are shared again$"
            )
        assert 1 < admitted <= 4  # at most 2 for each worker
        assert admitted + await admit(8) <= 4
        (key,) = by_name(await limits(server))["rate"]["keys"]
        assert key["used"] >= 4  # also what the supervisor had been asked and admitted after the worker had refused it
        assert len(alone(server)) == 2

        before = server.workers()
        server.send(signal.SIGHUP)
        await asyncio.to_thread(server.stderr.find, "INFO aibridge: rolling restart finished$")
        assert server.workers().isdisjoint(before)
        assert await admit(10) == 0
        (still,) = by_name(await limits(server))["rate"]["keys"]
        # What the supervisor decided late may have been counted since then.
        assert still["used"] >= key["used"]
        assert still["remaining"] == key["remaining"] == 0
