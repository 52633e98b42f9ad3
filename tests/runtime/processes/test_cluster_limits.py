"""Servers of two workers each that share limits in MongoDB: the supervisor of each calls the database for both."""

import asyncio
import os
import signal

import pytest

from storage.mongo.embedded import running_uri
from tests.polling import PAUSE_SECONDS
from tests.runtime.processes.bursts import begin, burst, by_name, fill, finish, limits, replace_worker, until_free
from tests.server_process import await_end, command_line

pytest_plugins = ["tests.runtime.processes.two_workers_plugin"]

FLAGS = ("--limits-scope", "cluster", "--max-concurrency", "6")
RATE = ("--rate-limit", "1000", "--rate-window", "1000s")
# Heartbeats are seconds apart, and each look takes the processor from two servers.
HEARTBEAT_PAUSE_SECONDS = 10 * PAUSE_SECONDS
SERVER_LOCAL = "server-local: the database is unavailable"


async def heartbeats(server):
    """What the servers of the cluster say of themselves, in the database."""
    with server.database() as database:
        return await database.members.find({"limits": {"$exists": True}}).to_list(None)


async def until_used(server, number):
    """Wait until so many calls have a slot, by what a server says of all."""
    while by_name(await limits(server))["concurrency"]["used"] != number:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(HEARTBEAT_PAUSE_SECONDS)


async def until_counted(server, number):
    """Wait until so many calls of its only user count towards the rate limit: permits that were not used go back."""
    while by_name(await limits(server))["rate"]["keys"][0]["used"] != number:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(PAUSE_SECONDS)


async def states(server):
    """What some requests, which any of its workers may answer, say of the limits of a server."""
    return {said["limits"] for _, said in await asyncio.gather(*(server.get("/readyz") for _ in range(8)))}


@pytest.fixture
def flags():
    return (*FLAGS, *RATE)


@pytest.mark.gen_test(timeout=120)
async def test_slots_and_rates_outlive_the_workers_of_a_server(server, upstream):
    admitted = await burst(server, 12)
    assert len(admitted) == 6
    found = await limits(server)
    assert (found["scope"], found["state"]) == ("cluster", "ok")
    used = by_name(found)["concurrency"]
    assert (used["used"], used["remaining"]) == (6, 0)
    assert (await server.get("/readyz"))[1]["limits"] == "ok"
    assert len(await heartbeats(server)) == 1
    await finish(upstream, admitted)
    await until_free(server)
    upstream.gate.clear()

    await until_counted(server, 6)
    before = server.workers()
    server.send(signal.SIGHUP)
    await asyncio.to_thread(server.stderr.find, "INFO aibridge: rolling restart finished$")
    assert server.workers().isdisjoint(before)
    await until_counted(server, 6)

    await replace_worker(server, upstream, await fill(server, 6))


@pytest.fixture
def another(server_with_mongodb, run, upstream, data_dir, flags):
    return run(data_dir.parent / "another", upstream, *flags, mongodb_uri=running_uri(data_dir))


@pytest.mark.gen_test(timeout=120)
async def test_two_servers_share_one_limit_and_one_that_is_killed_leaves_no_process(
    server_with_mongodb, another, upstream
):
    server = server_with_mongodb
    calls = [begin(one) for one in (server, another) * 6]
    responses = await asyncio.gather(*calls)
    admitted = [(client, response) for client, response in responses if response.status == 200]
    assert len(admitted) == 6
    for one in (server, another):
        used = by_name(await limits(one))["concurrency"]
        assert (used["used"], used["remaining"]) == (6, 0)
    await finish(upstream, admitted)
    await until_used(server, 0)
    assert len(await heartbeats(server)) == 2
    another.send(signal.SIGTERM)
    assert await another.ended() == 0
    assert len(await heartbeats(server)) == 1
    await until_used(server, 0)
    upstream.gate.clear()
    admitted = await burst(server, 10)
    assert len(admitted) == 6
    await finish(upstream, admitted)

    (mongod,) = [child for child in server.children() if "mongod" in command_line(child)[0]]
    os.kill(mongod, signal.SIGSTOP)
    try:
        while await states(server) != {SERVER_LOCAL}:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(HEARTBEAT_PAUSE_SECONDS)
    finally:
        os.kill(mongod, signal.SIGCONT)
    await asyncio.to_thread(server.stderr.find, "INFO storage.admission.cluster: the database is available")
    while await states(server) != {"ok"}:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(HEARTBEAT_PAUSE_SECONDS)
    assert [line for line in server.stderr.so_far() if "supervisor" in line] == []

    children = server.children()
    assert len(children) == 3
    server.send(signal.SIGKILL)
    assert await server.ended() == -signal.SIGKILL
    for child in children:
        await_end(child)
