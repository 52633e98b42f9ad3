import asyncio

import pytest
from pymongo.errors import WriteError

from storage.accounts.audit import Author
from storage.accounts.identities import Identities
from storage.accounts.sign_in.devices import Devices
from storage.accounts.users import Role
from tests.storage.records import NOON


@pytest.fixture
def identities(database):
    return Identities(database, now=lambda: NOON, monotonic=lambda: 0.0, tokens_per_user=2)


@pytest.fixture
def programs(database, identities):
    return Devices(database, identities, now=lambda: NOON)


@pytest.fixture
def ada(io_loop, identities):
    return io_loop.run_sync(lambda: identities.add_user("ada", role=Role.MEMBER))


async def test_of_those_who_fetch_at_the_same_moment_one_gets_the_token(programs, identities, ada):
    codes = await programs.begin("program", "192.0.2.1")
    await programs.answer(codes.user_code, allow=True, author=Author(ada))
    found = await asyncio.gather(*(programs.fetch(codes.device_code) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, tuple) for one in found) == 1
    assert len(await identities.list_tokens("ada")) == 1


async def test_a_program_asks_again_where_the_database_fails_while_its_token_is_made(
    programs, identities, ada, database
):
    codes = await programs.begin("program", "192.0.2.1")
    await programs.answer(codes.user_code, allow=True, author=Author(ada))
    for validator in ({"action": "nothing"}, {}):
        await database.audit.database.command("collMod", "audit", validator=validator)
        if validator:
            with pytest.raises(WriteError):
                await programs.fetch(codes.device_code)
    token, _ = await programs.fetch(codes.device_code)
    assert [one.id for one in await identities.list_tokens("ada")] == [token.id]
