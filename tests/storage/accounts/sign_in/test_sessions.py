from datetime import timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from storage.accounts.sign_in.sessions import NOTE_USE_SECONDS, Method, SessionTimes, SignInSession
from tests.storage.records import NOON

HOUR = timedelta(hours=1)
SESSION = SignInSession(
    id="abcdefghij",
    user_id=uuid4(),
    token_id="klmnopqrst",
    created_at=NOON,
    last_used_at=NOON,
    expires_at=NOON + HOUR,
    client_ip="192.0.2.1",
    user_agent="",
    method=Method.TOKEN,
)
seconds = st.integers(1, 10_000).map(lambda number: timedelta(seconds=number))


@given(idle=seconds, lifetime=seconds, waits=st.lists(seconds, max_size=20))
def test_a_session_ends_when_it_is_not_used_and_at_the_end_of_its_life(idle, lifetime, waits):
    times = SessionTimes(idle, lifetime)
    session = replace(SESSION, expires_at=min(NOON + idle, NOON + lifetime))
    now = NOON
    for wait in waits:
        now += wait
        if now >= times.end_of(session):
            break
        assert now < min(session.last_used_at + idle, NOON + lifetime)
        if times.is_use_due(session, now):
            session = times.used(session, now)
            assert session.last_used_at == now
        # What is not written down costs a session a tenth of its idle time at most.
        assert now - session.last_used_at < min(timedelta(seconds=NOTE_USE_SECONDS), idle / 10)
        assert times.end_of(session) <= min(now + idle, NOON + lifetime)
