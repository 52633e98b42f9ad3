"""Fallback and weights of a server of two workers: real workers, two providers, real sockets."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.handlers.conversations import MESSAGES
from tests.runtime.processes.bursts import limits
from tests.runtime.processes.two_workers import PATH, Upstream

pytest_plugins = ["tests.runtime.processes.two_workers_plugin"]

SESSIONS = 8


@pytest.fixture
def spare(io_loop):
    """The upstream of the provider that stands in."""
    spare = io_loop.run_sync(Upstream.start)
    yield spare
    io_loop.run_sync(spare.stop)


@pytest.fixture
def server(run, upstream, spare, data_dir, where):
    """A running server of two workers that share the load of two providers."""
    return run(
        *(data_dir, upstream, "--aibridge-anthropic-fallback", "spare", "--aibridge-anthropic-weight", "1"),
        **where,
        CODER_AIBRIDGE_PROVIDER_0_NAME="spare",
        CODER_AIBRIDGE_PROVIDER_0_TYPE="anthropic",
        CODER_AIBRIDGE_PROVIDER_0_BASE_URL=spare.url,
        CODER_AIBRIDGE_PROVIDER_0_WEIGHT="1",
    )


async def send(server, session):
    """Make a call of a session on a connection of its own; the name of the provider that answered."""
    client = await server.client()
    headers = {"X-Api-Key": server.token, "User-Agent": "claude-cli/2", "X-Claude-Code-Session-Id": session}
    response = await client.request("POST", PATH, headers, MESSAGES.request_body(stream=False))
    assert (response.status, response.body) == (200, MESSAGES.body)
    return response.header("X-AI-Bridge-Provider") or "anthropic"


async def ask_both(server, sessions):
    """Make a call of each session, again and again until both workers have served some; the names that answered, in order."""
    before, names = await server.recorded(), []
    served = Counter(one["instance_id"] for one in before)
    while len(Counter(one["instance_id"] for one in await server.recorded()) - served) < 2:
        names += await asyncio.gather(*(send(server, session) for session in sessions))
        await server.ended_as("completed", len(before) + len(names))
    return names


@pytest.mark.gen_test(timeout=90)
async def test_workers_send_a_session_to_one_provider_and_fall_back_alike(server, upstream, spare):
    sessions = [f"s-{number % SESSIONS}" for number in range(2 * SESSIONS)]
    names = await ask_both(server, sessions)
    went = dict(zip(sessions, names[-len(sessions) :], strict=True))
    assert [went[session] for session in sessions] * (len(names) // len(sessions)) == names
    assert set(names) == {"anthropic", "spare"}
    shares = Counter(names)
    upstream.is_limited = True
    names = await ask_both(server, sessions)
    assert set(names) == {"spare"}
    moved = sum(went[session] == "anthropic" for session in sessions) * (len(names) // len(sessions))
    assert (len(upstream.requests), len(spare.requests)) == (shares["anthropic"] + moved, shares["spare"] + len(names))
    records = await server.recorded()
    assert Counter(one["provider_name"] for one in records) == {
        "anthropic": shares["anthropic"],
        "spare": shares["spare"] + len(names),
    }
    tries = [[(each["provider_name"], each["status"]) for each in one["tries"]] for one in records if one.get("tries")]
    assert tries == [[("anthropic", 429), ("spare", 200)]] * moved
    assert await server.metric("provider_fallbacks_total") == moved
    assert (await limits(server))["holding"] == 0
