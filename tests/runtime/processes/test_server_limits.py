"""Limits that all workers of a server have together: real workers, real sockets."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.handlers.conversations import MESSAGES
from tests.runtime.processes.bursts import begin, burst, by_name, finish, limits

pytest_plugins = ["tests.runtime.processes.two_workers_plugin"]

WINDOW = ("--aibridge-rate-window", "1000s")
PROCESS_LOCAL = "process-local: the supervisor does not answer"


def alone(server):
    """The lines that say that a worker decides alone."""
    return [line for line in server.stderr.so_far() if "limits are process-local: the supervisor" in line]


class TestConcurrency:
    @pytest.fixture
    def flags(self):
        return ("--aibridge-max-concurrency", "12")

    @pytest.mark.gen_test(timeout=60)
    async def test_a_burst_over_both_workers_never_exceeds_the_limit(self, server, upstream):
        admitted = await burst(server, 60)
        assert len(admitted) == 12
        shown = await limits(server)
        assert (shown["scope"], shown["state"], shown["holding"], len(shown["holders"])) == ("server", "ok", 12, 12)
        used = by_name(shown)["concurrency"]
        assert (used["used"], used["remaining"], used["refused"]) == (12, 0, 48)
        await finish(upstream, admitted)

    @pytest.mark.gen_test(timeout=60)
    async def test_slots_of_a_worker_that_is_killed_are_free_before_it_is_replaced(self, server, upstream):
        streams = await server.streams()
        victim, survivor = streams
        while len(streams[victim]) + len(streams[survivor]) < 12:
            client, answer, pid = await server.stream()
            streams[pid].append((client, answer))
        assert await burst(server, 3) == []
        os.kill(victim, signal.SIGKILL)
        for client, answer in streams[victim]:
            await client.rest(answer)
            assert not answer.whole
        killed = rf"WARNING aibridge: worker {victim} was killed by SIGKILL: starting another$"
        await asyncio.to_thread(server.stderr.find, killed)
        admitted = await burst(server, 20)
        assert len(admitted) == len(streams[victim])
        await finish(upstream, admitted + streams[survivor])

    @pytest.mark.gen_test(timeout=60)
    async def test_a_worker_that_was_paused_opens_no_limit(self, server, upstream):
        streams = await server.streams()
        admitted = sum(map(len, streams.values()))
        paused = next(iter(streams))
        os.kill(paused, signal.SIGSTOP)
        calls = [asyncio.create_task(begin(server)) for _ in range(20)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert done
        os.kill(paused, signal.SIGCONT)
        answers = [answer for _, answer in await asyncio.gather(*calls)]
        assert admitted + sum(answer.status == 200 for answer in answers) == 12
        assert alone(server) == []
        upstream.gate.set()
        for of_worker in streams.values():
            for client, answer in of_worker:
                await client.rest(answer)
                assert bytes(answer.body) == MESSAGES.stream


class TestRates:
    @pytest.fixture
    def flags(self):
        return ("--aibridge-rate-limit", "4", *WINDOW)

    @pytest.mark.gen_test(timeout=60)
    async def test_a_rolling_restart_keeps_what_was_counted(self, server, upstream):
        upstream.gate.set()
        before = server.workers()
        admitted = await burst(server, 30)
        assert len(admitted) == 4
        await finish(upstream, admitted)
        server.send(signal.SIGHUP)
        await asyncio.to_thread(server.stderr.find, "INFO aibridge: rolling restart finished$")
        assert server.workers().isdisjoint(before)
        assert await burst(server, 10) == []
        (key,) = by_name(await limits(server))["rate"]["keys"]
        assert (key["used"], key["remaining"]) == (4, 0)

    @pytest.mark.gen_test(timeout=60)
    async def test_what_was_admitted_while_the_supervisor_hung_counts_when_it_goes_on(self, server, upstream):
        upstream.gate.set()
        admitted = len(await burst(server, 1))
        server.send(signal.SIGSTOP)
        try:
            while len(alone(server)) < 2:
                admitted += len(await burst(server, 8))
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
        assert admitted + len(await burst(server, 8)) <= 4
        (key,) = by_name(await limits(server))["rate"]["keys"]
        assert key["used"] >= 4  # also what the supervisor had been asked and admitted after the worker had refused it
        assert len(alone(server)) == 2
