from datetime import timedelta

import pytest

from runtime.process import now
from storage.accounts.authentication import InvalidTokenError, Kind
from storage.accounts.identities import Identities
from storage.accounts.sign_in.sessions import MAX_SESSIONS, SessionTimes
from storage.accounts.sign_in.sign_ins import SignIns
from storage.accounts.token_texts import FRESH_SECONDS
from storage.accounts.users import Role

HOUR = timedelta(hours=1)
TIMES = SessionTimes(idle=2 * HOUR, lifetime=5 * HOUR)


class Clock:
    """Wall and monotonic time that pass when told to. From the present on: MongoDB removes what is over by its own."""

    def __init__(self):
        self.began = now()
        self.passed = timedelta(0)

    def now(self):
        return self.began + self.passed

    def monotonic(self):
        return self.passed.total_seconds()


@pytest.fixture
def clock():
    return Clock()


def make_server(database, clock):
    identities = Identities(database, now=clock.now, monotonic=clock.monotonic, session_times=TIMES)
    return identities, SignIns(database, identities, now=clock.now, times=TIMES)


@pytest.fixture
def server(database, clock):
    return make_server(database, clock)


@pytest.fixture
def elsewhere(database, clock):
    return make_server(database, clock)


async def sign_in(server, username="ada", **token):
    identities, sign_ins = server
    if await identities.find_user(username) is None:
        await identities.add_user(username, role=Role.OWNER)
    _, text = await identities.create_token(username, **token)
    return await sign_ins.create(await identities.authenticate(text), client_ip="192.0.2.1", user_agent="Firefox")


async def is_let_in(server, session):
    try:
        identity = await server[0].authenticate(session, Kind.SESSION)
    except InvalidTokenError:
        return False
    assert identity.session_id == session[:10]
    return True


async def test_a_session_is_over_after_disuse_after_its_lifetime_and_with_its_token(server, clock):
    session = await sign_in(server)
    clock.passed += 2 * HOUR - timedelta(seconds=1)
    assert await is_let_in(server, session)
    clock.passed += 2 * HOUR - timedelta(seconds=1)
    assert await is_let_in(server, session)
    clock.passed += 2 * HOUR
    assert not await is_let_in(server, session)
    # However often it is used:
    session = await sign_in(server)
    for _ in range(4):
        clock.passed += HOUR
        assert await is_let_in(server, session)
    clock.passed += HOUR - timedelta(milliseconds=1)
    assert await is_let_in(server, session)
    clock.passed += timedelta(milliseconds=1)
    assert not await is_let_in(server, session)  # though it was verified a moment ago
    session = await sign_in(server, expires_at=clock.now() + 3 * HOUR)
    clock.passed += HOUR
    assert await is_let_in(server, session)
    _, (listed,) = await server[1].page("ada", limit=10, offset=0)
    assert listed.expires_at == listed.created_at + 3 * HOUR
    clock.passed += 2 * HOUR
    assert not await is_let_in(server, session)
    assert await server[1].page("ada", limit=10, offset=0) == (0, [])


async def test_who_signed_out_is_out_at_once_here_and_soon_elsewhere(server, elsewhere, clock):
    session, other = await sign_in(server), await sign_in(server)
    assert await is_let_in(server, session)
    assert await is_let_in(elsewhere, session)
    await server[1].sign_out(session)
    assert not await is_let_in(server, session)
    clock.passed += timedelta(seconds=FRESH_SECONDS)
    assert not await is_let_in(elsewhere, session)
    assert await is_let_in(server, other)


async def test_a_user_has_so_many_sessions_and_one_more_ends_the_least_recently_used(server, clock, monkeypatch):
    monkeypatch.setattr("storage.accounts.sign_in.sign_ins.MAX_SESSIONS", 3)
    sessions = []
    for _ in range(4):
        clock.passed += timedelta(minutes=2)
        if len(sessions) == 3:
            assert await is_let_in(server, sessions[0])
            clock.passed += timedelta(minutes=2)
        sessions.append(await sign_in(server))
    assert [await is_let_in(server, session) for session in sessions] == [True, False, True, True]
    assert MAX_SESSIONS == 50
