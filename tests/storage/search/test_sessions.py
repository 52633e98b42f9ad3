"""The sessions of the calls that a search finds."""

from datetime import timedelta
from uuid import uuid5

import pytest

from storage.queries.filters.keys import Term
from storage.search.find import SearchIndex
from tests.storage.records import ADA, NOON
from tests.storage.search.test_find import BOB_ID, made, query_of, says
from tests.storage.search_checks import index


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
    await index(database)
    assert await sessions(database, query_of(texts=says("a"))) == ({s1, s2, s3}, True)
    assert await sessions(database, query_of(texts=says("a b"))) == ({s1, s3}, True)
    assert await sessions(database, query_of(texts=says("a"), visible_to=BOB_ID)) == ({s3}, True)
    assert await sessions(database, query_of(terms=(Term("tool", ("Bash",)),))) == ({s1}, True)
    late = query_of(texts=says("a"), started_after=NOON + timedelta(seconds=3))
    assert await sessions(database, late) == ({s1, s3}, True)
    assert await sessions(database, query_of(texts=says("nothing"))) == (set(), True)
