from __future__ import annotations

import pytest

from storage.accounts import authentication as active_tokens_module
from storage.accounts.authentication import ActiveTokens
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from tests.storage.records import NOON

UNKNOWN = "abcdefghij-0123456789abcdefghijkl"


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tokens(database, clock):
    return ActiveTokens(database, now=lambda: NOON, monotonic=clock)


@pytest.fixture
def identities(database, clock):
    return Identities(database, now=lambda: NOON, monotonic=clock)


@pytest.mark.gen_test
async def test_without_the_database_every_token_may_be_one(unreachable, clock, monkeypatch):
    monkeypatch.setattr(active_tokens_module, "READ_SECONDS", 0.02)
    tokens = ActiveTokens(unreachable, now=lambda: NOON, monotonic=clock)
    assert await tokens.may_have(UNKNOWN)
    assert await tokens.may_have(UNKNOWN)


@pytest.mark.gen_test
async def test_what_is_created_while_they_are_read_is_no_guess(tokens, identities, monkeypatch):
    await identities.add_user("ada", role=Role.OWNER)
    read, created = tokens._read, []

    async def read_before_it_is_created():
        found = await read()
        if not created:
            created.append((await identities.create_token("ada"))[1])
            tokens.forget()
        return found

    monkeypatch.setattr(tokens, "_read", read_before_it_is_created)
    assert not await tokens.may_have(UNKNOWN)
    assert await tokens.may_have(*created)
