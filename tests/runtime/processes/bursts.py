"""Bursts of streams on servers of two workers, and `GET /limits` during them."""

import asyncio
import os
import signal

from tests.polling import PAUSE_SECONDS

LIMITS = "/api/v2/aibridge/limits"


async def begin(server):
    """Begin a stream on a connection of its own: the client, and the answer's head."""
    client = await server.client()
    return client, await server.call(client, stream=True)


async def burst(server, number):
    """Begin so many streams at the same time: those that were admitted. The connections of the others are closed."""
    calls = await asyncio.gather(*(begin(server) for _ in range(number)))
    statuses = [response.status for _, response in calls]
    assert set(statuses) <= {200, 429, 503}, statuses
    for client, response in calls:
        if response.status != 200:
            await client.closed()
    return [(client, response) for client, response in calls if response.status == 200]


async def finish(upstream, calls):
    """Let streams go on, read them to their end, and close their connections: a worker that retires waits for these."""
    upstream.gate.set()
    for client, response in calls:
        await client.rest(response)
        await client.closed()


async def limits(server):
    status, resource = await server.get(LIMITS, server.token)
    assert status == 200
    return resource


async def until_free(server):
    """Wait until no call has a slot any more: it is given back just after its client has read the end."""
    while by_name(await limits(server))["concurrency"]["used"]:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(PAUSE_SECONDS)


async def fill(server, number):
    """Begin a stream on each worker, and more until that many are under way: by worker."""
    streams = await server.streams()
    while sum(map(len, streams.values())) < number:
        client, response, pid = await server.stream()
        streams[pid].append((client, response))
    return streams


async def replace_worker(server, upstream, streams):
    """Kill a worker of a full server: its slots, and no others, are free before another worker takes its place.

    Args:
        server: A server whose calls all stream.
        upstream: Holds them back.
        streams: They, by worker.
    """
    victim, survivor = streams
    assert await burst(server, 3) == []
    os.kill(victim, signal.SIGKILL)
    for client, response in streams[victim]:
        await client.rest(response)
        assert not response.whole
    killed = rf"WARNING aibridge: worker {victim} was killed by SIGKILL: starting another$"
    await asyncio.to_thread(server.stderr.find, killed)
    admitted = await burst(server, 10)
    assert len(admitted) == len(streams[victim])
    await finish(upstream, admitted + streams[survivor])


def by_name(resource):
    return {limit["name"]: limit for limit in resource["limits"]}
