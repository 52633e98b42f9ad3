import asyncio
from datetime import timedelta

import pytest

from runtime.process import now
from storage.accounts.audit import Author
from storage.accounts.authentication import IdentitiesUnavailableError
from storage.accounts.identities import Identities, InvalidTokenError, Kind, Role, UnknownIdentityError
from storage.accounts.sign_in.sessions import MAX_SESSIONS, Method, SessionTimes
from storage.accounts.sign_in.sign_ins import CODE_SECONDS, MAX_ID_TOKEN, InvalidCodeError, SignIns
from storage.accounts.tokens.text import FRESH_SECONDS
from storage.mongo.database import DatabaseUnavailableError

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
    """The same at another server."""
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_not_every_use_is_written_down(server, clock, database):
    session = await sign_in(server)
    created_at = clock.now()
    for seconds, written in ((59, 0), (6, 65), (59, 65), (6, 130)):
        clock.passed += timedelta(seconds=seconds)
        assert await is_let_in(server, session)
        document = await database.sign_in_sessions.find_one({})
        assert document["last_used_at"] - created_at == timedelta(seconds=written)


@pytest.mark.gen_test
async def test_who_signed_out_is_out_at_once_here_and_soon_elsewhere(server, elsewhere, clock):
    session, other = await sign_in(server), await sign_in(server)
    assert await is_let_in(server, session)
    assert await is_let_in(elsewhere, session)
    await server[1].sign_out(session)
    assert not await is_let_in(server, session)
    clock.passed += timedelta(seconds=FRESH_SECONDS)
    assert not await is_let_in(elsewhere, session)
    assert await is_let_in(server, other)


@pytest.mark.gen_test
async def test_a_verification_under_way_does_not_bring_back_what_was_ended_meanwhile(server, monkeypatch):
    identities, sign_ins = server
    session = await sign_in(server)
    found, go_on = asyncio.Event(), asyncio.Event()
    verify = identities._verify

    async def verify_slowly(credential):
        verified = await verify(credential)
        found.set()
        await go_on.wait()
        return verified

    with monkeypatch.context() as patch:
        patch.setattr(identities, "_verify", verify_slowly)
        under_way = asyncio.create_task(is_let_in(server, session))
        await found.wait()
    await sign_ins.sign_out(session)
    go_on.set()
    assert await under_way
    assert not await is_let_in(server, session)


@pytest.mark.gen_test
async def test_whoever_has_no_session_may_sign_out(server):
    for text in ("", "nonsense", "abcdefghij-0123456789abcdefghijkl"):
        await server[1].sign_out(text)


@pytest.mark.gen_test
async def test_the_id_of_a_session_without_its_secret_ends_nothing(server):
    session = await sign_in(server)
    await server[1].sign_out(session[:-1] + ("a" if session[-1] != "a" else "b"))
    assert await is_let_in(server, session)


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_sessions_are_listed_by_their_last_use(server, clock):
    first = await sign_in(server)
    clock.passed += HOUR / 2
    second = await sign_in(server)
    await sign_in(server, "grace")
    assert [one.id for one in (await server[1].page("ada", limit=10, offset=0))[1]] == [second[:10], first[:10]]
    clock.passed += HOUR / 2
    assert await is_let_in(server, first)
    count, (listed,) = await server[1].page("ada", limit=1, offset=0)
    assert (count, listed.id, listed.last_used_at) == (2, first[:10], clock.now())


@pytest.mark.gen_test
async def test_a_code_is_kept_hashed_and_is_over_after_some_minutes(server, clock, database):
    identities, sign_ins = server
    await identities.add_user("ada", role=Role.OWNER)
    _, text = await identities.create_token("ada")
    identity = await identities.authenticate(text)
    code, late = await sign_ins.create_code(identity), await sign_ins.create_code(identity)
    assert code not in str(await database.sign_in_codes.find().to_list(None))
    clock.passed += timedelta(seconds=CODE_SECONDS) - timedelta(milliseconds=1)
    assert (await sign_ins.redeem(code)).user == identity.user
    clock.passed += timedelta(milliseconds=1)
    for used_or_late in (code, late, "nonsense"):
        with pytest.raises(InvalidCodeError):
            await sign_ins.redeem(used_or_late)
    assert await database.sign_in_codes.count_documents({}) == 0


async def sign_in_by_link(server, username="ada"):
    """Sign in without a token; the text of the session."""
    identity = await server[1].redeem(await server[1].create_link(username))
    assert identity.token_id == ""
    return await server[1].create(identity, client_ip="192.0.2.1", user_agent="Firefox", method=Method.LINK)


@pytest.mark.gen_test
async def test_a_session_without_a_token_lives_as_long_as_others(server, clock):
    await server[0].add_user("ada", role=Role.OWNER)
    session = await sign_in_by_link(server)
    (listed,) = (await server[1].page("ada", limit=1, offset=0))[1]
    assert (listed.token_id, listed.method) == (None, Method.LINK)
    for _ in range(3):
        clock.passed += HOUR
        assert await is_let_in(server, session)
    clock.passed += 2 * HOUR
    assert not await is_let_in(server, session)


@pytest.mark.gen_test
async def test_a_session_without_a_token_ends_with_its_user_and_when_it_is_ended(server, database):
    identities, sign_ins = server
    ada = await identities.add_user("ada", role=Role.OWNER)
    await identities.add_user("bob", role=Role.OWNER)
    first, second, third = [await sign_in_by_link(server) for _ in range(3)]
    await sign_ins.sign_out(first)
    await sign_ins.end(second[:10], of="ada", author=Author(await identities.find_user("bob")))
    assert [await is_let_in(server, one) for one in (first, second, third)] == [False, False, True]
    ended = await database.audit.find_one({"action": "session.ended"})
    assert ended["detail"] == {"session_id": second[:10]}
    await database.users.update_one({"_id": ada.id}, {"$set": {"removed_at": now()}})
    identities.forget(ada.id)
    assert not await is_let_in(server, third)


@pytest.mark.gen_test
async def test_a_link_is_for_a_user_who_is_there(server, database):
    with pytest.raises(UnknownIdentityError):
        await server[1].create_link("nobody")
    await server[0].add_user("ada", role=Role.MEMBER)
    code = await server[1].create_link("ada")
    assert code not in str(await database.sign_in_codes.find().to_list(None))
    await server[0].remove_user("ada")
    with pytest.raises(InvalidCodeError):
        await server[1].redeem(code)


@pytest.mark.usefixtures("impatient")
@pytest.mark.gen_test
async def test_without_the_database_nobody_signs_in_or_out(server, unreachable, clock):
    session = await sign_in(server)
    identities, sign_ins = make_server(unreachable, clock)
    with pytest.raises(IdentitiesUnavailableError):
        await sign_ins.sign_out(session)
    with pytest.raises(DatabaseUnavailableError):
        await sign_ins.page("ada", limit=1, offset=0)
    with pytest.raises(IdentitiesUnavailableError):
        await identities.authenticate(session, Kind.SESSION)


@pytest.mark.gen_test
async def test_sessions_are_listed_and_ended_one_by_one(server, clock):
    identities, sign_ins = server
    texts = [await sign_in(server) for _ in range(2)]
    for text in texts:
        clock.passed += timedelta(seconds=1)
        await identities.authenticate(text, Kind.SESSION)
    count, listed = await sign_ins.page("Ada", limit=1, offset=1)
    assert (count, [one.user_agent for one in listed]) == (2, ["Firefox"])
    _, both = await sign_ins.page("ada", limit=9, offset=0)
    await sign_ins.end(both[0].id, of="ada", author=Author())
    assert [one.id for one in (await sign_ins.page("ada", limit=9, offset=0))[1]] == [both[1].id]
    for session_id, username in ((both[0].id, "ada"), (both[1].id, "nobody")):
        with pytest.raises(UnknownIdentityError):
            await sign_ins.end(session_id, of=username, author=Author())
    with pytest.raises(UnknownIdentityError):
        await sign_ins.page("nobody", limit=9, offset=0)


@pytest.mark.gen_test
async def test_users_are_listed_by_name_with_the_number_of_their_active_tokens(server):
    identities, _ = server
    for username in ("grace", "ada"):
        await identities.add_user(username, role=Role.MEMBER)
    await identities.create_token("grace")
    count, listed = await identities.users_page(limit=9, offset=0)
    assert (count, [(user.username, tokens) for user, tokens in listed]) == (2, [("ada", 0), ("grace", 1)])
    assert [user.username for user, _ in (await identities.users_page(limit=1, offset=1))[1]] == ["grace"]


@pytest.mark.gen_test
async def test_a_sign_out_returns_the_id_token_that_was_kept_a_long_one_is_not(server):
    identities, sign_ins = server
    await identities.add_user("ada", role=Role.OWNER)
    _, token = await identities.create_token("ada")
    identity = await identities.authenticate(token)
    for given, kept in (("a.b.c", "a.b.c"), ("x" * (MAX_ID_TOKEN + 1), ""), ("", "")):
        text = await sign_ins.create(identity, client_ip="192.0.2.1", user_agent="x", id_token=given)
        assert await sign_ins.sign_out(text) == kept
        assert await sign_ins.sign_out(text) == ""
