from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pymongo
import pytest
from msgspec import structs

from resources.provider_bodies import check_provider
from storage.accounts import audit
from storage.accounts.audit import Author
from storage.accounts.identities import Role
from storage.accounts.users import User
from storage.mongo.database import DatabaseUnavailableError
from storage.providers.documents import (
    GIVEN_AGAIN,
    MAX_PROVIDERS,
    KeptKey,
    NewKey,
    ProviderConflictError,
    ProviderError,
    ProviderSpec,
    StoredKey,
    StoredProvider,
    UnknownProviderError,
)
from storage.providers.managed import ManagedProviders
from storage.providers.sealing import HOW_TO_SET, NoEncryptionKeyError, Sealer, SealError
from upstream.credentials.access import credential_hint

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
EAST = ProviderSpec("east", "openai", "https://east.example/v1/")
WEST = ProviderSpec("west", "openai", "https://west.example/v1/")
FIRST, SECOND = NewKey("sk-east-key-number-one-1111"), NewKey("sk-east-key-number-two-2222")
ADA = Author(User(id=uuid4(), username="ada", display_name="Ada", role=Role.OWNER, created_at=NOON), "192.0.2.1", "t1")
COMMAND_LINE = {"id": None, "username": audit.COMMAND_LINE.name}
TAKEN = "a provider named east exists already"
UNKNOWN = "there is no provider named east in the database"
CHANGED_MEANWHILE = "the provider east was changed at the same moment; please try again"


class Clock:
    """Stands still at noon until a test moves it."""

    def __init__(self):
        self.time = NOON

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def managed(database, clock):
    """Providers whose keys are sealed with the old encryption key."""
    return manage(database, clock, Sealer([OLD]))


def manage(database, clock, sealer, check=check_provider):
    return ManagedProviders(database, sealer, check=check, hint=credential_hint, now=clock)


def opened(managed, provider):
    return [managed.sealer.open(key.sealed, provider.id) for key in provider.keys]


async def trail(database):
    """What was audited, in its order."""
    return [document async for document in database.audit.find({}, {"_id": 0}).sort("at", 1)]


def audited(action, at, actor=COMMAND_LINE, client_ip=None, **detail):
    return {
        "schema_version": 1,
        "at": at,
        "actor": actor,
        "action": action,
        "subject": None,
        "detail": detail,
        "client_ip": client_ip,
    }


async def refusal(requested):
    """What is wrong, by field."""
    with pytest.raises(ProviderError) as refused:
        await requested
    return refused.value.problems


async def conflict(requested):
    with pytest.raises(ProviderConflictError) as refused:
        await requested
    return str(refused.value)


@pytest.mark.gen_test
async def test_a_provider_that_is_added_is_read_as_it_was_returned(managed, database):
    added = await managed.add(EAST, [FIRST, SECOND])
    one, two = added.keys
    assert added == StoredProvider(added.id, EAST, (one, two), NOON, NOON, 1)
    assert [one, two] == [
        StoredKey(one.id, "sk-e...1111", one.sealed, NOON),
        StoredKey(two.id, "sk-e...2222", two.sealed, NOON),
    ]
    assert [len(one.id), len(two.id), len({one.id, two.id})] == [12, 12, 2]
    assert opened(managed, added) == [FIRST.text, SECOND.text]
    assert await managed.find("east") == added
    assert await managed.list_all() == [added]
    assert await database.providers.find_one() == added.document
    assert await trail(database) == [audited("provider.added", NOON, provider="east")]


@pytest.mark.gen_test
async def test_who_made_a_change_is_audited(managed, database, clock):
    await managed.add(EAST, author=ADA)
    clock.time += timedelta(hours=1)
    await managed.change("east", {"region": "eu", "disabled": True}, [FIRST], author=ADA)
    clock.time += timedelta(hours=1)
    await managed.remove("east", author=ADA)
    ada = {"id": ADA.user.id, "username": "ada", "token_id": "t1"}
    changes = ["region", "disabled", "keys"]
    assert await trail(database) == [
        audited("provider.added", NOON, ada, "192.0.2.1", provider="east"),
        audited("provider.changed", LATER, ada, "192.0.2.1", provider="east", changes=changes),
        audited("provider.removed", clock.time, ada, "192.0.2.1", provider="east"),
    ]


@pytest.mark.gen_test
async def test_providers_are_listed_in_the_order_in_which_they_were_added(managed, clock):
    assert await managed.list_all() == []
    west = await managed.add(WEST)
    clock.time += timedelta(hours=1)
    east = await managed.add(EAST)
    assert await managed.list_all() == [west, east]


@pytest.mark.gen_test
async def test_a_name_is_given_once(managed, database):
    added = await managed.add(EAST)
    assert await conflict(managed.add(structs.replace(WEST, name="east"))) == TAKEN
    assert await managed.list_all() == [added]
    assert await trail(database) == [audited("provider.added", NOON, provider="east")]


@pytest.mark.gen_test
async def test_there_are_only_so_many_providers(managed, database):
    specs = [structs.replace(EAST, name=f"p{number}") for number in range(MAX_PROVIDERS - 1)]
    some = [StoredProvider(uuid4(), spec, (), NOON, NOON, 1).document for spec in specs]
    await database.providers.insert_many(some)
    await managed.add(EAST)
    assert (
        await conflict(managed.add(WEST)) == f"there are {MAX_PROVIDERS} providers already, the most that are allowed"
    )
    assert len(await managed.list_all()) == MAX_PROVIDERS
    assert await trail(database) == [audited("provider.added", NOON, provider="east")]


@pytest.mark.gen_test
async def test_without_an_encryption_key_no_key_is_stored(database, clock):
    managed = manage(database, clock, Sealer())
    problems = [("keys", f"keys cannot be stored without encryption-keys: {HOW_TO_SET}")]
    assert await refusal(managed.add(EAST, [FIRST])) == problems
    assert await managed.list_all() == []
    added = await managed.add(EAST)
    assert await refusal(managed.change("east", {}, [FIRST])) == problems
    assert await managed.list_all() == [added]


@pytest.mark.gen_test
async def test_what_the_check_finds_is_refused_and_nothing_is_stored(managed, database):
    requested = []

    def check(spec, keys, secrets):
        assert not secrets
        requested.append((spec, keys))
        return [("region", "is wrong"), ("keys", "are too short")]

    strict = ManagedProviders(database, managed.sealer, check=check, hint=credential_hint, now=lambda: LATER)
    with pytest.raises(ProviderError) as refused:
        await strict.add(EAST, [FIRST, SECOND])
    assert refused.value.problems == [("region", "is wrong"), ("keys", "are too short")]
    assert str(refused.value) == "region: is wrong; keys: are too short"
    added = await managed.add(EAST, [FIRST])
    assert await refusal(strict.change("east", {"disabled": True})) == refused.value.problems
    assert requested == [(EAST, 2), (structs.replace(EAST, disabled=True), 1)]
    assert await managed.list_all() == [added]
    assert await trail(database) == [audited("provider.added", NOON, provider="east")]


@pytest.mark.gen_test
async def test_what_is_not_there_is_neither_found_nor_changed_nor_removed(managed, database):
    west = await managed.add(WEST)
    for requested in (managed.find("east"), managed.change("east", {"disabled": True}), managed.remove("east")):
        with pytest.raises(UnknownProviderError) as refused:
            await requested
        assert str(refused.value) == UNKNOWN
    assert await managed.list_all() == [west]
    assert await trail(database) == [audited("provider.added", NOON, provider="west")]


@pytest.mark.gen_test
async def test_what_is_not_changed_of_a_provider_stays_as_it_was(managed, database, clock):
    added = await managed.add(EAST, [FIRST])
    clock.time = LATER
    changed = await managed.change("east", {"disabled": True})
    spec = structs.replace(EAST, disabled=True)
    assert changed == structs.replace(added, spec=spec, changed_at=LATER, revision=2)
    assert await managed.find("east") == changed
    assert (await trail(database))[1:] == [audited("provider.changed", LATER, provider="east", changes=["disabled"])]


@pytest.mark.gen_test
async def test_a_change_that_changes_nothing_leaves_no_trace(managed, database, clock):
    added = await managed.add(EAST, [FIRST])
    clock.time = LATER
    assert await managed.change("east", {"disabled": False}) == added
    assert await managed.change("east", {}, [KeptKey(added.keys[0].id)]) == added
    assert await managed.find("east") == added
    assert await trail(database) == [audited("provider.added", NOON, provider="east")]


@pytest.mark.gen_test
async def test_keys_are_put_in_another_order_and_a_new_one_between_them(managed, clock):
    added = await managed.add(EAST, [FIRST, SECOND])
    one, two = added.keys
    clock.time = LATER
    changed = await managed.change("east", {}, [KeptKey(two.id), NewKey("sk-third-3333"), KeptKey(one.id)])
    new = changed.keys[1]
    assert changed.keys == (two, StoredKey(new.id, "sk...33", new.sealed, LATER), one)
    assert opened(managed, changed) == [SECOND.text, "sk-third-3333", FIRST.text]
    assert await managed.find("east") == changed
    emptied = await managed.change("east", {}, [])
    assert emptied == structs.replace(changed, keys=(), revision=3)


@pytest.mark.gen_test
async def test_keys_that_are_too_many_or_the_same_or_unknown_are_refused(managed):
    many = [NewKey(f"sk-{number}") for number in range(6)]
    assert await refusal(managed.add(EAST, many)) == [("keys", "at most 5 are allowed")]
    assert await refusal(managed.add(EAST, [FIRST, FIRST])) == [("keys", "a key is given twice")]
    added = await managed.add(EAST, [FIRST])
    unknown = [("keys", "there is no key with the id gone")]
    assert await refusal(managed.change("east", {}, [SECOND, KeptKey("gone")])) == unknown
    assert await managed.list_all() == [added]


@pytest.mark.gen_test
async def test_kept_keys_never_go_to_another_server(managed):
    added = await managed.add(EAST, [FIRST])
    elsewhere = {"base_url": WEST.base_url}
    for keys in (None, [KeptKey(added.keys[0].id)]):
        assert await refusal(managed.change("east", elsewhere, keys)) == [("keys", GIVEN_AGAIN)]
    assert await managed.find("east") == added
    moved = await managed.change("east", elsewhere, [SECOND])
    assert (moved.spec, opened(managed, moved)) == (structs.replace(WEST, name="east"), [SECOND.text])


@pytest.mark.gen_test
async def test_kept_keys_never_go_through_another_proxy_that_could_read_them(managed):
    proxy, authority = {"proxy_url": "http://proxy.example:3128"}, {"ca_certificates": "-----BEGIN ..."}
    await managed.add(EAST, [FIRST])
    await managed.add(structs.replace(EAST, name="plain", base_url="http://plain.example/v1/"), [FIRST])
    for name, changes in (("plain", proxy), ("east", proxy | authority)):
        assert await refusal(managed.change(name, changes)) == [("keys", GIVEN_AGAIN)]
        assert (await managed.change(name, changes, [SECOND])).spec.proxy_url == proxy["proxy_url"]
    for changes in (authority | {"ca_certificates": "another"}, {"proxy_url": "http://other.example:3128"}):
        assert await refusal(managed.change("east", changes)) == [("keys", GIVEN_AGAIN)]
    for name, changes in (
        ("plain", {"proxy_url": "none"}),
        ("east", {"ca_certificates": ""}),
        ("east", {"proxy_url": ""}),
    ):
        assert len((await managed.change(name, changes)).keys) == 1
    assert len((await managed.change("east", authority)).keys) == 1


@pytest.mark.gen_test
async def test_a_removed_provider_is_gone_and_its_name_is_free(managed, database, clock):
    await managed.add(EAST, [FIRST])
    west = await managed.add(WEST)
    await managed.remove("east")
    assert await managed.list_all() == [west]
    clock.time = LATER
    again = await managed.add(EAST)
    assert await managed.list_all() == [west, again]


@pytest.mark.gen_test
async def test_a_change_at_the_same_moment_is_kept_and_the_other_done_again(managed, database, clock, mongodb_uri):
    added = await managed.add(EAST)
    with pymongo.MongoClient(mongodb_uri) as quicker:
        check = change_once(quicker[database.interceptions.database.name]["providers"])
        changed = await manage(database, clock, managed.sealer, check).change("east", {"disabled": True})
    spec = structs.replace(EAST, region="eu", disabled=True)
    assert changed == structs.replace(added, spec=spec, revision=3)
    assert await managed.find("east") == changed
    assert len(await trail(database)) == 2


def change_once(providers):
    """A check that finds nothing; while it looks the first time, somebody else changes the provider."""
    changes = [{"$set": {"region": "eu"}, "$inc": {"revision": 1}}]

    def check(spec, keys, secrets):
        if changes:
            providers.update_one({"name": spec.name}, changes.pop())
        return ()

    return check


@pytest.mark.gen_test
async def test_keys_are_sealed_again_with_the_first_encryption_key(managed, database, clock):
    east = await managed.add(EAST, [FIRST, SECOND])
    rotated = manage(database, clock, Sealer([NEW, OLD]))
    west = await rotated.add(WEST, [NewKey("sk-west")])
    clock.time = LATER
    assert await rotated.reseal() == 2
    after = await rotated.find("east")
    sealed = [key.sealed for key in after.keys]
    keys = [structs.replace(key, sealed=new) for key, new in zip(east.keys, sealed, strict=True)]
    assert after == structs.replace(east, keys=tuple(keys), revision=2)
    assert await rotated.find("west") == west
    assert opened(manage(database, clock, Sealer([NEW])), after) == [FIRST.text, SECOND.text]
    assert (await trail(database))[2:] == [audited("provider.changed", LATER, provider="east", changes=["seals"])]
    assert await rotated.reseal() == 0
    assert await rotated.list_all() == sorted([after, west], key=lambda one: one.id.bytes)


@pytest.mark.gen_test
async def test_keys_that_cannot_be_opened_are_not_sealed_again(managed, database, clock):
    added = await managed.add(EAST, [FIRST])
    with pytest.raises(NoEncryptionKeyError):
        await manage(database, clock, Sealer()).reseal()
    with pytest.raises(SealError, match=r"^sealed with an encryption key that this server does not have: add it to "):
        await manage(database, clock, Sealer([NEW])).reseal()
    assert await managed.list_all() == [added]
    assert await trail(database) == [audited("provider.added", NOON, provider="east")]


@pytest.mark.gen_test
async def test_a_provider_that_is_changed_meanwhile_is_not_sealed_again(managed, database, clock, mongodb_uri):
    added = await managed.add(EAST, [FIRST])
    with pymongo.MongoClient(mongodb_uri) as quicker:
        check = change_once(quicker[database.interceptions.database.name]["providers"])

        def random(size):
            check(EAST, 1, ())
            return bytes(size)

        assert await conflict(manage(database, clock, Sealer([NEW, OLD], random)).reseal()) == CHANGED_MEANWHILE
    assert await managed.find("east") == structs.replace(added, spec=structs.replace(EAST, region="eu"), revision=2)
    assert await trail(database) == [audited("provider.added", NOON, provider="east")]


@pytest.mark.gen_test
async def test_nothing_is_listed_while_the_database_is_known_to_be_away(managed, database):
    database.health.lose("no answer in time")
    with pytest.raises(DatabaseUnavailableError) as refused:
        await managed.list_all()
    assert str(refused.value) == "MongoDB is unavailable: no answer in time"


@pytest.mark.gen_test
async def test_without_the_database_nothing_is_found_or_changed(unreachable, clock, monkeypatch):
    monkeypatch.setattr("storage.accounts.audit.ANSWER_SECONDS", 0.02)
    monkeypatch.setattr("storage.providers.managed.ANSWER_SECONDS", 0.02)
    managed = manage(unreachable, clock, Sealer([OLD]))
    requested = managed.find("east"), managed.add(EAST), managed.change("east", {}), managed.remove("east")
    for one in requested:
        with pytest.raises(DatabaseUnavailableError, match=r"^MongoDB is unavailable"):
            await one
    with pytest.raises(DatabaseUnavailableError, match=r"^MongoDB is unavailable"):
        await managed.reseal()
