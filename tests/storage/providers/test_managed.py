from datetime import UTC, datetime

import pymongo
import pytest
from msgspec import structs

from resources.providers import check_provider
from storage.accounts.users import IdentityConflictError
from storage.providers.documents import (
    NewKey,
    ProviderSpec,
)
from storage.providers.managed import ManagedProviders
from storage.providers.sealing import NoEncryptionKeyError, Sealer, SealError
from tests.clock import Clock
from upstream.credentials.access import credential_hint

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EAST = ProviderSpec("east", "openai", "https://east.example/v1/")
FIRST = NewKey("sk-east-key-number-one-1111")
CHANGED_MEANWHILE = "the provider east was changed at the same moment; please try again"


@pytest.fixture
def clock():
    return Clock(NOON)


@pytest.fixture
def managed(database, clock):
    """Providers whose keys are sealed with the old encryption key."""
    return manage(database, clock, Sealer([OLD]))


def manage(database, clock, sealer, check=check_provider):
    return ManagedProviders(database, sealer, check=check, hint=credential_hint, now=clock)


async def trail(database):
    return [document["action"] async for document in database.audit.find().sort("at", 1)]


async def conflict(requested):
    with pytest.raises(IdentityConflictError) as refused:
        await requested
    return str(refused.value)


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


async def test_keys_that_cannot_be_opened_are_not_sealed_again(managed, database, clock):
    added = await managed.add(EAST, [FIRST])
    with pytest.raises(NoEncryptionKeyError):
        await manage(database, clock, Sealer()).reseal()
    with pytest.raises(SealError, match=r"^sealed with an encryption key that this server does not have: add it to "):
        await manage(database, clock, Sealer([NEW])).reseal()
    assert await managed.list_all() == [added]
    assert await trail(database) == ["provider.added"]


async def test_a_provider_that_is_changed_meanwhile_is_not_sealed_again(managed, database, clock, mongodb_uri):
    added = await managed.add(EAST, [FIRST])
    with pymongo.MongoClient(mongodb_uri) as quicker:
        check = change_once(quicker[database.interceptions.database.name]["providers"])

        def random(size):
            check(EAST, 1, ())
            return bytes(size)

        assert await conflict(manage(database, clock, Sealer([NEW, OLD], random)).reseal()) == CHANGED_MEANWHILE
    assert await managed.find("east") == structs.replace(added, spec=structs.replace(EAST, region="eu"), revision=2)
    assert await trail(database) == ["provider.added"]
