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

from runtime.processes.worker import SharedSocket
from storage.mongo.embedded import running_uri
from tests.handlers.conversations import MESSAGES
from tests.runtime.processes.two_workers import FIRST, TwoWorkers
from tests.server_process import ROOT, ServerProcess, await_end
from tests.storage.recording.outbox.test_spool_folders import leave_behind

pytest_plugins = ["tests.runtime.processes.two_workers_plugin"]


@pytest.mark.gen_test(timeout=60)
async def test_two_workers_serve_on_one_port_and_one_scrape_shows_both(server, upstream):
    calls = [one for of_worker in (await server.streams()).values() for one in of_worker]
    assert await server.metric("interceptions_inflight") == len(calls)
    upstream.gate.set()
    for client, answer in calls:
        await client.rest(answer)
        assert (bytes(answer.body), answer.whole) == (MESSAGES.stream, True)
    await server.ended_as("completed", len(calls))
    for _ in range(4):
        assert await server.metric("interceptions_total") == len(calls)
        assert await server.metric("interceptions_inflight") == 0
    assert len(server.workers()) == 2


@pytest.mark.gen_test(timeout=60)
async def test_a_worker_that_is_killed_is_replaced_and_its_calls_end_as_crashed(server, upstream):
    streams = await server.streams()
    victim, survivor = streams
    os.kill(victim, signal.SIGKILL)
    for client, answer in streams[victim]:
        await client.rest(answer)
        assert (bytes(answer.body), answer.whole) == (FIRST, False)
    await server.ended_as("server_crashed", len(streams[victim]))
    upstream.gate.set()
    for client, answer in streams[survivor]:
        await client.rest(answer)
        assert (bytes(answer.body), answer.whole) == (MESSAGES.stream, True)
    await server.ended_as("completed", len(streams[survivor]))
    server.stderr.find(rf"WARNING aibridge: worker {victim} was killed by SIGKILL: starting another$")
    replacement = int(server.stderr.find(r"INFO aibridge: worker (\d+) serves$")[1])
    assert server.workers() == {survivor, replacement}
    assert await server.metric("interceptions_inflight") == 0


@pytest.mark.gen_test(timeout=60)
async def test_on_sigterm_every_worker_drains_and_nothing_is_left_running(server, upstream, data_dir):
    streams = await server.streams()
    children = server.children()
    server.send(signal.SIGTERM)
    for pid, of_worker in streams.items():
        server.stderr.find(rf"INFO aibridge: worker {pid}: draining: {len(of_worker)} requests in progress$")
    assert (await server.get("/readyz"))[0] == 503
    upstream.gate.set()
    for client, answer in [one for of_worker in streams.values() for one in of_worker]:
        await client.rest(answer)
        assert (bytes(answer.body), answer.whole) == (MESSAGES.stream, True)
    assert await server.ended() == 0
    for child in children:
        await_end(child)
    assert running_uri(data_dir) is None
    servers = data_dir.parent / f"aibridge-servers-{os.geteuid()}"  # one folder of an account, which stays
    assert sorted(data_dir.parent.iterdir()) == [servers, data_dir]
    assert list(servers.iterdir()) == []


@pytest.mark.gen_test(timeout=60)
async def test_a_supervisor_that_is_killed_leaves_no_process(server):
    children = server.children()
    assert len(children) == 3
    server.send(signal.SIGKILL)
    assert await server.ended() == -signal.SIGKILL
    for child in children:
        await_end(child)


@pytest.mark.gen_test(timeout=60)
async def test_a_second_signal_ends_every_process_at_once(server):
    await server.streams()
    children = server.children()
    server.send(signal.SIGTERM)
    server.stderr.find("draining")
    with pytest.raises(subprocess.TimeoutExpired):
        server.wait(0.6)
    server.send(signal.SIGTERM)
    assert await server.ended() == 1
    for child in children:
        await_end(child)


class Load:
    """Clients that call until told to stop, on kept connections and on fresh ones; all must be served whole."""

    def __init__(self, server):
        self.calls = 0
        self._server = server
        self._stopping = False

    async def keep_calling(self, *, kept):
        client = await self._server.client()
        while not self._stopping:
            answer = await self._server.call(client)
            await client.rest(answer)
            assert (answer.status, bytes(answer.body)) == (200, MESSAGES.body)
            self.calls += 1
            if not kept or answer.header("Connection") == "close":
                await client.closed()
                client = await self._server.client()

    async def stop(self, clients):
        self._stopping = True
        await asyncio.gather(*clients)


@pytest.mark.gen_test(timeout=60)
async def test_a_rolling_restart_under_load_refuses_and_cuts_nothing(server, upstream):
    before = server.workers()
    streams = [one for of_worker in (await server.streams()).values() for one in of_worker]
    load = Load(server)
    clients = [asyncio.create_task(load.keep_calling(kept=number % 2 == 0)) for number in range(6)]
    server.send(signal.SIGHUP)
    await asyncio.to_thread(server.stderr.find, r"INFO aibridge: worker \d+: retiring$")
    at_retirement = load.calls
    while load.calls < at_retirement + 20:  # noqa: ASYNC110 - calls go on while the first worker waits for its streams
        await asyncio.sleep(0.01)
    upstream.gate.set()
    for client, answer in streams:
        await client.rest(answer)
        assert (bytes(answer.body), answer.whole) == (MESSAGES.stream, True)
        await client.closed()
    await asyncio.to_thread(server.stderr.find, "INFO aibridge: rolling restart finished$")
    await load.stop(clients)
    after = server.workers()
    assert (len(before), len(after), before & after) == (2, 2, set())
    await server.ended_as("completed", load.calls + len(streams))
    assert len(await server.recorded()) == load.calls + len(streams)
    assert [line for line in server.stderr.so_far() if " INFO " not in line] == []
    assert await server.metric("interceptions_total") == load.calls + len(streams)


@pytest.mark.gen_test(timeout=60)
async def test_what_workers_that_are_gone_left_in_the_spool_is_recorded(io_loop, upstream, data_dir):
    spool = data_dir / "spool"
    await leave_behind(spool, 1)  # by a server of one process
    await leave_behind(spool / "1", 2)  # by a worker whose folder is taken again
    await leave_behind(spool / "9", 3)  # by one of more workers
    server = TwoWorkers(data_dir, upstream)
    await server.ready()
    await server.ended_as("completed", 3)
    assert {document["_id"].int for document in await server.recorded()} == {1, 2, 3}
    while list((spool / "9").glob("*.journal")):  # goes a moment after its last record
        await server.recorded()
    server.send(signal.SIGTERM)
    assert await server.ended() == 0
    assert list(spool.rglob("*.journal")) == []
    server.kill()
    await server.leave()


def test_workers_that_cannot_start_are_said_in_one_line(tmp_path, database, mongodb_uri, database_name):
    file = tmp_path / "file"
    file.touch()
    flags = ("--aibridge-http-address", "127.0.0.1:0", "--aibridge-data-dir", file, "--aibridge-workers", "3")
    where = {"CODER_AIBRIDGE_MONGODB_URI": mongodb_uri, "CODER_AIBRIDGE_MONGODB_DATABASE": database_name}
    server = ServerProcess(*flags, **where)
    assert server.refused() == (
        1,
        f"Error: the data-dir {file} cannot be used: Not a directory: {file}/spool/1\n",
    )


def test_a_setting_that_has_become_wrong_is_told_to_the_supervisor():
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile() as answers:
        handover = {"flags": {"rate-limit": "x"}, "sockets": [], "mongodb_uri": "", "demo_url": ""}
        ours.sendall(json.dumps(handover).encode() + b"\n")
        process = subprocess.run(
            [sys.executable, "runtime/processes/worker.py"],
            cwd=ROOT,
            stdin=theirs.fileno(),
            capture_output=True,
            check=False,
        )
        answer = "--aibridge-rate-limit: 'x' is not allowed; give a whole number, 0 (off) or more\n"
        assert (process.returncode, answers.readline(), process.stdout, process.stderr) == (1, answer, b"", b"")


def test_a_shared_socket_yields_one_connection_per_turn():
    with socket.create_server(("127.0.0.1", 0)) as listening, SharedSocket(fileno=listening.detach()) as shared:
        shared.setblocking(False)
        with pytest.raises(BlockingIOError):
            shared.accept()
        clients = [socket.create_connection(shared.getsockname()) for _ in range(2)]
        for client in clients:
            accepted, address = shared.accept()
            accepted.close()
            assert address == client.getsockname()
            client.close()
            with pytest.raises(BlockingIOError):
                shared.accept()
        with pytest.raises(BlockingIOError):
            shared.accept()
