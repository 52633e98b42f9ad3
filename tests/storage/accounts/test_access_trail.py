from datetime import timedelta
from uuid import UUID

import pytest

from storage.accounts.audit import (
    MAX_ENTRIES,
    READS_KEPT_DAYS,
    SEVERAL_REASONS,
    AccessEvent,
    AccessTrail,
)
from storage.accounts.events import Action
from storage.accounts.users import Role, User
from storage.mongo import event_counts
from storage.mongo.database import DatabaseUnavailableError
from storage.queries.accounts import audit_page
from tests.clock import Clock
from tests.storage.records import NOON

ADA = User(id=UUID(int=1), username="ada", name="Ada", role=Role.OWNER, created_at=NOON)
FAILED = AccessEvent(Action.AUTHENTICATION_FAILED, "192.0.2.1", detail=(("reason", "unknown"), ("plane", "data")))


@pytest.fixture
def clock():
    return Clock(NOON)


@pytest.fixture
def trail(database, clock):
    return AccessTrail(database, now=clock)


HIDDEN = {"_id", "schema_version", "expires_at", "batches"}


async def entries(database):
    """All entries of the trail without their ids, newest first."""
    page = await audit_page(database, limit=10_000)
    return [{key: value for key, value in entry.items() if key not in HIDDEN} for entry in page]


async def test_a_storm_of_one_hour_becomes_one_entry_with_a_count(trail, clock, database):
    for step in range(1000):
        clock.time = NOON + timedelta(seconds=step)
        trail.note(FAILED)
        if step % 300 == 0:
            await trail.flush()
    await trail.flush()
    assert await entries(database) == [
        {
            "at": NOON,
            "actor": {"id": None, "username": "unknown caller"},
            "action": "authentication.failed",
            "subject": None,
            "detail": {
                "count": 1000,
                "last_at": NOON + timedelta(seconds=999),
                "reason": "unknown",
                "plane": "data",
            },
            "client_ip": "192.0.2.1",
        }
    ]


async def test_many_addresses_make_a_bounded_number_of_entries(trail, database):
    for number in range(4 * MAX_ENTRIES):
        trail.note(AccessEvent(FAILED.action, f"2001:db8:0:{number:x}::/64", detail=FAILED.detail))
    await trail.flush()
    found = await entries(database)
    assert len(found) == MAX_ENTRIES + 1
    assert [entry["detail"]["count"] for entry in found if entry["client_ip"] is None] == [3 * MAX_ENTRIES]


async def test_refusals_that_quote_anything_make_bounded_entries_and_tell_the_user(trail, database):
    for number in range(2 * MAX_ENTRIES):
        said = (("message", f"the model {number}"), ("plane", "data"))
        trail.note(AccessEvent(Action.ACCESS_DENIED, "192.0.2.7", ADA, "abcdefghij", said))
    await trail.flush()
    found = await entries(database)
    assert len(found) == MAX_ENTRIES + 1
    (rest,) = [entry for entry in found if entry["client_ip"] is None]
    assert rest["actor"] == {"id": ADA.id, "username": "ada"}
    expected = {"message": SEVERAL_REASONS, "plane": "data", "count": MAX_ENTRIES, "last_at": NOON}
    assert rest["detail"] == expected


def read(way, number, **detail):
    said = (("way", way), *detail.items())
    return AccessEvent(Action.CALLS_READ, "192.0.2.7", ADA, "abcdefghij", said, (UUID(int=number), f"user{number}"))


async def test_who_read_whose_calls_is_an_entry_for_each_user_way_and_call(trail, database):
    for event in (read("list", 7), read("list", 7), read("list", 8), read("detail", 7, interception_id="i")):
        trail.note(event)
    await trail.flush()
    found = [(entry["subject"], entry["detail"]) for entry in await entries(database)]
    once = {"last_at": NOON, "count": 1}
    seven, eight = ({"id": UUID(int=number), "username": f"user{number}"} for number in (7, 8))
    expected = [
        (seven, {"way": "list", **once, "count": 2}),
        (eight, {"way": "list", **once}),
        (seven, {"way": "detail", "interception_id": "i", **once}),
    ]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    (document, *_) = [document async for document in database.audit.find()]
    assert document["expires_at"] == NOON + timedelta(days=READS_KEPT_DAYS)


async def test_what_waits_for_the_database_is_kept_and_bounded(trail, clock, database, unreachable, monkeypatch):
    monkeypatch.setattr("storage.accounts.audit.MAX_PENDING", 250)
    there, trail.collection = trail.collection, unreachable.audit
    for hour in range(3):
        clock.time = NOON + timedelta(hours=hour)
        for number in range(MAX_ENTRIES):
            trail.note(AccessEvent(FAILED.action, str(number), detail=FAILED.detail))
    with monkeypatch.context() as patch:
        patch.setattr(event_counts, "BATCH_SECONDS", 0.02)
        with pytest.raises(DatabaseUnavailableError):
            await trail.flush()
    trail.collection = there
    await trail.flush()
    assert await database.audit.count_documents({}) == 250
