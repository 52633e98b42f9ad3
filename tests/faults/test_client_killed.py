"""A client dies in the middle of a stream, at any place."""

from __future__ import annotations

import asyncio

import pytest

from handlers.dataplane.relay import REST_SECONDS
from tests.faults.audit import usage
from tests.faults.calls import STREAM_HEAD, Call, chunk
from tests.faults.waiting import until
from tests.raw_client import RawClient

FREE_SECONDS = 1.0 + REST_SECONDS  # where its usage is about to come, the rest of a stream is awaited
CAPACITY = 503
# An orderly end when the dead client had read all there was, a reset when it had not.
DEATHS = (RawClient.close, RawClient.reset)
# From a call to the next one of the same API, streaming too.
SAME_KIND = 6
FIRST_PROBE = 5_001

LEFT, COMPLETED = ("failed", "client_disconnected"), ("completed", "completed")


def nothing(_call):
    return None


def at_the_start(call):
    return call.tokens | {"output_tokens": 1, "source": "partial"}


def before_the_end(call):
    return call.tokens | {"source": "partial"}


def whole(call):
    return call.tokens | {"source": "provider"}


# Of each API: its first streaming call; and how the record ends, with what usage, by the number of events that were seen.
STORIES = {
    "chat completions": (
        1_002,
        {
            0: (LEFT, nothing),
            1: (LEFT, nothing),
            2: (LEFT, nothing),
            3: (LEFT, nothing),
            4: (LEFT, before_the_end),
            5: (COMPLETED, whole),
        },
    ),
    "responses": (1_003, {0: (LEFT, nothing), 1: (LEFT, nothing), 2: (LEFT, nothing), 3: (COMPLETED, whole)}),
    "messages": (
        1_004,
        {
            0: (LEFT, nothing),
            1: (LEFT, at_the_start),
            4: (LEFT, at_the_start),
            5: (COMPLETED, whole),
            6: (COMPLETED, whole),
        },
    ),
}

pytestmark = [pytest.mark.faults, pytest.mark.server(CODER_AIBRIDGE_MAX_CONCURRENCY="1")]


class Bystander:
    """Watches a bridge that one call fills."""

    def __init__(self, scenario, token):
        self._scenario = scenario
        self._headers = {"X-Api-Key": token}
        self._probes = map(Call.numbered, range(FIRST_PROBE, 100_000, SAME_KIND))

    async def begin(self, call, *script):
        """Begin a call that the provider answers by script; return its client."""
        self._scenario.provider.scripts = [script]
        client = await self._server.client()
        await client.send("POST", call.path, self._headers, call.request)
        return client

    async def watch(self, die, client):
        """Let the only client die; expect that the provider loses its connection and another call is admitted soon."""
        self._scenario.provider.scripts = []
        assert not await self._is_free()
        die(client)
        async with asyncio.timeout(FREE_SECONDS):
            await self._scenario.provider.requests[-1].closed.wait()
            await until(self._is_free, FREE_SECONDS)

    async def _is_free(self):
        call, client = next(self._probes), await self._server.client()
        response = await client.request("POST", call.path, self._headers, call.request)
        await client.closed()
        assert response.status in {200, CAPACITY}
        return response.status != CAPACITY

    @property
    def _server(self):
        return self._scenario.deployment.processes[-1]


@pytest.fixture
def bystander(scenario, token):
    return Bystander(scenario, token)


@pytest.mark.parametrize("die", DEATHS)
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.gen_test(timeout=60)
async def test_a_client_killed_mid_stream_frees_everything_and_has_a_record(story, die, scenario, bystander):
    await scenario.deployment.start()
    first, ends = STORIES[story]
    calls = {events: Call.numbered(first + SAME_KIND * turn) for turn, events in enumerate(ends)}
    found = {}
    for events, call in calls.items():
        sent = call.events[:events]
        client = await bystander.begin(call, STREAM_HEAD + b"".join(map(chunk, sent)), asyncio.Event())
        response = await client.head()
        while len(response.body) < len(b"".join(sent)):
            assert await client.piece(response)
        assert response.body == b"".join(sent)
        await bystander.watch(die, client)
        document = await scenario.records.ended(call)
        assert str(document["_id"]) == response.header("X-AI-Bridge-Interception-Id")
        found[events] = (document["status"], document["end_reason"]), usage(document)
    assert found == {events: (end, tokens(calls[events])) for events, (end, tokens) in ends.items()}


@pytest.mark.parametrize("die", DEATHS)
@pytest.mark.gen_test(timeout=60)
async def test_a_client_that_dies_before_the_provider_answers_frees_everything_at_once(die, scenario, bystander):
    await scenario.deployment.start()
    call = Call.numbered(1_004)
    client = await bystander.begin(call, asyncio.Event())
    await scenario.provider.request()
    await bystander.watch(die, client)
    document = await scenario.records.ended(call)
    assert (document["status"], document["end_reason"], usage(document)) == (*LEFT, None)
