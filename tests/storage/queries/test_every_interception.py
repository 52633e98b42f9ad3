from contextlib import aclosing

import pytest

from storage.queries import interceptions as interceptions_module
from storage.queries.interceptions import PAGE, Interceptions
from tests.storage.calls import Calls
from tests.storage.searches import search_of

EVERYTHING = search_of().filter()


@pytest.fixture
def recorded(database):
    return Interceptions(database)


@pytest.fixture
def calls(database):
    return Calls(database)


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(interceptions_module, "PAGE", 3)


async def numbers(pages):
    return [[document["_id"].int for document in page] async for page in pages]


async def ended(calls, *numbers, **changes):
    await calls.made(numbers, **changes)


async def test_what_starts_meanwhile_is_left_out_and_nothing_comes_twice(recorded, calls, small_pages):
    await ended(calls, 1, 2, 3, 4, 5)
    seen, new = [], 6
    async for page in recorded.pages(EVERYTHING, visible_to=None):
        seen += [document["_id"].int for document in page]
        await ended(calls, new)
        new += 1
    assert seen == [5, 4, 3, 2, 1]


async def test_nothing_is_left_open_in_the_database_between_pages(private_database, commands, small_pages):
    calls, recorded = Calls(private_database), Interceptions(private_database)
    await ended(calls, 1, 2, 3, 4, 5)
    commands.sent.clear()
    async with aclosing(recorded.pages(EVERYTHING, visible_to=None)) as pages:
        await anext(pages)
    assert commands.sent == [("find", 0)]
    left = [{"$currentOp": {"idleCursors": True}}, {"$match": {"ns": private_database.interceptions.full_name}}]
    admin = private_database.interceptions.database.client.admin
    assert await admin.aggregate(left).to_list(None) == []


async def test_pages_of_large_documents_are_smaller(recorded, calls):
    await ended(calls, *range(1, 7), user_agent="a" * (3 << 20))
    pages = await numbers(recorded.pages(EVERYTHING, visible_to=None))
    assert [number for page in pages for number in page] == [6, 5, 4, 3, 2, 1]
    assert max(len(page) for page in pages) < 6 < PAGE
