"""A server of two workers, as operators run it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from runtime.processes import worker
from storage.mongo.embedded import running_uri
from tests.handlers.conversations import MESSAGES
from tests.polling import PAUSE_SECONDS
from tests.runtime.processes.two_workers import FIRST
from tests.server_process import await_end
from tests.storage.recording.outbox.test_left_records import leave_behind

pytest_plugins = ["tests.runtime.processes.two_workers_plugin"]


@pytest.fixture
def left_behind(io_loop, data_dir):
    """The spool of servers that were here before: the calls 1 to 3, which ended."""

    async def leave() -> None:
        await leave_behind(data_dir / "spool", 1)  # by a server of one process
        await leave_behind(data_dir / "spool/1", 2)  # by a worker whose folder is taken again
        await leave_behind(data_dir / "spool/9", 3)  # by one of more workers

    io_loop.run_sync(leave)


@pytest.fixture
def server_after_others(left_behind, server_with_mongodb):
    """A server of two workers that finds it."""
    return server_with_mongodb


async def whole(calls):
    """Read streams to their end, which is that of the upstream's."""
    for client, response in calls:
        await client.rest(response)
        assert (bytes(response.body), response.whole) == (MESSAGES.stream, True)
        await client.closed()


@pytest.mark.gen_test(timeout=120)
async def test_two_workers_record_serve_and_drain_as_one_and_leave_nothing(server_after_others, upstream, data_dir):
    server = server_after_others
    await server.ended_as("completed", 3)
    assert {document["_id"].int for document in await server.recorded()} == {1, 2, 3}
    while list((data_dir / "spool/9").glob("*.journal")):  # goes a moment after its last record
        await server.recorded()

    calls = [one for of_worker in (await server.streams()).values() for one in of_worker]
    assert await server.metric("interceptions_inflight") == len(calls)
    upstream.gate.set()
    await whole(calls)
    await server.ended_as("completed", 3 + len(calls))
    for _ in range(4):
        assert await server.metric("interceptions_total") == len(calls)
        assert await server.metric("interceptions_inflight") == 0
    assert len(server.workers()) == 2
    assert len(list((data_dir / "metrics").iterdir())) == 1  # not what a killed server left

    upstream.gate.clear()
    streams = await server.streams()
    children = server.children()
    server.send(signal.SIGTERM)
    for pid, of_worker in streams.items():
        await asyncio.to_thread(
            server.stderr.find, rf"INFO aibridge: worker {pid}: draining: {len(of_worker)} requests in progress$"
        )
    assert (await server.get("/readyz"))[0] == 503
    upstream.gate.set()
    await whole([one for of_worker in streams.values() for one in of_worker])
    assert await server.ended() == 0
    for child in children:
        await_end(child)
    assert list((data_dir / "spool").rglob("*.journal")) == []
    assert list((data_dir / "metrics").iterdir()) == []
    assert running_uri(data_dir) is None
    servers = data_dir.parent / f"aibridge-servers-{os.geteuid()}"  # one folder of an account, which stays
    assert sorted(data_dir.parent.iterdir()) == [servers, data_dir]
    assert list(servers.iterdir()) == []


class Load:
    """Clients that call until told to stop, on a kept connection and on fresh ones; all must be served whole."""

    def __init__(self, server):
        self.calls = 0
        self._server = server
        self._stopping = False

    async def keep_calling(self, *, kept):
        client = await self._server.client()
        while not self._stopping:
            response = await self._server.call(client)
            await client.rest(response)
            assert (response.status, bytes(response.body)) == (200, MESSAGES.body)
            self.calls += 1
            await asyncio.sleep(PAUSE_SECONDS)  # what more calls would take is what workers need to start
            if not kept or response.header("Connection") == "close":
                await client.closed()
                client = await self._server.client()

    async def stop(self, clients):
        self._stopping = True
        await asyncio.gather(*clients)


@pytest.mark.gen_test(timeout=120)
async def test_a_restart_cuts_nothing_a_death_its_own_calls_and_a_second_signal_all(server, upstream):
    before = server.workers()
    streams = [one for of_worker in (await server.streams()).values() for one in of_worker]
    load = Load(server)
    clients = [asyncio.create_task(load.keep_calling(kept=kept)) for kept in (True, False)]
    server.send(signal.SIGHUP)
    await asyncio.to_thread(server.stderr.find, r"INFO aibridge: worker \d+: retiring$")
    at_retirement = load.calls
    while load.calls < at_retirement + 8:  # noqa: ASYNC110 - calls go on while the first worker waits for its streams
        await asyncio.sleep(PAUSE_SECONDS)
    upstream.gate.set()
    await whole(streams)
    await asyncio.to_thread(server.stderr.find, "INFO aibridge: rolling restart finished$")
    await load.stop(clients)
    after = server.workers()
    assert (len(before), len(after), before & after) == (2, 2, set())
    completed = load.calls + len(streams)
    await server.ended_as("completed", completed)
    assert len(await server.recorded()) == completed
    assert [line for line in server.stderr.so_far() if " INFO " not in line] == []
    assert await server.metric("interceptions_total") == completed

    upstream.gate.clear()
    victim, survivor = streams = await server.streams()
    os.kill(victim, signal.SIGKILL)
    for client, response in streams[victim]:
        await client.rest(response)
        assert (bytes(response.body), response.whole) == (FIRST, False)
    await server.ended_as("server_crashed", len(streams[victim]))
    upstream.gate.set()
    await whole(streams[survivor])
    await server.ended_as("completed", completed + len(streams[survivor]))
    killed = rf"WARNING aibridge: worker {victim} was killed by SIGKILL: starting another$"
    await asyncio.to_thread(server.stderr.find, killed)
    while len(workers := server.workers() - {victim}) < 2:  # noqa: ASYNC110 - a start takes a moment
        await asyncio.sleep(PAUSE_SECONDS)
    (replacement,) = workers - {survivor}
    await asyncio.to_thread(server.stderr.find, rf"INFO aibridge: worker {replacement} serves$")
    assert server.workers() == {survivor, replacement}
    assert await server.metric("interceptions_inflight") == 0

    upstream.gate.clear()
    streams = await server.streams()
    children = server.children()
    server.send(signal.SIGTERM)
    for pid, of_worker in streams.items():
        drains = rf"INFO aibridge: worker {pid}: draining: {len(of_worker)} requests in progress$"
        await asyncio.to_thread(server.stderr.find, drains)
    with pytest.raises(subprocess.TimeoutExpired):
        server.wait(0.6)
    server.send(signal.SIGTERM)
    assert await server.ended() == 1
    for child in children:
        await_end(child)


def test_a_setting_that_has_become_wrong_is_told_to_the_supervisor(monkeypatch):
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile() as responses, theirs.makefile() as requests:
        monkeypatch.setattr(worker, "SUPERVISOR", theirs.fileno())
        monkeypatch.setattr(sys, "stdin", requests)
        handover = {"flags": {"rate-limit": "x"}, "sockets": [], "mongodb_uri": "", "demo_url": ""}
        ours.sendall(json.dumps(handover).encode() + b"\n")
        with pytest.raises(SystemExit, match=r"^1$"):
            worker.main()
        expected = "--rate-limit: 'x' is not allowed; give a whole number, 0 (off) or more\n"
        assert responses.readline() == expected
