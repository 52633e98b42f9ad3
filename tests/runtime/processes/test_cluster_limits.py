"""Servers of two workers each that share limits in MongoDB: the supervisor of each calls the database for both."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from storage.mongo.embedded import running_uri
from tests.polling import PAUSE_SECONDS
from tests.runtime.processes.bursts import begin, burst, by_name, finish, limits
from tests.runtime.processes.two_workers import TwoWorkers
from tests.server_process import command_line

pytest_plugins = ["tests.runtime.processes.two_workers_plugin"]

CLUSTER = ("--aibridge-limits-scope", "cluster")
SERVER_LOCAL = "server-local: the database is unavailable"


@pytest.fixture
def another(io_loop, server, upstream, data_dir, flags):
    """A second server, on the database of the first."""
    another = TwoWorkers(data_dir.parent / "another", upstream, *flags, mongodb_uri=running_uri(data_dir))
    io_loop.run_sync(another.ready)
    yield another
    another.kill()
    io_loop.run_sync(another.leave)


async def heartbeats(server):
    """What the servers of the cluster say of themselves, in the database."""
    with server.database() as database:
        return await database.limit_ledgers.find({"_id": {"$regex": "^process:"}}).to_list(None)


async def until_limits(server, holding, refused):
    """Wait until `GET /limits` says so: other servers report with their heartbeats."""
    while True:
        shown = await limits(server)
        if (shown["holding"], by_name(shown)["concurrency"]["refused"]) == (holding, refused):
            return shown
        await asyncio.sleep(PAUSE_SECONDS)


async def fill(server, number):
    """Begin a stream on each worker, and more until that many are under way: by worker."""
    streams = await server.streams()
    while sum(map(len, streams.values())) < number:
        client, answer, pid = await server.stream()
        streams[pid].append((client, answer))
    return streams


class TestConcurrency:
    @pytest.fixture
    def flags(self):
        return (*CLUSTER, "--aibridge-max-concurrency", "12")

    @pytest.mark.gen_test(timeout=60)
    async def test_a_burst_over_both_workers_never_exceeds_the_limit(self, server, upstream):
        admitted = await burst(server, 60)
        assert len(admitted) == 12
        shown = await limits(server)
        assert (shown["scope"], shown["state"], shown["holding"], len(shown["holders"])) == ("cluster", "ok", 12, 12)
        used = by_name(shown)["concurrency"]
        assert (used["used"], used["remaining"], used["refused"]) == (12, 0, 48)
        assert (await server.get("/readyz"))[1]["limits"] == "ok"
        assert len(await heartbeats(server)) == 1
        await finish(upstream, admitted)

    @pytest.mark.gen_test(timeout=60)
    async def test_slots_of_a_worker_that_is_killed_are_free_before_it_is_replaced(self, server, upstream):
        streams = await fill(server, 12)
        victim, survivor = streams
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
    async def test_two_servers_of_two_workers_share_one_limit_and_see_one_another(self, server, another, upstream):
        calls = [begin(one) for one in (server, another) * 30]
        answers = await asyncio.gather(*calls)
        admitted = [(client, answer) for client, answer in answers if answer.status == 200]
        assert len(admitted) == 12
        for one in (server, another):
            shown = await until_limits(one, holding=12, refused=48)
            assert len(shown["holders"]) == 12
            used = by_name(shown)["concurrency"]
            assert (used["used"], used["remaining"]) == (12, 0)
        await finish(upstream, admitted)
        await until_limits(server, holding=0, refused=48)
        assert len(await heartbeats(server)) == 2
        another.send(signal.SIGTERM)
        assert await another.ended() == 0
        (left,) = await heartbeats(server)
        await until_limits(server, holding=0, refused=left["report"]["refused"]["concurrency"])
        upstream.gate.clear()
        admitted = await burst(server, 20)
        assert len(admitted) == 12
        await finish(upstream, admitted)

    @pytest.mark.gen_test(timeout=60)
    async def test_while_the_database_hangs_both_workers_say_that_the_server_decides_alone(self, server, upstream):
        upstream.gate.set()
        await finish(upstream, await burst(server, 8))
        (mongod,) = [child for child in server.children() if "mongod" in command_line(child)[0]]
        os.kill(mongod, signal.SIGSTOP)
        try:
            await asyncio.to_thread(
                server.stderr.find, "WARNING storage.admission.cluster: limits are server-local until the database"
            )
            states = await asyncio.gather(*(server.get("/readyz") for _ in range(8)))
            assert {state["limits"] for _, state in states} == {SERVER_LOCAL}
        finally:
            os.kill(mongod, signal.SIGCONT)
        await asyncio.to_thread(server.stderr.find, "INFO storage.admission.cluster: the database is available")
        while {(await server.get("/readyz"))[1]["limits"] for _ in range(8)} != {"ok"}:
            pass
        assert [line for line in server.stderr.so_far() if "supervisor" in line] == []


class TestRates:
    @pytest.fixture
    def flags(self):
        return (*CLUSTER, "--aibridge-rate-limit", "4", "--aibridge-rate-window", "1000s")

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
