from __future__ import annotations

from datetime import timedelta

import pytest

from storage.accounts.groups import Groups
from storage.accounts.identities import Identities, Role, UnknownIdentityError
from storage.accounts.tokens.uses import TokenUses
from storage.accounts.users import TokenUse
from storage.mongo.database import DatabaseUnavailableError
from storage.queries.accounts.tokens import NOT_A_TOKEN, TokenDetails, Tokens
from tests.storage.records import NOON


class Clock:
    """A wall clock that passes when told to."""

    seconds = 0

    def now(self):
        return NOON + timedelta(seconds=self.seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def identities(database, clock):
    return Identities(database, now=clock.now, monotonic=lambda: 0.0)


@pytest.fixture
def groups(database, identities, clock):
    return Groups(database, identities, now=clock.now)


@pytest.fixture
def uses(database, clock):
    return TokenUses(database, now=clock.now, monotonic=lambda: 0.0)


@pytest.fixture
def tokens(database, identities, uses):
    return Tokens(database, identities, uses)


@pytest.fixture
def create(identities, clock):
    """Make a token a second after the one before. Returns what there is of it, and the token."""

    async def create(username, name="", expires_at=None):
        clock.seconds += 1
        token, text = await identities.create_token(username, name=name, expires_at=expires_at)
        return TokenDetails(token=token, user=await identities.find_user(username), last_use=None), text

    return create


@pytest.mark.gen_test
async def test_tokens_are_found_by_id_name_user_and_group_in_any_case(identities, groups, tokens, create):
    await identities.add_user("Grace.Hopper", role=Role.MEMBER)
    await identities.add_user("ada", role=Role.MEMBER)
    await groups.add("Builds")
    laptop, _ = await create("grace.hopper", "Laptop (new)")
    desk, _ = await create("ada", "desk")
    build, _ = await create("groups/builds", "nightly")
    for text, found in (
        ("", [build, desk, laptop]),
        (laptop.token.id, [laptop]),
        (desk.token.id[:9], []),
        ("lapTOP (", [laptop]),
        ("laptop.", []),
        ("HOPPER", [laptop]),
        ("bUILD", [build]),
        ("groups/builds", []),
        ("D", [build, desk]),
        ("nobody", []),
    ):
        assert await tokens.search(text, limit=10, offset=0) == (len(found), found)


@pytest.mark.gen_test
async def test_a_search_gives_a_part_of_what_it_finds_newest_first(identities, tokens, create):
    await identities.add_user("ada", role=Role.MEMBER)
    first, second, third = [(await create("ada", "laptop"))[0] for _ in range(3)]
    for text in ("", "laptop", "ada"):
        assert await tokens.search(text, limit=2, offset=0) == (3, [third, second])
        assert await tokens.search(text, limit=2, offset=2) == (3, [first])
        assert await tokens.search(text, limit=2, offset=3) == (3, [])


@pytest.mark.gen_test
async def test_tokens_made_at_one_moment_are_each_on_one_page(identities, tokens):
    await identities.add_user("ada", role=Role.MEMBER)
    made = {(await identities.create_token("ada"))[0].id for _ in range(4)}
    pages = [await tokens.search("", limit=1, offset=offset) for offset in range(4)]
    assert [count for count, _ in pages] == [4] * 4
    assert {details.token.id for _, (details,) in pages} == made


@pytest.mark.gen_test
async def test_expired_and_revoked_tokens_and_those_of_removed_users_are_found(
    identities, groups, tokens, create, clock
):
    ada = await identities.add_user("ada", role=Role.MEMBER)
    await identities.add_user("bob", role=Role.MEMBER)
    await groups.add("ci")
    made = [
        await create("ada", "expired", NOON + timedelta(seconds=10)),
        await create("ada", "revoked"),
        await create("bob", "orphan"),
        await create("groups/ci", "build"),
    ]
    clock.seconds = 20
    await identities.revoke_token(made[1][0].token.id)
    await identities.remove_user("bob")
    await groups.remove("ci")
    count, found = await tokens.search("", limit=10, offset=0)
    at = NOON + timedelta(seconds=20)
    assert count == 4
    assert [(one.token.name, one.user.username, one.token.expires_at, one.token.revoked_at) for one in found] == [
        ("build", "groups/ci", None, at),
        ("orphan", "bob", None, at),
        ("revoked", "ada", None, at),
        ("expired", "ada", NOON + timedelta(seconds=10), None),
    ]
    assert [one.user for one in found[2:]] == [ada, ada]
    assert [await tokens.lookup(text) for _, text in reversed(made)] == found


@pytest.mark.gen_test
async def test_a_token_is_shown_with_its_last_use(identities, uses, tokens, create, clock):
    ada = await identities.add_user("ada", role=Role.MEMBER)
    used, text = await create("ada", "used")
    unused, _ = await create("ada", "unused")
    clock.seconds = 60
    uses.note(await identities.authenticate(text), lambda: ("Codex", "203.0.113.9"))
    await uses.flush()
    last = TokenUse(user_id=ada.id, at=NOON + timedelta(seconds=60), client="Codex", client_ip="203.0.113.9")
    used = TokenDetails(token=used.token, user=ada, last_use=last)
    assert await tokens.search("ada", limit=10, offset=0) == (2, [unused, used])
    assert await tokens.of_user("ada", limit=0, offset=0) == (2, [unused, used])
    assert await tokens.lookup(text) == used


@pytest.mark.gen_test
async def test_the_tokens_of_a_user_or_a_group_are_listed_newest_first(identities, groups, tokens, create):
    ada = await identities.add_user("ada", role=Role.MEMBER)
    await identities.add_user("bob", role=Role.MEMBER)
    await groups.add("ci")
    first, second, third = [(await create("ada"))[0] for _ in range(3)]
    build, _ = await create("groups/ci")
    for name in ("ada", "ADA", str(ada.id)):
        assert await tokens.of_user(name, limit=0, offset=0) == (3, [third, second, first])
    assert await tokens.of_user("ada", limit=1, offset=1) == (3, [second])
    assert await tokens.of_user("bob", limit=0, offset=0) == (0, [])
    assert await tokens.of_user("groups/CI", limit=0, offset=0) == (1, [build])
    with pytest.raises(UnknownIdentityError, match=r'^there is no user named "nobody"$'):
        await tokens.of_user("nobody", limit=0, offset=0)
    with pytest.raises(UnknownIdentityError, match=r'^there is no group named "nobody"$'):
        await tokens.of_user("groups/nobody", limit=0, offset=0)


@pytest.mark.gen_test
async def test_a_token_is_looked_up_by_all_of_it_alone(identities, tokens, create):
    await identities.add_user("ada", role=Role.MEMBER)
    details, text = await create("ada", "laptop")
    _, another = await create("ada")
    assert await tokens.lookup(text) == details
    for wrong in ("", "x", text[:10], text[:-1], text[:11] + another[11:], "x" * 10 + text[10:]):
        with pytest.raises(UnknownIdentityError) as caught:
            await tokens.lookup(wrong)
        assert str(caught.value) == NOT_A_TOKEN


@pytest.mark.gen_test
async def test_without_the_database_no_token_is_found(unreachable, identities, uses):
    tokens = Tokens(unreachable, identities, uses)
    for attempt in (tokens.search("ada", limit=1, offset=0), tokens.lookup(f"{'x' * 10}-{'y' * 22}")):
        with pytest.raises(DatabaseUnavailableError):
            await attempt


@pytest.mark.gen_test
async def test_tokens_are_named_by_id_also_when_they_are_revoked(tokens, identities, create):
    await identities.add_user("ada", role=Role.MEMBER)
    laptop, _ = await create("ada", "laptop")
    ci, _ = await create("ada", "ci")
    await identities.revoke_token(ci.token.id)
    found = await tokens.by_id([laptop.token.id, ci.token.id, "unknown"])
    assert {id_: token.name for id_, token in found.items()} == {laptop.token.id: "laptop", ci.token.id: "ci"}
