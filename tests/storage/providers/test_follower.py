import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from storage.mongo.database import DatabaseUnavailableError
from storage.providers.documents import ProviderSpec, StoredProvider
from storage.providers.follower import POLL_SECONDS, Following, ProviderFollower

AT = datetime(2026, 1, 1, tzinfo=UTC)
EAST = StoredProvider(UUID(int=1), ProviderSpec("east", "openai"), (), AT, AT, 1)
WEST = StoredProvider(UUID(int=2), ProviderSpec("west", "openai"), (), AT, AT, 1)


class Source:
    """What the database says, one answer after the other; None is that it is unavailable."""

    def __init__(self, *responses):
        self.answers = list(responses)
        self.told = []

    async def read(self):
        response = self.answers.pop(0)
        if response is None:
            raise DatabaseUnavailableError("gone")
        return response

    def follower(self, **more):
        return ProviderFollower(self.read, self.told.append, **more)


@pytest.mark.gen_test
async def test_what_is_new_is_told_once():
    source = Source([], [EAST], [EAST], [EAST, WEST], [WEST])
    follower = source.follower()
    for _ in range(5):
        await follower.refresh()
    assert source.told == [[], [EAST], [EAST, WEST], [WEST]]
    assert (follower.state, follower.describe()) == (Following.CURRENT, "")


@pytest.mark.gen_test
async def test_what_is_known_stays_while_the_database_is_unavailable(caplog):
    caplog.set_level("INFO")
    source = Source(None, [EAST], None, None, [EAST], [])
    follower = source.follower()
    states = []
    for _ in range(6):
        await follower.refresh()
        states.append((follower.state, list(follower._known or ())))
    unknown, current, behind = Following.UNKNOWN, Following.CURRENT, Following.BEHIND
    expected = [(unknown, []), (current, [EAST]), (behind, [EAST]), (behind, [EAST]), (current, [EAST]), (current, [])]
    assert states == expected
    assert source.told == [[EAST], []]
    assert caplog.messages == [
        "the providers in the database cannot be followed, as it is unavailable; what is known stays",
        "the providers in the database are followed again",
    ]


@pytest.mark.gen_test
async def test_it_reads_again_every_second():
    pauses = asyncio.Queue()
    gate = asyncio.Event()

    async def pause(seconds):
        await pauses.put(seconds)
        await gate.wait()
        gate.clear()

    source = Source([EAST], [])
    running = asyncio.create_task(source.follower(pause=pause).run())
    assert await pauses.get() == POLL_SECONDS == 1.0
    assert source.told == []
    gate.set()
    await pauses.get()
    gate.set()
    await pauses.get()
    assert source.told == [[EAST], []]
    running.cancel()
