import asyncio
import os
import signal
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from pymongo import IndexModel

from storage.accounts import authentication as authentication_module
from storage.accounts import user_accounts as user_accounts_module
from storage.accounts.audit import Author
from storage.accounts.authentication import REFRESH_AHEAD_SECONDS
from storage.accounts.identities import (
    Identities,
    IdentitiesUnavailableError,
    Identity,
    IdentityConflictError,
    IdentityError,
    InvalidTokenError,
    Role,
    Token,
)
from storage.accounts.tokens import FRESH_SECONDS, STALE_SECONDS, digest
from storage.mongo.database import DatabaseUnavailableError
from tests.storage.conditions import until
from tests.storage.outages import freeze
from tests.storage.records import NOON

HOUR = timedelta(hours=1)


class Clock:
    """Wall and monotonic time that pass when told to."""

    def __init__(self):
        self.seconds = 1000.0

    def now(self):
        return NOON + timedelta(seconds=self.seconds - 1000.0)

    def monotonic(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def identities(database, clock):
    return Identities(database, now=clock.now, monotonic=clock.monotonic)


@pytest.fixture
def elsewhere(database, clock):
    """The same identities at another server."""
    return Identities(database, now=clock.now, monotonic=clock.monotonic)


@contextmanager
def away(identities, unreachable):
    """For a while these identities ask a database that is not there, and give up on it almost at once."""
    there, identities._database = identities._database, unreachable
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authentication_module, "VERIFY_SECONDS", 0.02)
        patch.setattr(user_accounts_module, "ANSWER_SECONDS", 0.02)
        yield
    identities._database = there


async def refusal(identities, token):
    with pytest.raises(InvalidTokenError) as caught:
        await identities.authenticate(token)
    return str(caught.value)


@pytest.mark.gen_test
async def test_a_user_is_found_as_they_were_added(identities):
    ada = await identities.add_user("ada", role=Role.OWNER, display_name="Ada Lovelace")
    bob = await identities.add_user("Bob-2", role=Role.MEMBER)
    assert (ada.username, ada.display_name, ada.role, ada.created_at) == ("ada", "Ada Lovelace", Role.OWNER, NOON)
    assert (bob.display_name, bob.role) == ("Bob-2", Role.MEMBER)
    assert await identities.find_user("ada") == ada
    assert await identities.find_user("nobody") is None
    assert await identities.list_users() == [ada, bob]
    assert await identities.users_by_id([ada.id, bob.id, ada.id]) == {ada.id: ada, bob.id: bob}
    assert await identities.users_by_id([]) == {}


@pytest.mark.gen_test
async def test_a_username_is_given_once(identities):
    await identities.add_user("ada", role=Role.OWNER)
    with pytest.raises(IdentityError, match=r'^a user named "ada" exists already$'):
        await identities.add_user("ada", role=Role.MEMBER)


@pytest.mark.gen_test
async def test_a_user_with_a_bad_name_is_not_added(identities):
    with pytest.raises(IdentityError, match=r'^the username "a b" is not allowed: '):
        await identities.add_user("a b", role=Role.OWNER)
    with pytest.raises(IdentityError, match=r"^the display name is not allowed: "):
        await identities.add_user("ada", role=Role.OWNER, display_name="a\nb")
    assert await identities.list_users() == []


@pytest.mark.gen_test
async def test_a_token_lets_its_user_in(identities):
    ada = await identities.add_user("ada", role=Role.OWNER)
    token, text = await identities.create_token("ada", name="laptop", expires_at=NOON + HOUR)
    assert token == Token(
        id=text[:10], user_id=ada.id, name="laptop", created_at=NOON, expires_at=NOON + HOUR, revoked_at=None
    )
    assert await identities.authenticate(text) == Identity(user=ada, token_id=token.id, expires_at=token.expires_at)
    assert await identities.list_tokens("ada") == [token]


@pytest.mark.gen_test
async def test_only_the_digest_of_the_secret_is_stored(identities, database):
    await identities.add_user("ada", role=Role.OWNER)
    _, text = await identities.create_token("ada")
    stored = await database.tokens.find_one({})
    assert stored["secret_sha256"] == digest(text[11:])
    assert text[11:] not in repr(stored)


@pytest.mark.gen_test
async def test_every_token_that_is_not_valid_is_refused_with_the_same_words(identities, elsewhere, clock):
    for username in ("ada", "bob"):
        await identities.add_user(username, role=Role.MEMBER)
    _, good = await identities.create_token("ada")
    _, expiring = await identities.create_token("ada", expires_at=NOON + HOUR)
    revoked, revoked_text = await identities.create_token("ada")
    _, orphan = await identities.create_token("bob")
    await identities.revoke_token(revoked.id)
    await identities.remove_user("bob")
    clock.seconds += 3600
    wrong_secret = good[:11] + ("a" * 22)
    for token in ("", "nonsense", "b" * 10 + good[10:], wrong_secret, expiring, revoked_text, orphan):
        assert await refusal(elsewhere, token) == "the token is not valid"
    assert (await elsewhere.authenticate(good)).user.username == "ada"


@pytest.mark.gen_test
async def test_a_token_works_until_the_moment_it_expires(identities, clock):
    await identities.add_user("ada", role=Role.MEMBER)
    _, text = await identities.create_token("ada", expires_at=NOON + timedelta(seconds=2))
    clock.seconds += 1.999
    await identities.authenticate(text)
    clock.seconds += 0.001
    await refusal(identities, text)


@pytest.mark.gen_test
async def test_a_verified_token_is_asked_for_again_after_five_seconds(identities, elsewhere, clock):
    await identities.add_user("ada", role=Role.MEMBER)
    token, text = await identities.create_token("ada")
    identity = await identities.authenticate(text)
    await elsewhere.revoke_token(token.id)
    clock.seconds += FRESH_SECONDS - 0.001
    assert await identities.authenticate(text) == identity
    clock.seconds += 0.001
    await refusal(identities, text)


@pytest.mark.gen_test
async def test_here_a_revoked_token_and_a_removed_users_die_at_once(identities):
    for username in ("ada", "bob"):
        await identities.add_user(username, role=Role.MEMBER)
    token, text = await identities.create_token("ada")
    _, of_bob = await identities.create_token("bob")
    for each in (text, of_bob):
        await identities.authenticate(each)
    await identities.revoke_token(token.id)
    await refusal(identities, text)
    await identities.authenticate(of_bob)
    await identities.remove_user("bob")
    await refusal(identities, of_bob)


@pytest.mark.gen_test
async def test_a_removed_user_stays_in_history_and_the_name_is_free(identities, clock):
    first = await identities.add_user("ada", role=Role.OWNER)
    await identities.create_token("ada")
    await identities.remove_user("ada")
    assert await identities.find_user("ada") is None
    assert await identities.list_users() == []
    second = await identities.add_user("ada", role=Role.MEMBER)
    assert await identities.users_by_id([first.id, second.id]) == {first.id: first, second.id: second}
    assert await identities.list_tokens("ada") == []


@pytest.mark.gen_test
async def test_a_token_is_revoked_once_and_keeps_the_time(identities, clock):
    await identities.add_user("ada", role=Role.OWNER)
    token, _ = await identities.create_token("ada")
    other, _ = await identities.create_token("ada")
    await identities.revoke_token(token.id)
    clock.seconds += 60
    await identities.revoke_token(token.id)
    assert [each.revoked_at for each in await identities.list_tokens("ada") if each.id == token.id] == [NOON]
    assert [each for each in await identities.list_tokens("ada") if each.id == other.id] == [other]


@pytest.mark.gen_test
async def test_tokens_are_listed_oldest_first(identities, clock):
    await identities.add_user("ada", role=Role.OWNER)
    made = []
    for _ in range(3):
        made.append((await identities.create_token("ada"))[0])
        clock.seconds += 1
    assert await identities.list_tokens("ada") == made


@pytest.mark.gen_test
async def test_what_does_not_exist_is_named(identities):
    nobody = r'^there is no user named "nobody"$'
    for attempt in (identities.remove_user, identities.create_token, identities.list_tokens):
        with pytest.raises(IdentityError, match=nobody):
            await attempt("nobody")
    message = r'^no token with the id "x" \(the part before the hyphen\)$'
    with pytest.raises(IdentityError, match=message):
        await identities.revoke_token("x")


@pytest.mark.gen_test
async def test_a_token_with_a_bad_name_or_a_past_end_is_not_made(identities):
    await identities.add_user("ada", role=Role.OWNER)
    with pytest.raises(
        IdentityError, match=r"^the token's name is not allowed: it has up to 128 printable characters$"
    ):
        await identities.create_token("ada", name="\n")
    with pytest.raises(IdentityError, match=r"^a token cannot expire in the past$"):
        await identities.create_token("ada", expires_at=NOON)
    assert await identities.list_tokens("ada") == []


@pytest.mark.gen_test
async def test_a_token_in_use_is_verified_again_before_a_request_waits_for_it(
    identities, elsewhere, unreachable, clock
):
    await identities.add_user("ada", role=Role.OWNER)
    token, text = await identities.create_token("ada")
    identity = await identities.authenticate(text)
    clock.seconds += REFRESH_AHEAD_SECONDS - 0.001
    await identities.authenticate(text)
    assert not identities._refreshing
    clock.seconds += 0.001
    assert await identities.authenticate(text) == await identities.authenticate(text) == identity
    assert len(identities._refreshing) == 1
    await until(lambda: not identities._refreshing)
    clock.seconds += REFRESH_AHEAD_SECONDS - 0.001  # longer than a verification is remembered
    with away(identities, unreachable):
        assert await identities.authenticate(text) == identity
    await elsewhere.revoke_token(token.id)
    clock.seconds += 0.001
    assert await identities.authenticate(text) == identity
    await until(lambda: not identities._refreshing)
    await refusal(identities, text)


@pytest.mark.gen_test
async def test_an_outage_while_a_token_is_verified_ahead_concerns_nobody(identities, unreachable, clock):
    await identities.add_user("ada", role=Role.OWNER)
    _, text = await identities.create_token("ada")
    identity = await identities.authenticate(text)
    clock.seconds += REFRESH_AHEAD_SECONDS
    with away(identities, unreachable):
        for _ in range(2):
            assert await identities.authenticate(text) == identity
            await until(lambda: not identities._refreshing)
    assert await identities.authenticate(text) == identity


@pytest.mark.gen_test
async def test_verifying_afresh_does_not_rely_on_memory(identities, elsewhere, unreachable, clock):
    ada = await identities.add_user("ada", role=Role.OWNER)
    token, text = await identities.create_token("ada")
    assert (
        await identities.authenticate(text)
        == await identities.authenticate_afresh(text)
        == Identity(user=ada, token_id=token.id)
    )
    with away(identities, unreachable):
        assert await identities.authenticate(text) == Identity(user=ada, token_id=token.id, expires_at=token.expires_at)
        with pytest.raises(IdentitiesUnavailableError, match=r"^MongoDB is unavailable: 127\.0\.0\.1:\d+: .*refused$"):
            await identities.authenticate_afresh(text)
    await elsewhere.revoke_token(token.id)
    assert await identities.authenticate(text) == Identity(user=ada, token_id=token.id, expires_at=token.expires_at)
    for refused in (text, "nonsense"):
        with pytest.raises(InvalidTokenError):
            await identities.authenticate_afresh(refused)


@pytest.mark.gen_test
async def test_without_the_database_a_known_token_works_for_an_hour(identities, unreachable, clock):
    await identities.add_user("ada", role=Role.OWNER)
    _, text = await identities.create_token("ada")
    identity = await identities.authenticate(text)
    with away(identities, unreachable):
        clock.seconds += STALE_SECONDS - 0.001
        assert await identities.authenticate(text) == identity
        clock.seconds += 0.001
        with pytest.raises(IdentitiesUnavailableError, match=r"^MongoDB was unavailable a moment ago$"):
            await identities.authenticate(text)
        unreachable.health.find()
        with pytest.raises(IdentitiesUnavailableError, match=r"^MongoDB is unavailable: 127\.0\.0\.1:\d+: .*refused$"):
            await identities.authenticate(text)


@pytest.mark.gen_test
async def test_without_the_database_a_known_token_expires_all_the_same(identities, unreachable, clock):
    await identities.add_user("ada", role=Role.OWNER)
    _, text = await identities.create_token("ada", expires_at=NOON + HOUR / 2)
    await identities.authenticate(text)
    clock.seconds += 1800
    with away(identities, unreachable), pytest.raises(IdentitiesUnavailableError):
        await identities.authenticate(text)


@pytest.mark.gen_test
async def test_when_the_database_is_back_tokens_are_verified_again(identities, elsewhere, database, clock):
    await identities.add_user("ada", role=Role.OWNER)
    token, text = await identities.create_token("ada")
    await identities.authenticate(text)
    clock.seconds += FRESH_SECONDS
    await elsewhere.revoke_token(token.id)
    database.health.lose("no answer")
    await identities.authenticate(text)
    await database.health.wait_until_back()
    await refusal(identities, text)


@pytest.mark.gen_test
async def test_a_token_that_looks_wrong_is_refused_without_the_database_too(unreachable, clock):
    identities = Identities(unreachable, now=clock.now, monotonic=clock.monotonic)
    assert await refusal(identities, "nonsense") == "the token is not valid"


@pytest.mark.gen_test
async def test_without_the_database_nothing_else_works(identities, unreachable):
    with away(identities, unreachable):
        outcomes = await everything_else(identities)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailableError] * 11


async def everything_else(identities):
    return await asyncio.gather(
        identities.add_user("ada", role=Role.OWNER),
        identities.list_users(),
        identities.users_page(limit=1, offset=0),
        identities.tokens_page("ada", limit=1, offset=0),
        identities.change_user("ada", role=Role.MEMBER),
        identities.find_user("ada"),
        identities.users_by_id([]),
        identities.remove_user("ada"),
        identities.create_token("ada"),
        identities.list_tokens("ada"),
        identities.revoke_token("x"),
        return_exceptions=True,
    )


@pytest.mark.gen_test
async def test_a_database_that_hangs_does_not_hold_up_a_known_token(identities, mongodb, clock, monkeypatch):
    await identities.add_user("ada", role=Role.OWNER)
    _, text = await identities.create_token("ada")
    identity = await identities.authenticate(text)
    clock.seconds += FRESH_SECONDS
    monkeypatch.setattr(authentication_module, "VERIFY_SECONDS", 0.1)
    freeze(mongodb.pid)
    try:
        async with asyncio.timeout(2):
            assert await identities.authenticate(text) == identity
    finally:
        os.kill(mongodb.pid, signal.SIGCONT)


@pytest.mark.gen_test
async def test_once_the_database_is_lost_nobody_waits_for_it(identities, database, mongodb, clock, monkeypatch):
    await identities.add_user("ada", role=Role.OWNER)
    _, text = await identities.create_token("ada")
    identity = await identities.authenticate(text)
    _, unknown = await identities.create_token("ada")
    clock.seconds += FRESH_SECONDS
    freeze(mongodb.pid)
    try:
        monkeypatch.setattr(authentication_module, "VERIFY_SECONDS", 0.1)
        await identities.authenticate(text)
        monkeypatch.setattr(authentication_module, "VERIFY_SECONDS", 30)
        assert not database.health.available
        assert await identities.authenticate(text) == identity
        with pytest.raises(IdentitiesUnavailableError):
            await identities.authenticate(unknown)
    finally:
        os.kill(mongodb.pid, signal.SIGCONT)
    await database.health.wait_until_back()
    assert await identities.authenticate(unknown)


@pytest.mark.gen_test
async def test_of_many_requests_with_one_token_one_asks_the_database(identities, database):
    await identities.add_user("ada", role=Role.OWNER)
    _, text = await identities.create_token("ada")
    await database._database.command("profile", 2)
    await asyncio.gather(*(identities.authenticate(text) for _ in range(20)))
    await database._database.command("profile", 0)
    profile = database._database["system.profile"]
    assert await profile.count_documents({"ns": database.tokens.full_name}) == 1
    assert len(identities._locks) == 0


@pytest.mark.gen_test
async def test_a_single_server_leaves_no_token_too_many(single_server, clock):
    identities = Identities(single_server, now=clock.now, monotonic=clock.monotonic, tokens_per_user=2)
    ada = await identities.add_user("ada", role=Role.MEMBER)
    outcomes = [
        await asyncio.gather(identities.create_token("ada", author=Author(ada)), return_exceptions=True)
        for _ in range(4)
    ]
    assert [isinstance(outcome, IdentityConflictError) for (outcome,) in outcomes] == [False, False, True, True]
    assert len(await identities.list_tokens("ada")) == 2
    await identities.create_token("ada")  # which the command line may


MAIL = "Grace.Hopper+work@Example.com"


@pytest.mark.gen_test
async def test_a_user_is_found_whatever_the_case_of_the_name(identities):
    grace = await identities.add_user(MAIL, role=Role.MEMBER)
    for name in (MAIL, MAIL.lower(), MAIL.upper()):
        assert await identities.find_user(name) == grace
        token, _ = await identities.create_token(name)
        await identities.revoke_token(token.id, of=name)
    for name in ("grace", "Grace\u00adHopper+work@Example.com", MAIL.replace("G", "\uff27")):
        assert await identities.find_user(name) is None
    assert (await identities.change_user(MAIL.lower(), display_name="")).display_name == MAIL
    with pytest.raises(IdentityError, match=r'^a user named "Grace\.Hopper\+work@Example\.com" exists already$'):
        await identities.add_user(MAIL.upper(), role=Role.MEMBER)
    await identities.remove_user(MAIL.upper())
    assert await identities.list_users() == []
    await identities.add_user(MAIL.lower(), role=Role.MEMBER)


@pytest.mark.gen_test
async def test_of_names_that_differ_in_case_one_is_added_at_once(identities, elsewhere):
    outcomes = await asyncio.gather(
        *(
            one.add_user(name, role=Role.MEMBER)
            for one, name in zip((identities, elsewhere) * 2, ("ada", "ADA", "Ada", "aDa"), strict=True)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, IdentityConflictError) for outcome in outcomes) == 3
    assert len(await identities.list_users()) == 1


@pytest.mark.gen_test
async def test_users_of_an_earlier_version_are_taken_over(database, identities):
    await database.users.drop_indexes()
    old = IndexModel("username", name="living_username", unique=True, partialFilterExpression={"removed_at": None})
    await database.users.create_indexes([old])
    ada = await identities.add_user("Ada", role=Role.OWNER)
    await database.prepare(retention=None)
    assert set(await database.users.index_information()) == {"_id_", "active_username", "by_group"}
    assert await identities.find_user("ada") == ada


@pytest.mark.expects_log(
    r"^WARNING storage\.mongo\.preparation: usernames differ in case alone: ADA and ada; remove all of them but one "
    r"\(users remove NAME\)$"
)
@pytest.mark.gen_test
async def test_users_of_an_earlier_version_who_differ_in_case_alone_stay_and_are_named(database, identities):
    await database.users.drop_indexes()
    for name in ("ada", "Bob"):
        await identities.add_user(name, role=Role.OWNER)
    (document,) = [one async for one in database.users.find({"username": "ada"})]
    await database.users.insert_one(document | {"_id": uuid4(), "username": "ADA"})
    await database.prepare(retention=None)
    for name in ("ada", "ADA"):
        assert (await identities.find_user(name)).username == name
    assert await identities.find_user("Ada") is None
    with pytest.raises(IdentityConflictError):
        await identities.add_user("Ada", role=Role.MEMBER)
    await identities.remove_user("ADA")
    await database.prepare(retention=None)
    assert (await identities.find_user("Ada")).username == "ada"
    assert "active_username" in await database.users.index_information()
