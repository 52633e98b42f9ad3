"""Changes of users by another process are known here within 2 s, with a change stream or without."""

from __future__ import annotations

import asyncio
import time

import pytest

from storage.accounts.groups import Groups
from storage.accounts.identities import Identities, Role
from storage.accounts.tokens.text import FRESH_SECONDS
from storage.live.change_stream import ChangeStream
from storage.live.user_changes import UNFOLLOWED_SECONDS, follow_users
from storage.mongo.database import DatabaseUnavailableError
from tests.storage.conditions import until
from tests.storage.records import NOON


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def here(database, clock):
    return Identities(database, now=lambda: NOON, monotonic=clock)


@pytest.fixture
def elsewhere(database):
    return Identities(database, now=lambda: NOON, monotonic=lambda: 0.0)


@pytest.fixture
def following(io_loop, database, here, clock):
    """Follows from the start of the test to its end."""

    async def begin():
        return asyncio.create_task(follow_users(database, here, monotonic=clock))

    async def end():
        task.cancel()
        await asyncio.wait({task})

    task = io_loop.run_sync(begin)
    yield task
    io_loop.run_sync(end)


async def followed(here, clock):
    """Wait until changes are followed, and what was verified before is known to have been so."""
    assert here.fresh_seconds == UNFOLLOWED_SECONDS
    clock.seconds += UNFOLLOWED_SECONDS
    while here.fresh_seconds != FRESH_SECONDS:
        clock.seconds += UNFOLLOWED_SECONDS
        await asyncio.sleep(0.01)


async def seen(here, token, is_it):
    """Wait until the user of a token is so."""
    deadline = time.monotonic() + 20
    while not is_it((await here.authenticate(token)).user):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.gen_test
async def test_a_membership_that_another_process_changed_is_known_without_waiting(
    here, elsewhere, clock, following, database
):
    groups = Groups(database, elsewhere, now=lambda: NOON)
    user = await elsewhere.add_user("ada", role=Role.MEMBER)
    group = await groups.add("research")
    _, token = await elsewhere.create_token("ada")
    await asyncio.sleep(0)
    await followed(here, clock)
    assert (await here.authenticate(token)).user == user
    await groups.add_members("research", ["ada"])
    # The clock stands still: without the stream the user would be remembered for ever.
    await seen(here, token, lambda user: user.group_ids == (group.id,))
    await elsewhere.change_user("ada", role=Role.AUDITOR)
    await seen(here, token, lambda user: user.role is Role.AUDITOR)
    assert not following.done()


@pytest.mark.gen_test
async def test_while_changes_are_not_followed_tokens_are_verified_more_often(here, clock, database, monkeypatch):
    class Lost:
        async def read(self, _):
            raise DatabaseUnavailableError("gone")

        async def close(self):
            pass

    opened = []

    async def open_(*_, **__):
        opened.append(here.fresh_seconds)
        return Lost()

    monkeypatch.setattr(ChangeStream, "open", open_)
    pauses = []

    async def pause(seconds):
        pauses.append((seconds, here.fresh_seconds))
        if len(pauses) == 2:
            await asyncio.Event().wait()

    task = asyncio.create_task(follow_users(database, here, monotonic=clock, pause=pause))
    await until(lambda: len(pauses) == 2)
    task.cancel()
    await asyncio.wait({task})
    assert (opened, pauses) == ([UNFOLLOWED_SECONDS] * 2, [(1.0, UNFOLLOWED_SECONDS)] * 2)


@pytest.mark.gen_test
async def test_a_single_server_has_tokens_verified_every_two_seconds(here, clock, single_server):
    await follow_users(single_server, here, monotonic=clock)
    assert here.fresh_seconds == UNFOLLOWED_SECONDS
