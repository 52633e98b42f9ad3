"""Bursts of streams on servers of two workers, and `GET /limits` during them."""

from __future__ import annotations

import asyncio

LIMITS = "/api/v2/aibridge/limits"


async def begin(server):
    """Begin a stream on a connection of its own: the client, and the answer's head."""
    client = await server.client()
    return client, await server.call(client, stream=True)


async def burst(server, number):
    """Begin so many streams at the same time: those that were admitted."""
    calls = await asyncio.gather(*(begin(server) for _ in range(number)))
    statuses = [answer.status for _, answer in calls]
    assert set(statuses) <= {200, 429, 503}, statuses
    return [(client, answer) for client, answer in calls if answer.status == 200]


async def finish(upstream, calls):
    """Let streams go on, and read them to their end."""
    upstream.gate.set()
    for client, answer in calls:
        await client.rest(answer)


async def limits(server):
    """What `GET /limits` says."""
    status, shown = await server.get(LIMITS, server.token)
    assert status == 200
    return shown


def by_name(shown):
    return {limit["name"]: limit for limit in shown["limits"]}
