"""Calls that ended, oldest first, with what limits count of them."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128

from limits.limit import Amounts
from limits.past_calls import PastCall
from storage.queries import past_calls
from storage.queries.filters.interceptions import Search
from storage.queries.past_calls import PastCalls
from tests.storage.calls import Calls
from tests.storage.records import ADA, NOON

BOB = UUID("00000b0b-0000-4000-8000-000000000000")
NOON_NS = round(NOON.timestamp() * 1000) * 10**6
SECOND = 10**9


@pytest.fixture
def calls(database):
    return Calls(database)


async def read(database, *, visible_to=None, cache_reads=False, hours=1, q=None):
    pages = PastCalls(database).pages(
        (q or Search()).filter(initiator_id=None),
        start=NOON,
        end=NOON + timedelta(hours=hours),
        visible_to=visible_to,
        cache_reads=cache_reads,
    )
    return [one async for page in pages for one in page]


@pytest.mark.gen_test
async def test_a_call_has_what_limits_count_of_it(database, calls):
    await calls.start(1)
    await calls.end(1, ended_at=NOON + timedelta(seconds=3))
    usage = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens"), 0)
    usages = [
        usage | {"input_tokens": 10, "cache_read_input_tokens": 1000},
        usage | {"cache_write_input_tokens": 5, "output_tokens": None},
    ]
    cost = {"usd": Decimal128(Decimal("0.0000012")), "prices": "list"}
    await calls.change(1, {"$set": {"token_usages": usages, "cost": cost, "credential_kind": "byok"}})
    expected = PastCall(UUID(int=1), NOON_NS + SECOND, NOON_NS + 3 * SECOND, ADA.id, Amounts(15, 2), pays=True)
    assert await read(database) == [expected]
    assert await read(database, cache_reads=True) == [expected._replace(used=Amounts(1015, 2))]
    await calls.change(1, {"$unset": {"cost": True}, "$set": {"credential_kind": "centralized", "ended_at": NOON}})
    assert await read(database) == [
        PastCall(UUID(int=1), NOON_NS + SECOND, NOON_NS + SECOND, ADA.id, Amounts(15, 0), pays=False)
    ]


@pytest.mark.gen_test
async def test_they_come_oldest_first_page_by_page_without_those_under_way(database, calls, monkeypatch):
    monkeypatch.setattr(past_calls, "PAGE", 2)
    for number in range(1, 8):
        whose = {"initiator_id": BOB} if number == 3 else {}
        await calls.start(number, started_at=NOON + timedelta(seconds=number // 3), **whose)
        if number != 6:
            await calls.end(number)
    await calls.start(9, started_at=NOON + timedelta(hours=1))
    await calls.end(9)
    assert [one.id.int for one in await read(database)] == [1, 2, 3, 4, 5, 7]
    assert [one.id.int for one in await read(database, visible_to=BOB)] == [3]
    assert [one.id.int for one in await read(database, visible_to=UUID(int=5))] == []
    assert [one.id.int for one in await read(database, hours=2)] == [1, 2, 3, 4, 5, 7, 9]
