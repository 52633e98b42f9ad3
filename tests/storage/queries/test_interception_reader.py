import asyncio
from contextlib import aclosing
from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest

from intercept.records import Status
from storage.queries import interception_reader as reader_module
from storage.queries.filters.search_language import Search
from storage.queries.interception_reader import MAX_EXPORTS_AT_A_TIME, PAGE, InterceptionReader, TooManyExportsError
from storage.queries.paging import UnknownCursorError
from tests.storage.calls import Calls
from tests.storage.records import ADA, NOON

BOB_ID = UUID("00000b0b-0000-4000-8000-000000000000")
EVERYTHING = Search().filter(initiator_id=None)


@pytest.fixture
def recorded(database):
    return InterceptionReader(database)


@pytest.fixture
def calls(database):
    return Calls(database)


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(reader_module, "PAGE", 3)


async def numbers(pages):
    """The numbers of the calls on each page."""
    return [[document["_id"].int for document in page] async for page in pages]


async def ended(calls, *numbers, **changes):
    await calls.made(numbers, **changes)


@pytest.mark.gen_test
async def test_one_is_found_whole_by_whoever_may_see_it(recorded, calls, database):
    await calls.start(1)
    document = await database.interceptions.find_one({})
    for visible_to in (None, ADA.id):
        assert await recorded.find(UUID(int=1), visible_to=visible_to) == document
    assert await recorded.find(UUID(int=1), visible_to=BOB_ID) is None
    assert await recorded.find(UUID(int=2), visible_to=None) is None


@pytest.mark.gen_test
async def test_everything_comes_newest_first_page_by_page_as_many_as_wanted_behind_any(recorded, calls, small_pages):
    for numbers_ in ((1, 2), (3, 4, 5), (6, 7, 8)):
        await ended(calls, *numbers_, started_at=NOON + timedelta(seconds=numbers_[0]))
    assert await numbers(recorded.pages(EVERYTHING, visible_to=None)) == [[8, 7, 6], [5, 4, 3], [2, 1]]
    newest_first = [8, 7, 6, 5, 4, 3, 2, 1]
    for most in (1, 2, 3, 4, 6, 7, 9):
        pages = await numbers(recorded.pages(EVERYTHING, visible_to=None, limit=most))
        assert [number for page in pages for number in page] == newest_first[:most]
        assert max(len(page) for page in pages) <= 3
    for after in (8, 7, 6, 2, 1):
        pages = recorded.pages(EVERYTHING, visible_to=None, after_id=UUID(int=after))
        assert [number for page in await numbers(pages) for number in page] == list(range(after - 1, 0, -1))


@pytest.mark.gen_test
async def test_what_starts_meanwhile_is_left_out_and_nothing_comes_twice(recorded, calls, small_pages):
    await ended(calls, 1, 2, 3, 4, 5)
    seen, new = [], 6
    async for page in recorded.pages(EVERYTHING, visible_to=None):
        seen += [document["_id"].int for document in page]
        await ended(calls, new)
        new += 1
    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.gen_test
async def test_only_what_matches_and_may_be_seen_comes(recorded, calls):
    await ended(calls, 1, 2)
    await ended(calls, 3, 4, initiator_id=BOB_ID)
    await ended(calls, 5, initiator_id=BOB_ID, model="m")
    await calls.start(6)
    model = Search(model="m").filter(initiator_id=None)
    assert await numbers(recorded.pages(EVERYTHING, visible_to=ADA.id)) == [[2, 1]]
    assert await numbers(recorded.pages(model, visible_to=None)) == [[5]]
    assert await numbers(recorded.pages(model, visible_to=ADA.id)) == []
    bobs = Search(user="bob").filter(initiator_id=BOB_ID)
    assert await numbers(recorded.pages(bobs, visible_to=ADA.id)) == []
    assert await numbers(recorded.pages(bobs, visible_to=BOB_ID)) == [[5, 4, 3]]


@pytest.mark.gen_test
async def test_behind_what_is_unknown_or_not_to_be_seen_there_is_nothing(recorded, calls):
    await ended(calls, 1, initiator_id=BOB_ID)
    for after in (1, 2):
        message = f"there is no interception {UUID(int=after)} that the caller may see"
        with pytest.raises(UnknownCursorError, match=f"^{message}$"):
            await numbers(recorded.pages(EVERYTHING, visible_to=ADA.id, after_id=UUID(int=after)))


@pytest.mark.gen_test
async def test_nothing_is_left_open_in_the_database_between_pages(private_database, commands, small_pages):
    calls, recorded = Calls(private_database), InterceptionReader(private_database)
    await ended(calls, 1, 2, 3, 4, 5)
    commands.sent.clear()
    async with aclosing(recorded.pages(EVERYTHING, visible_to=None)) as pages:
        await anext(pages)
    assert commands.sent == [("find", 0)]
    left = [{"$currentOp": {"idleCursors": True}}, {"$match": {"ns": private_database.interceptions.full_name}}]
    admin = private_database.interceptions.database.client.admin
    assert await admin.aggregate(left).to_list(None) == []


SEARCHES = [
    {},
    {"user": "ada"},
    {"model": "m"},
    {"client": "Codex", "provider": "openai", "provider_name": "openai-eu"},
    {"session_id": "session-1"},
    {"status": Status.IN_FLIGHT},
    {"status": Status.COMPLETED, "started_after": NOON, "started_before": NOON + timedelta(hours=1)},
    {"request_id": str(UUID(int=1))},
]


@pytest.mark.gen_test
async def test_every_page_stands_in_an_index_in_its_order(database, small_pages):
    recorded, calls = InterceptionReader(database), Calls(database)
    await ended(calls, *range(1, 9), model="m")
    await calls.start(9)
    profiled = database.interceptions.database
    requested, seen = {"op": "query", "ns": database.interceptions.full_name}, 0
    await profiled.command({"profile": 2})
    for search, visible_to in product(SEARCHES, (None, ADA.id)):
        search_filter, case = Search(**search).filter(initiator_id=ADA.id if "user" in search else None), search
        pages = await numbers(recorded.pages(search_filter, visible_to=visible_to))
        plans = await profiled["system.profile"].find(requested).skip(seen).to_list(None)
        seen += len(plans)
        assert len(plans) == len(pages) + 1, case
        assert all(plan["planSummary"].startswith("IXSCAN") and not plan.get("hasSortStage") for plan in plans), case
        # The last one of the page before is looked at again.
        assert 0 < sum(plan["docsExamined"] for plan in plans) <= sum(map(len, pages)) + len(pages), case
    await profiled.command({"profile": 0})
    await profiled["system.profile"].drop()


@pytest.mark.gen_test
async def test_pages_of_large_documents_are_smaller(recorded, calls):
    await ended(calls, *range(1, 7), user_agent="a" * (3 << 20))
    pages = await numbers(recorded.pages(EVERYTHING, visible_to=None))
    assert [number for page in pages for number in page] == [6, 5, 4, 3, 2, 1]
    assert max(len(page) for page in pages) < 6 < PAGE


@pytest.mark.gen_test
async def test_only_so_many_read_everything_at_a_time_and_whoever_ends_makes_room(recorded, calls):
    await ended(calls, 1)
    under_way = [recorded.pages(EVERYTHING, visible_to=None) for _ in range(MAX_EXPORTS_AT_A_TIME)]
    for pages in under_way:
        await anext(pages)
    with pytest.raises(TooManyExportsError):
        await anext(recorded.pages(EVERYTHING, visible_to=None))
    await under_way[0].aclose()
    assert await numbers(recorded.pages(EVERYTHING, visible_to=None)) == [[1]]
    await asyncio.gather(*(pages.aclose() for pages in under_way))
    assert recorded._exports == 0
