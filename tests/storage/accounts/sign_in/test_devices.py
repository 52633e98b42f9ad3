from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest

from storage.accounts.audit import Author
from storage.accounts.identities import Identities
from storage.accounts.sign_in import devices
from storage.accounts.sign_in.device_states import PollError
from storage.accounts.sign_in.devices import DEVICE_SECONDS, POLL_SECONDS, TOKEN_DAYS, Devices, NoTokenError
from storage.accounts.users import Role, UnknownIdentityError
from storage.mongo.database import DatabaseUnavailableError

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def identities(database, clock):
    return Identities(database, now=clock, monotonic=lambda: 0.0, tokens_per_user=2)


@pytest.fixture
def programs(database, identities, clock):
    return Devices(database, identities, now=clock)


@pytest.fixture
def ada(io_loop, identities):
    return io_loop.run_sync(lambda: identities.add_user("ada", role=Role.MEMBER))


async def refusal(fetching):
    with pytest.raises(NoTokenError) as caught:
        await fetching
    return caught.value.why, str(caught.value)


@pytest.mark.gen_test
async def test_a_program_gets_a_token_of_who_allowed_it(programs, identities, ada):
    codes = await programs.begin("a\nprogram", "192.0.2.1")
    device = await programs.look_up(codes.user_code)
    assert (device.name, device.client_ip) == ("a program", "192.0.2.1")
    assert device.expires_at == NOON + timedelta(seconds=DEVICE_SECONDS)
    assert await refusal(programs.fetch(codes.device_code)) == (PollError.AUTHORIZATION_PENDING, "")
    await programs.answer(codes.user_code, allow=True, author=Author(ada, "192.0.2.2"))
    token, text = await programs.fetch(codes.device_code)
    assert (token.user_id, token.name, token.expires_at) == (ada.id, "a program", NOON + timedelta(days=TOKEN_DAYS))
    assert (await identities.authenticate(text)).user == ada


@pytest.mark.gen_test
async def test_of_those_who_fetch_at_the_same_moment_one_gets_the_token(programs, identities, ada):
    codes = await programs.begin("program", "192.0.2.1")
    await programs.answer(codes.user_code, allow=True, author=Author(ada))
    found = await asyncio.gather(*(programs.fetch(codes.device_code) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, tuple) for one in found) == 1
    assert len(await identities.list_tokens("ada")) == 1


@pytest.mark.gen_test
async def test_a_program_asks_again_where_the_database_fails_while_its_token_is_made(
    programs, identities, ada, monkeypatch
):
    codes = await programs.begin("program", "192.0.2.1")
    await programs.answer(codes.user_code, allow=True, author=Author(ada))
    with monkeypatch.context() as failing:
        failing.setattr(identities, "_audit", Mock(side_effect=DatabaseUnavailableError("no primary")))
        with pytest.raises(DatabaseUnavailableError):
            await programs.fetch(codes.device_code)
    token, _ = await programs.fetch(codes.device_code)
    assert [one.id for one in await identities.list_tokens("ada")] == [token.id]


@pytest.mark.gen_test
async def test_the_pace_of_asking_is_kept(programs, clock):
    codes = await programs.begin("program", "192.0.2.1")
    said = []
    for wait in (0, POLL_SECONDS, POLL_SECONDS - 1, POLL_SECONDS, POLL_SECONDS * 3):
        clock.now += timedelta(seconds=wait)
        said.append((await refusal(programs.fetch(codes.device_code)))[0].value)
    assert said == [
        *("authorization_pending", "authorization_pending", "slow_down", "slow_down", "authorization_pending")
    ]


@pytest.mark.gen_test
async def test_codes_end(programs, clock, ada):
    codes = await programs.begin("program", "192.0.2.1")
    clock.now += timedelta(seconds=DEVICE_SECONDS)
    assert (await refusal(programs.fetch(codes.device_code)))[0] is PollError.EXPIRED_TOKEN
    for requested in (
        programs.look_up(codes.user_code),
        programs.answer(codes.user_code, allow=True, author=Author(ada)),
    ):
        with pytest.raises(UnknownIdentityError):
            await requested
    assert (await refusal(programs.fetch("nonsense")))[0] is PollError.EXPIRED_TOKEN


@pytest.mark.gen_test
async def test_nobody_lets_a_program_in(programs):
    codes = await programs.begin("program", "192.0.2.1")
    await programs.answer(codes.user_code, allow=True, author=Author())
    assert (await refusal(programs.fetch(codes.device_code)))[0] is PollError.ACCESS_DENIED


@pytest.mark.gen_test
async def test_a_token_that_let_it_in_has_to_be_valid_still(programs, identities, ada):
    token, _ = await identities.create_token("ada", expires_at=NOON + timedelta(hours=1))
    author = Author(ada, "192.0.2.2", token.id, token.expires_at)
    first, second = await programs.begin("first", "192.0.2.1"), await programs.begin("second", "192.0.2.1")
    for codes in (first, second):
        await programs.answer(codes.user_code, allow=True, author=author)
    made, _ = await programs.fetch(first.device_code)
    assert made.expires_at == token.expires_at
    await identities.revoke_token(token.id)
    assert await refusal(programs.fetch(second.device_code)) == (PollError.ACCESS_DENIED, "the token is not valid")


@pytest.mark.gen_test
async def test_who_has_too_many_tokens_is_told(programs, identities, ada):
    for _ in range(2):
        await identities.create_token("ada")
    codes = await programs.begin("program", "192.0.2.1")
    await programs.answer(codes.user_code, allow=True, author=Author(ada))
    why, message = await refusal(programs.fetch(codes.device_code))
    assert why is PollError.ACCESS_DENIED
    assert "the maximum (tokens-per-user)" in message


@pytest.mark.gen_test
async def test_so_many_programs_wait_and_no_more(programs, monkeypatch):
    monkeypatch.setattr(devices, "MAX_DEVICES", 1)
    await programs.begin("program", "192.0.2.1")
    with pytest.raises(devices.TooManyDevicesError):
        await programs.begin("program", "192.0.2.1")
