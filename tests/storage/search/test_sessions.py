"""The sessions of the calls that a search finds."""

from datetime import timedelta
from uuid import uuid5

import pytest

from storage.queries.filters.keys import Term
from storage.search import every as every_module
from storage.search import sessions as sessions_module
from storage.search.find import SearchIndex
from tests.storage.records import ADA, NOON
from tests.storage.search.test_find import BOB_ID, index, made, query_of, says


async def sessions(database, query):
    found = await SearchIndex(database).sessions(query)
    return {one.as_uuid() for one in found.ids}, found.is_exact


def named(user, name):
    return uuid5(user, name)


@pytest.mark.gen_test
async def test_sessions_are_those_of_the_calls_that_match(database):
    await database.interceptions.insert_many(
        [
            made(1, prompt="a b", client_session_id="s1"),
            made(2, prompt="b a", client_session_id="s2"),
            made(3, prompt="a b", client_session_id="s3", initiator_id=BOB_ID),
            made(4, prompt="a", tool="ls", client_session_id="s1"),
            made(5, prompt="c", client_session_id="s4"),
        ]
    )
    s1, s2, s3 = named(ADA.id, "s1"), named(ADA.id, "s2"), named(BOB_ID, "s3")
    for _ in range(2):
        assert await sessions(database, query_of(texts=says("a"))) == ({s1, s2, s3}, True)
        assert await sessions(database, query_of(texts=says("a b"))) == ({s1, s3}, True)
        assert await sessions(database, query_of(texts=says("a"), visible_to=BOB_ID)) == ({s3}, True)
        assert await sessions(database, query_of(terms=(Term("tool", ("Bash",)),))) == ({s1}, True)
        late = query_of(texts=says("a"), started_after=NOON + timedelta(seconds=3))
        assert await sessions(database, late) == ({s1, s3}, True)
        await index(database)
    assert await sessions(database, query_of(texts=says("nothing"))) == (set(), True)


@pytest.mark.gen_test
async def test_of_many_calls_those_of_the_latest_are_found(database, monkeypatch):
    for number in (1, 2, 3):
        await database.interceptions.insert_one(made(number, prompt="a b", client_session_id=f"s{number}"))
        await index(database)
    monkeypatch.setattr(sessions_module, "MAX_CALLS", 2)
    monkeypatch.setattr(every_module, "MAX_CHECKED", 1)
    s2, s3 = named(ADA.id, "s2"), named(ADA.id, "s3")
    assert await sessions(database, query_of(texts=says("a"))) == ({s2, s3}, False)
    assert await sessions(database, query_of(texts=says("a b"))) == ({s3}, False)
