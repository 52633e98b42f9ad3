import asyncio
import os
import signal
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from msgspec.structs import replace

from intercept.times import format_time
from storage.accounts import authentication as authentication_module
from storage.accounts import identities as identities_module
from storage.accounts.audit import Author
from storage.accounts.groups import Groups
from storage.accounts.identities import (
    OUTLIVES,
    TOO_MANY_TODAY,
    TOO_MANY_TOKENS,
    Identities,
    IdentitiesUnavailableError,
    Identity,
    IdentityConflictError,
    IdentityError,
    InvalidTokenError,
    Role,
    Token,
    UnknownIdentityError,
    User,
)
from storage.accounts.tokens.text import FRESH_SECONDS, STALE_SECONDS, digest
from storage.accounts.users import ChangedMeanwhileError
from storage.mongo.database import DatabaseUnavailableError
from storage.queries.accounts.audit import audit_page
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
        patch.setattr("storage.accounts.audit.ANSWER_SECONDS", 0.02)
        patch.setattr("storage.accounts.user_accounts.ANSWER_SECONDS", 0.02)
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
    first = await identities.add_user("ada", role=Role.AUDITOR)
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
    clock.seconds += FRESH_SECONDS / 2 - 0.001
    await identities.authenticate(text)
    assert not identities._refreshing
    clock.seconds += 0.001
    assert await identities.authenticate(text) == await identities.authenticate(text) == identity
    assert len(identities._refreshing) == 1
    await until(lambda: not identities._refreshing)
    clock.seconds += FRESH_SECONDS / 2 - 0.001  # longer than a verification is remembered
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
    clock.seconds += FRESH_SECONDS / 2
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


def ends(token):
    """How long after noon a token expires."""
    return token.expires_at and token.expires_at - NOON


@pytest.mark.gen_test
async def test_a_replaced_token_works_for_the_overlap_and_the_new_one_as_long_again(identities, database, clock):
    ada = await identities.add_user("ada", role=Role.OWNER)
    old, old_text = await identities.create_token("ada", name="laptop", expires_at=NOON + 10 * HOUR)
    clock.seconds += 3600
    await identities.authenticate(old_text)
    new, new_text = await identities.replace_token(old.id, overlap=HOUR / 2)
    made = {"id": new_text[:10], "user_id": ada.id, "name": "laptop", "revoked_at": None}
    assert new == Token(created_at=NOON + HOUR, expires_at=NOON + 11 * HOUR, **made)
    old = replace(old, expires_at=NOON + 1.5 * HOUR)
    assert await identities.list_tokens("ada") == [old, new]
    # What is known of the old one in memory has its new end.
    assert await identities.authenticate(old_text) == Identity(user=ada, token_id=old.id, expires_at=old.expires_at)
    clock.seconds += 1800
    assert await refusal(identities, old_text) == "the token is not valid"
    assert await identities.authenticate(new_text) == Identity(user=ada, token_id=new.id, expires_at=new.expires_at)
    details = {entry["action"]: entry["detail"] for entry in await audit_page(database, limit=2)}
    assert details == {
        "token.created": {"token_id": new.id, "name": "laptop", "expires_at": new.expires_at},
        "token.replaced": {
            "token_id": old.id,
            "name": "laptop",
            "expires_at": old.expires_at,
            "replaced_by": new.id,
        },
    }


@pytest.mark.gen_test
async def test_an_overlap_does_not_lengthen_the_life_of_a_token(identities):
    await identities.add_user("ada", role=Role.OWNER)
    endless, _ = await identities.create_token("ada", name="endless")
    ending, _ = await identities.create_token("ada", name="ending", expires_at=NOON + HOUR)
    assert ends((await identities.replace_token(endless.id, overlap=5 * HOUR))[0]) is None
    assert (
        ends((await identities.replace_token(ending.id, overlap=5 * HOUR, expires_at=NOON + 9 * HOUR))[0]) == 9 * HOUR
    )
    after = {token.id: ends(token) for token in await identities.list_tokens("ada")}
    assert (after[endless.id], after[ending.id]) == (5 * HOUR, HOUR)


@pytest.mark.gen_test
async def test_a_token_that_is_not_valid_any_more_or_not_theirs_is_not_replaced(identities, clock):
    ada, bob = [await identities.add_user(name, role=Role.MEMBER) for name in ("ada", "bob")]
    expired, _ = await identities.create_token("ada", expires_at=NOON + HOUR)
    revoked, _ = await identities.create_token("ada")
    good, _ = await identities.create_token("ada")
    await identities.revoke_token(revoked.id)
    clock.seconds += 3600
    before = await identities.list_tokens("ada")
    for token in (expired, revoked):
        with pytest.raises(IdentityConflictError) as caught:
            await identities.replace_token(token.id, overlap=HOUR)
        assert str(caught.value) == f'the token "{token.id}" is not valid any more: create another one'
    for token_id, of in ((good.id, bob.id), ("x", ada.id), ("x", None)):
        with pytest.raises(UnknownIdentityError) as caught:
            await identities.replace_token(token_id, overlap=HOUR, of=of)
        assert str(caught.value) == f'no token with the id "{token_id}" (the part before the hyphen)'
    with pytest.raises(IdentityError, match=r"^a token cannot expire in the past$"):
        await identities.replace_token(good.id, overlap=HOUR, expires_at=NOON + HOUR)
    assert await identities.list_tokens("ada") == before
    new, _ = await identities.replace_token(good.id, overlap=timedelta(0), of=ada.id)
    assert new in await identities.list_tokens("ada")


@pytest.mark.gen_test
async def test_of_those_who_replace_a_token_at_once_without_overlap_one_does(identities, elsewhere):
    await identities.add_user("ada", role=Role.MEMBER)
    token, _ = await identities.create_token("ada")
    outcomes = await asyncio.gather(
        *(one.replace_token(token.id, overlap=timedelta(0)) for one in (identities, elsewhere) * 2),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [*["IdentityConflictError"] * 3, "tuple"]
    assert len(await identities.list_tokens("ada")) == 2


@pytest.mark.gen_test
async def test_a_token_does_not_outlive_the_one_it_is_made_with(identities):
    ada = await identities.add_user("ada", role=Role.MEMBER)
    author = Author(ada, token_id="tokenOfAda", expires_at=NOON + 2 * HOUR)
    for requested, given in ((None, 2 * HOUR), (HOUR, HOUR), (2 * HOUR, 2 * HOUR)):
        token, _ = await identities.create_token("ada", expires_at=requested and NOON + requested, author=author)
        assert ends(token) == given
    for made_for in (HOUR, 3 * HOUR, None):
        old, _ = await identities.create_token("ada", expires_at=made_for and NOON + made_for)
        new, _ = await identities.replace_token(old.id, overlap=HOUR, author=author)
        assert ends(new) == min(made_for or 2 * HOUR, 2 * HOUR)
    new, _ = await identities.replace_token(new.id, overlap=HOUR, expires_at=NOON + HOUR, author=author)
    assert ends(new) == HOUR
    before = await identities.list_tokens("ada")
    late = NOON + 2 * HOUR + timedelta(milliseconds=1)
    for attempt in (
        identities.create_token("ada", expires_at=late, author=author),
        identities.replace_token(new.id, overlap=HOUR, expires_at=late, author=author),
    ):
        with pytest.raises(IdentityError) as caught:
            await attempt
        assert str(caught.value) == OUTLIVES.format(format_time(NOON + 2 * HOUR))
    assert await identities.list_tokens("ada") == before


@pytest.mark.gen_test
async def test_who_has_the_most_tokens_there_may_be_replaces_one_at_a_time(database, clock):
    identities = Identities(database, now=clock.now, monotonic=clock.monotonic, tokens_per_user=2)
    ada = await identities.add_user("ada", role=Role.MEMBER)
    await identities.create_token("ada", author=Author(ada))
    token, _ = await identities.create_token("ada", author=Author(ada))
    new, _ = await identities.replace_token(token.id, overlap=HOUR, author=Author(ada))
    before = await identities.list_tokens("ada")
    for attempt in (
        identities.replace_token(new.id, overlap=HOUR, author=Author(ada)),
        identities.create_token("ada", author=Author(ada)),
    ):
        with pytest.raises(IdentityConflictError) as caught:
            await attempt
        assert str(caught.value) == TOO_MANY_TOKENS.format("ada", 2)
    assert await identities.list_tokens("ada") == before
    clock.seconds += 3600  # the first one of three ends
    await identities.replace_token(new.id, overlap=timedelta(0), author=Author(ada))
    assert await identities.existing("ada") == (ada, 2)


@pytest.mark.gen_test
async def test_a_user_who_is_no_owner_creates_a_bounded_number_of_tokens_in_a_day(identities, clock, monkeypatch):
    monkeypatch.setattr(identities_module, "MAX_TOKENS_A_DAY", 2)
    ada = await identities.add_user("ada", role=Role.MEMBER)
    owner = await identities.add_user("grace", role=Role.OWNER)
    for _ in range(2):
        token, _ = await identities.create_token("ada", author=Author(ada))
        await identities.revoke_token(token.id)
    with pytest.raises(IdentityConflictError) as caught:
        await identities.create_token("ada", author=Author(ada))
    assert str(caught.value) == TOO_MANY_TODAY.format("ada", 2)
    await identities.create_token("ada", author=Author(owner))
    clock.seconds += 24 * 3600
    await identities.create_token("ada", author=Author(ada))
    assert len(await identities.list_tokens("ada")) == 4


@pytest.mark.gen_test
async def test_a_page_of_tokens_has_the_newest_first_and_the_number_of_all(identities, clock):
    await identities.add_user("ada", role=Role.OWNER)
    await identities.add_user("bob", role=Role.OWNER)
    await identities.create_token("bob")
    made = []
    for _ in range(3):
        made.insert(0, (await identities.create_token("ada"))[0])
        clock.seconds += 1
    assert await identities.tokens_page("ADA", limit=0, offset=0) == (3, made)
    assert await identities.tokens_page("ada", limit=1, offset=1) == (3, made[1:2])
    with pytest.raises(UnknownIdentityError, match=r'^there is no user named "nobody"$'):
        await identities.tokens_page("nobody", limit=0, offset=0)


@pytest.mark.gen_test
async def test_tokens_of_one_moment_are_each_on_one_page(identities):
    await identities.add_user("ada", role=Role.OWNER)
    made = {(await identities.create_token("ada"))[0].id for _ in range(5)}
    pages = [await identities.tokens_page("ada", limit=1, offset=number) for number in range(5)]
    found = [token.id for _, tokens in pages for token in tokens]
    assert (len(found), found) == (5, sorted(made, reverse=True))


@pytest.mark.gen_test
async def test_a_token_of_a_group_calls_as_the_group(identities, database, clock):
    groups = Groups(database, identities, now=clock.now)
    group = await groups.add("ci", display_name="CI")
    ada = await identities.add_user("ada", role=Role.OWNER)
    token, text = await identities.create_token("groups/CI", name="build")
    service = User(
        id=group.id,
        username="groups/ci",
        display_name="CI",
        role=Role.MEMBER,
        created_at=NOON,
        group_ids=(group.id,),
    )
    assert (service.is_service, ada.is_service) == (True, False)
    assert await identities.authenticate(text) == Identity(user=service, token_id=token.id)
    for name in ("groups/ci", "groups/CI", f"groups/{group.id}"):
        assert await identities.find_user(name) == service
        assert await identities.list_tokens(name) == [token]
    assert await identities.find_user("ci") is None
    assert await identities.find_user("groups/ada") is None
    assert await identities.list_users() == [ada]
    for attempt in (identities.create_token("groups/ada"), identities.list_tokens("groups/ada")):
        with pytest.raises(UnknownIdentityError, match=r'^there is no group named "ada"$'):
            await attempt
    new, _ = await identities.replace_token(token.id, overlap=timedelta(0), of=group.id)
    with pytest.raises(UnknownIdentityError):
        await identities.revoke_token(new.id, of="ada")
    await identities.revoke_token(new.id, of="groups/ci")
    await groups.remove("ci")
    assert await identities.find_user("groups/ci") is None
    assert await identities.users_by_id([ada.id, group.id, uuid4()]) == {ada.id: ada, group.id: service}


@pytest.mark.gen_test
async def test_a_user_is_found_with_the_number_of_their_active_tokens(identities, clock):
    ada, bob = [await identities.add_user(name, role=Role.MEMBER) for name in ("ada", "Bob")]
    await identities.add_user("gone", role=Role.MEMBER)
    await identities.remove_user("gone")
    for expires_at in (None, NOON + HOUR, NOON + 2 * HOUR):
        await identities.create_token("ada", expires_at=expires_at)
    revoked, _ = await identities.create_token("ada")
    await identities.revoke_token(revoked.id)
    clock.seconds += 3600
    for name in ("ADA", str(ada.id)):
        assert await identities.existing(name) == (ada, 2)
    assert await identities.existing("bob") == (bob, 0)
    assert await identities.users_page(limit=0, offset=0) == (2, [(ada, 2), (bob, 0)])
    assert await identities.users_page(limit=1, offset=1) == (2, [(bob, 0)])
    for name in ("gone", str(uuid4())):
        with pytest.raises(UnknownIdentityError, match=f'^there is no user named "{name}"$'):
            await identities.existing(name)


@pytest.mark.gen_test
async def test_what_is_changed_of_a_user_is_in_the_audit_trail_with_what_it_was(identities, database):
    ada = await identities.add_user("ada", role=Role.MEMBER, cost_centre="4711")
    (added,) = await audit_page(database, limit=10)
    assert added["detail"] == {"role": "member", "name": "ada", "cost_centre": "4711"}
    changes = {"role": Role.AUDITOR, "display_name": "Ada", "cost_centre": "4712"}
    changed = await identities.change_user("ada", **changes)
    assert changed == replace(ada, **changes)
    assert await identities.change_user("ada", **changes) == await identities.change_user("ada") == changed
    assert await identities.find_user("ada") == changed
    (noted,) = [one for one in await audit_page(database, limit=10) if one["action"] == "user.changed"]
    assert noted["detail"] == {
        "role": "auditor",
        "role_before": "member",
        "name": "Ada",
        "name_before": "ada",
        "cost_centre": "4712",
        "cost_centre_before": "4711",
    }
    assert await identities.change_user("ada", display_name="", cost_centre="") == replace(
        ada, role=Role.AUDITOR, cost_centre=""
    )


@pytest.mark.gen_test
async def test_of_two_who_change_one_version_of_a_user_the_second_is_told(identities):
    ada = await identities.add_user("ada", role=Role.MEMBER)
    changed = await identities.change_user("ada", display_name="one", versions=[ada.version])
    message = r'^the user "ada" was changed meanwhile; read it again$'
    with pytest.raises(ChangedMeanwhileError, match=message):
        await identities.change_user("ada", display_name="two", versions=[ada.version])
    assert await identities.find_user("ada") == changed
    again = await identities.change_user("ada", display_name="two", versions=["x", changed.version])
    assert again == replace(changed, display_name="two")


@pytest.mark.gen_test
async def test_nobody_removes_themselves_and_the_only_owner_stays_one(identities):
    ada = await identities.add_user("ada", role=Role.OWNER)
    bob = await identities.add_user("bob", role=Role.OWNER)
    with pytest.raises(IdentityConflictError, match=r"^you cannot remove yourself; ask another owner$"):
        await identities.remove_user("ada", author=Author(ada))
    await identities.remove_user("bob", author=Author(ada))
    for author in (ada, bob):
        with pytest.raises(IdentityConflictError, match=r'^"ada" is the only owner; assign another owner first$'):
            await identities.change_user("ada", role=Role.MEMBER, author=Author(author))
    assert await identities.list_users() == [ada]
    forced = await identities.change_user("ada", role=Role.MEMBER, author=Author(force=True))
    assert forced == replace(ada, role=Role.MEMBER)
