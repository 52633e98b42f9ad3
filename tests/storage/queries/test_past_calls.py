"""Ended calls, oldest first, with the amounts that limits count."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128

from intercept.records import CredentialKind
from limits.past_calls import PastCall, RequestedModel
from storage.queries import past_calls as past_calls_module
from storage.queries.past_calls import past_calls
from storage.recording.figures import cost_figures_of
from tests.storage.calls import Calls
from tests.storage.records import ADA, NOON
from tests.storage.searches import search_of

BOB = UUID("00000b0b-0000-4000-8000-000000000000")
NOON_MS = round(NOON.timestamp() * 1000)
SECOND = 1000


@pytest.fixture
def calls(database):
    return Calls(database)


async def read(database, *, visible_to=None, cache_reads=False, hours=1, q=None, ids=None):
    conditions = (q or search_of()).filter()
    end = NOON + timedelta(hours=hours)
    options = {"visible_to": visible_to, "cache_reads": cache_reads, "ids": ids}
    return [call async for page in past_calls(database, conditions, NOON, end, **options) for call, _ in page]


async def read_named(database, *, ids=None, **options):
    asked = database, search_of().filter(), NOON, NOON + timedelta(hours=1)
    pages = past_calls(*asked, visible_to=None, cache_reads=False, names_models=True, ids=ids, **options)
    return [one async for page in pages for one in page]


def at(second):
    return NOON + timedelta(seconds=second)


def past(number, ended_ms, tokens, micro_dollars=0, *, pays=False):
    ids = UUID(int=number).bytes, ADA.id.bytes
    return PastCall(NOON_MS + number * SECOND, *ids, ended_ms, tokens, micro_dollars, pays)


async def test_a_call_has_what_limits_count_of_it(database, calls):
    await calls.start(1)
    await calls.end(1, ended_at=NOON + timedelta(seconds=3))
    usage = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens"), 0)
    usages = [
        usage | {"input_tokens": 10, "cache_read_input_tokens": 1000},
        usage | {"cache_write_input_tokens": 5, "output_tokens": None},
    ]
    cost = {"usd": Decimal128(Decimal("0.0000012")), "prices": "list"}
    changed = {"token_usages": usages, "cost": cost, "credential_kind": "byok"}
    await calls.change(1, {"$set": changed | cost_figures_of(changed)})
    expected = past(1, NOON_MS + 3 * SECOND, 15, 2, pays=True)
    assert await read(database) == [expected]
    assert await read(database, cache_reads=True) == [expected._replace(tokens=1015)]
    await calls.change(1, {"$unset": {"cost": True}, "$set": {"credential_kind": "centralized", "ended_at": NOON}})
    assert await read(database) == [past(1, NOON_MS, 15, 0, pays=False)]


async def test_they_come_oldest_first_page_by_page_without_those_under_way(database, calls, monkeypatch):
    monkeypatch.setattr(past_calls_module, "PAGE", 2)
    for number in range(1, 8):
        whose = {"initiator_id": BOB} if number == 3 else {}
        await calls.start(number, started_at=NOON + timedelta(seconds=number // 3), **whose)
        if number != 6:
            await calls.end(number)
    await calls.start(9, started_at=NOON + timedelta(hours=1))
    await calls.end(9)

    async def numbers(**requested):
        return [UUID(bytes=one[1]).int for one in await read(database, **requested)]

    assert await numbers() == [1, 2, 3, 4, 5, 7]
    assert await numbers(visible_to=BOB) == [3]
    assert await numbers(visible_to=UUID(int=5)) == []
    assert await numbers(hours=2) == [1, 2, 3, 4, 5, 7, 9]


async def test_a_call_has_what_it_asked_for_also_where_a_fallback_answered(database, calls, monkeypatch):
    monkeypatch.setattr(past_calls_module, "PAGE", 2)
    await calls.start(1)
    await calls.start(2, provider_name="us", requested_provider_name="eu", credential_kind=CredentialKind.BYOK)
    await calls.start(3, route="/v1/batches", model="", billed=False)
    for number in range(1, 4):
        await calls.end(number, ended_at=at(9))
    await calls.start(4)
    expected = [
        (past(1, NOON_MS + 9 * SECOND, 0), RequestedModel("openai-eu", "gpt-5")),
        (past(2, NOON_MS + 9 * SECOND, 0, pays=True), RequestedModel("eu", "gpt-5")),
        (past(3, NOON_MS + 9 * SECOND, 0), RequestedModel("openai-eu", "", is_unread=True, is_billed=False)),
    ]
    assert await read_named(database) == expected
    assert await read_named(database, ids=b"") == []
    some = b"".join(UUID(int=number).bytes for number in (1, 3, 4, 9))
    assert await read_named(database, ids=some) == [expected[0], expected[2]]
