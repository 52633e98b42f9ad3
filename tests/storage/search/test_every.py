"""The totals of the calls that contain a word."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.queries.questions.question import By, Dimension, Question
from storage.queries.questions.questions import Questions
from storage.search.find import SearchIndex
from tests.examples import examples
from tests.storage.records import NOON
from tests.storage.search.test_find import (
    BOB_ID,
    calls,
    kept_in_segments,
    made,
    people,
    query_of,
    read_all,
    says,
    searches,
)
from tests.storage.search_checks import index

MODEL, USER = By(Dimension.MODEL), By(Dimension.USER)
AN_HOUR = Question(NOON, NOON + timedelta(hours=1), by=(MODEL,))


async def grouped(database, query, asked_for=AN_HOUR, on_progress=None):
    asked_for = replace(asked_for, conditions=query.conditions, visible_to=query.visible_to)
    options = {} if on_progress is None else {"on_progress": on_progress}
    return await Questions(database).answer(asked_for, finder=SearchIndex(database).every(query), **options)


def numbers(response):
    return {group.key: (group.total["interceptions"], group.total["input_tokens"]) for group in response.groups}


@settings(max_examples=examples(4, 100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kept=st.lists(calls, min_size=1, max_size=12),
    cut=st.integers(0, 12),
    questions=st.lists(st.tuples(searches, people, people), min_size=1, max_size=4),
)
def test_groups_of_a_search_for_words_have_what_reading_every_call_finds(io_loop, database, kept, cut, questions):
    documents = [made(number, **call) for number, call in enumerate(kept, start=1)]

    async def check():
        await kept_in_segments(database, documents, cut)
        for fields, initiator_id, visible_to in questions:
            query = query_of(initiator_id=initiator_id, visible_to=visible_to, **fields)
            expected = Counter()
            tokens = Counter()
            for one in await read_all(database, query):
                key = (one["model"], one["initiator_id"])
                expected[key] += 1
                tokens[key] += one["token_usages"][0]["input_tokens"]
            response = await grouped(database, query, replace(AN_HOUR, by=(MODEL, USER)))
            assert numbers(response) == {key: (expected[key], tokens[key]) for key in expected}
            assert (response.count, response.total.total.get("interceptions", 0)) == (len(expected), expected.total())

    io_loop.run_sync(check)


async def test_it_is_told_how_many_texts_and_calls_are_read(database):
    documents = [made(number, prompt="b a" if number == 2 else "a b", initiator_id=BOB_ID) for number in range(1, 5)]
    await database.interceptions.insert_many(documents)
    await index(database)
    result = []

    async def on_progress(progress):
        result.append(tuple(progress))

    await grouped(database, query_of(texts=says("a")), replace(AN_HOUR, by=()), on_progress)
    assert result == [(0, 4), (4, 4)]
    result.clear()
    await grouped(database, query_of(texts=says("a b")), replace(AN_HOUR, by=()), on_progress)
    assert result == [(0, 4), (4, 4), (4, 7), (7, 7)]


async def test_calls_that_retention_removes_meanwhile_are_in_no_group(database):
    for number in (1, 2):
        await database.interceptions.insert_one(made(number, prompt="word", second=number))
        await index(database)
    await database.search_parts.delete_many({})
    await database.interceptions.delete_many({"_id": UUID(int=1)})
    assert numbers(await grouped(database, query_of(texts=says("word")))) == {}
