import asyncio
import os
import signal
from contextlib import contextmanager
from datetime import timedelta

import pytest

from storage.accounts import authentication as authentication_module
from storage.accounts.authentication import IdentitiesUnavailableError, InvalidTokenError
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.token_texts import FRESH_SECONDS, STALE_SECONDS
from storage.accounts.users import Identity, IdentityConflictError, Role
from tests.storage.outages import freeze
from tests.storage.records import NOON

HOUR = timedelta(hours=1)


class Clock:
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
    return Identities(database, now=clock.now, monotonic=clock.monotonic)


@contextmanager
def away(identities, unreachable):
    """For a while these identities ask a database that is not there, and give up on it almost at once."""
    there, identities._database = identities._database, unreachable
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authentication_module, "VERIFY_SECONDS", 0.02)
        patch.setattr("storage.accounts.audit.ANSWER_SECONDS", 0.02)
        patch.setattr("storage.accounts.user_accounts.ANSWER_SECONDS", 0.02)
        yield
    identities._database = there


async def refusal(identities, token):
    with pytest.raises(InvalidTokenError) as caught:
        await identities.authenticate(token)
    return str(caught.value)


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


async def test_what_another_process_changes_of_a_token_or_its_user_holds_after_two_seconds(
    database, identities, elsewhere, clock
):
    assert FRESH_SECONDS == 2
    await identities.add_user("ada", role=Role.MEMBER)
    token, text = await identities.create_token("ada")
    groups = Groups(database, elsewhere, now=clock.now)
    research = await groups.add("research")
    identity = await identities.authenticate(text)
    await elsewhere.change_user("ada", role=Role.AUDITOR)
    await groups.add_members("research", ["ada"])
    clock.seconds += FRESH_SECONDS - 0.001
    assert await identities.authenticate(text) == identity
    clock.seconds += 0.001
    user = (await identities.authenticate(text)).user
    assert (user.role, user.group_ids) == (Role.AUDITOR, (research.id,))
    await elsewhere.revoke_token(token.id)
    clock.seconds += FRESH_SECONDS
    await refusal(identities, text)


async def test_the_two_seconds_begin_when_the_database_is_asked(database, elsewhere, clock):
    takes = 1.5

    def now():  # asked when the database has answered, too
        clock.seconds += takes
        return clock.now()

    identities = Identities(database, now=now, monotonic=clock.monotonic)
    await elsewhere.add_user("ada", role=Role.MEMBER)
    token, text = await elsewhere.create_token("ada")
    await identities.authenticate(text)
    await elsewhere.revoke_token(token.id)
    clock.seconds += FRESH_SECONDS - takes
    takes = 0
    await refusal(identities, text)


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


async def test_without_the_database_a_known_token_expires_all_the_same(identities, unreachable, clock):
    await identities.add_user("ada", role=Role.OWNER)
    _, text = await identities.create_token("ada", expires_at=NOON + HOUR / 2)
    await identities.authenticate(text)
    clock.seconds += 1800
    with away(identities, unreachable), pytest.raises(IdentitiesUnavailableError):
        await identities.authenticate(text)


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


async def test_of_those_who_replace_a_token_at_once_without_overlap_one_does(identities, elsewhere):
    await identities.add_user("ada", role=Role.MEMBER)
    token, _ = await identities.create_token("ada")
    outcomes = await asyncio.gather(
        *(one.replace_token(token.id, overlap=timedelta(0)) for one in (identities, elsewhere) * 2),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [*["IdentityConflictError"] * 3, "tuple"]
    assert len(await identities.list_tokens("ada")) == 2
