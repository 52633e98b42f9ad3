import asyncio
from datetime import timedelta
from decimal import Decimal
from functools import partial
from threading import Event
from uuid import UUID, uuid5

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercept.records import (
    EndReason,
    ModelThought,
    ProviderError,
    Reading,
    Status,
    TokenUsage,
    ToolUsage,
    UserPrompt,
)
from runtime.process import now
from storage.mongo.documents.rows import Rows
from storage.prices.pricing import Cost
from storage.queries.filters.keys import Comparison, StatusClass, Tag, Term
from storage.queries.filters.texts import TextQuery
from storage.recording.documents import ended_document, start_document
from storage.recording.text_retention import remove_due
from storage.search import find as find_module
from storage.search.find import MAX_CHECKED, CallQuery, Found, SearchIndex
from tests.cases import for_each
from tests.examples import examples
from tests.storage.records import ADA, INSTANCE, NOON, ending, interception
from tests.storage.search_checks import has_indexed_all, index
from tests.storage.searches import search_of

BOB_ID = UUID("00000b0b-0000-4000-8000-000000000000")
GROUP = UUID("00009009-0000-4000-8000-000000000000")


def made(number, *, prompt="", tool="", thought="", error="", second=None, **changes):
    reason = EndReason.UPSTREAM_ERROR if error else EndReason.COMPLETED
    id_, at = UUID(int=number), NOON + timedelta(seconds=number if second is None else second)
    tools = (
        (ToolUsage(provider_response_id="r", provider_tool_call_id=f"t{number}", tool="Bash", input=tool),)
        if tool
        else ()
    )
    reading = Reading(
        token_usages=(TokenUsage(provider_response_id="r", input_tokens=number, cache_read_input_tokens=number % 3),),
        tool_usages=tools,
        model_thoughts=(ModelThought(content=thought, source="thinking"),) if thought else (),
    )
    start = interception(id=id_, started_at=at, user_prompt=UserPrompt(prompt=prompt), **changes)
    end = ending(
        interception_id=id_,
        end_reason=reason,
        ended_at=at + timedelta(seconds=number % 4),
        upstream_status=429 if error else 200,
        error=ProviderError(type="rate_limit_error", message=error) if error else None,
        reading=reading,
    )
    cost = Cost(Decimal(number) / 2, "made up") if number % 2 else None
    return ended_document(start_document(start, instance_id=INSTANCE), end, cost=cost)


def query_of(*, visible_to=None, initiator_id=None, **fields):
    search = search_of(**fields, **({} if initiator_id is None else {"user": initiator_id}))
    return CallQuery(search, search.filter(), visible_to)


def says(*phrases):
    return TextQuery(tuple(tuple(phrase.split()) for phrase in phrases))


async def kept_in_segments(database, documents, cut):
    """Keep these calls only, in two segments."""
    for collection in (database.interceptions, database.search_segments, database.search_parts):
        await collection.delete_many({})
    for some in (documents[:cut], documents[cut:]):
        if some:
            await database.interceptions.insert_many(some)
        await index(database)


async def read_all(database, query):
    found = await database.interceptions.find(query.conditions).to_list(None)
    asked, visible_to = query.search.texts, query.visible_to
    return [one for one in found if (asked is None or asked.matches(one)) and visible_to in {None, one["initiator_id"]}]


async def listed(database, query, *, limit=100, **paging):
    found = await SearchIndex(database).page(query, limit=limit, **paging)
    assert isinstance(found, Found)
    return found.count, [document["_id"].int for document in found.rows]


async def test_where_the_order_of_words_matters_only_the_newest_are_checked(database):
    wrong, oldest = MAX_CHECKED, 1
    documents = [
        made(number, prompt="a b" if number in {wrong + 1, oldest} else "b a", client_session_id=f"s{number}")
        for number in range(1, MAX_CHECKED + 2)
    ]
    await database.interceptions.insert_many(documents)
    await index(database)
    searching, query = SearchIndex(database), query_of(texts=says("a b"))
    found = await searching.page(query, limit=10)
    assert (found.count, found.is_exact, [one["_id"].int for one in found.rows]) == (
        MAX_CHECKED + 1,
        False,
        [wrong + 1],
    )
    assert found.next_after == UUID(int=2)
    rest = await searching.page(query, limit=10, after_id=found.next_after)
    assert ([one["_id"].int for one in rest.rows], rest.next_after) == ([oldest], None)
    assert [[one["_id"].int for one in page] async for page in searching.pages(query)] == [[wrong + 1], [oldest]]
    every = query_of(texts=says("a"))
    assert [len(page) async for page in searching.pages(every, limit=450)] == [200, 200, 50]
    assert [len(page) async for page in searching.pages(every, after_id=UUID(int=300))] == [200, 99]
    assert [page async for page in searching.pages(query_of(texts=says("nothing")))] == []
    for sought, most, expected in (
        (every, 2_000, (MAX_CHECKED + 1, True)),
        (every, 3, (3, False)),
        (query, 2_000, (1, False)),
        (query_of(texts=says("a b"), started_before=NOON + timedelta(seconds=10)), 2_000, (1, True)),
    ):
        ids, is_exact = await searching.latest(sought, most)
        assert (len(ids), is_exact) == expected
    ids, is_exact = await searching.sessions(query)
    assert ([one.as_uuid() for one in ids], is_exact) == ([uuid5(ADA.id, f"s{wrong + 1}")], False)


async def test_pages_of_a_few_calls_are_counted_whole_and_those_of_few_bytes_go_on(database, monkeypatch):
    documents = [made(number, prompt="b a" if number in {4, 5} else "a b") for number in range(1, 7)]
    await database.interceptions.insert_many(documents)
    await index(database)
    query = query_of(texts=says("a b"))
    assert await listed(database, query, limit=2) == (4, [6, 3])
    assert await listed(database, query, limit=2, after_id=UUID(int=3)) == (4, [2, 1])
    assert await listed(database, query, limit=2, offset=1) == (4, [3, 2])
    monkeypatch.setattr(find_module, "Rows", partial(Rows, max_bytes=1))
    pages = SearchIndex(database).pages(query)
    assert [[one["_id"].int for one in page] async for page in pages] == [[6], [3], [2], [1]]


@for_each(
    ("search", "expected"),
    (search_of(), False),
    (search_of(model="m", status=Status.FAILED), False),
    (search_of(session_id="s"), False),
    (search_of(request_id="r"), False),
    (search_of(status=Status.IN_FLIGHT, terms=(Term("tool", ("Bash",)),)), False),
    (search_of(terms=(Term("status", (Status.IN_FLIGHT,)), Term("tool", ("Bash",)))), False),
    (search_of(terms=(Term("tool", ("Bash",)),)), True),
    (search_of(terms=(Term("cost", (Comparison("$gt", Decimal(1)),)),), model="m"), True),
)
def test_the_index_is_for_what_no_rollup_and_no_other_index_tells(search, expected):
    assert CallQuery(search, search.filter(), None, None).is_for_index == expected


async def test_texts_whose_retention_is_over_are_not_found_any_more(database):
    documents = [made(number, prompt="word", tool='{"a": "word"}') for number in (1, 2)]
    await database.interceptions.insert_many([documents[0], documents[1] | {"texts_until": NOON, "removal_at": NOON}])
    await index(database)
    assert await listed(database, query_of(texts=says("word"))) == (2, [2, 1])
    assert await remove_due(database, now=now) == 1
    await index(database)
    assert await listed(database, query_of(texts=says("word"))) == (1, [1])
    assert await listed(database, query_of(terms=(Term("tool", ("Bash",)),))) == (2, [2, 1])
    await has_indexed_all(database)


WORDS = ["alpha", "beta", "gamma"]
texts = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
calls = st.fixed_dictionaries(
    {
        "prompt": texts,
        "tool": texts,
        "thought": texts,
        "error": texts,
        "second": st.integers(0, 3),
        "initiator_id": st.sampled_from([ADA.id, BOB_ID]),
        "model": st.sampled_from(["m", "n"]),
        "streaming": st.booleans(),
        "tags": st.sampled_from([{}, {"project": "apollo"}]),
        "group_ids": st.sampled_from([(), (GROUP,)]),
    }
)
phrases = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(tuple), max_size=2).map(tuple)


def term(key, *values):
    return st.builds(
        Term, st.just(key), st.lists(st.sampled_from(values), min_size=1, max_size=2).map(tuple), st.booleans()
    )


def more(key, *values):
    return term(key, *(Comparison(operator, Decimal(value)) for operator in ("$gt", "$lte") for value in values))


terms = st.one_of(
    term("model", "m", "n", "o"),
    term("tool", "Bash", "Read"),
    term("http", 200, 429, StatusClass(2), StatusClass(4)),
    term("error", "rate_limit_error"),
    term("end", EndReason.COMPLETED),
    term("group", GROUP),
    term("tag", Tag("project", "apollo"), Tag("env", "ci")),
    term("user", ADA.id, BOB_ID),
    term("streaming", True),
    term("agent", "x"),
    more("cost", "0.5", "1.5"),
    more("took", "1000", "2000"),
    more("tokens", "2", "4"),
    more("cache", "0", "0.3"),
)
searches = st.builds(
    dict,
    texts=st.none() | st.builds(TextQuery, phrases, phrases),
    model=st.none() | st.just("m"),
    status=st.none() | st.sampled_from([Status.COMPLETED, Status.FAILED]),
    started_after=st.none() | st.just(NOON + timedelta(seconds=1)),
    started_before=st.none() | st.just(NOON + timedelta(seconds=2)),
    terms=st.lists(terms, max_size=2).map(tuple),
)
people = st.none() | st.sampled_from([ADA.id, BOB_ID])


@settings(max_examples=examples(5, 120), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kept=st.lists(calls, min_size=1, max_size=12),
    cut=st.integers(0, 12),
    questions=st.lists(st.tuples(searches, people, people), min_size=1, max_size=6),
)
def test_the_index_finds_what_reading_every_call_finds(io_loop, database, kept, cut, questions):
    documents = [made(number, **call) for number, call in enumerate(kept, start=1)]

    async def check():
        await kept_in_segments(database, documents, cut)
        for fields, initiator_id, visible_to in questions:
            query = query_of(initiator_id=initiator_id, visible_to=visible_to, **fields)
            expected = await read_all(database, query)
            expected.sort(key=lambda document: (document["started_at"], document["_id"].bytes), reverse=True)
            assert await listed(database, query) == (len(expected), [one["_id"].int for one in expected])

    io_loop.run_sync(check)


async def test_of_a_users_searches_one_reads_texts_at_a_time_and_it_ends_with_its_request(database):
    begun, may_end, read = Event(), Event(), set()

    class Call(dict):
        def get(self, *args):
            if self["number"] == 1:
                begun.set()
                may_end.wait(30)
            read.add(self["number"])
            return super().get(*args)

    def search(*numbers):
        calls = [Call(number=number) for number in numbers]
        return asyncio.create_task(searching.matches(query_of(texts=says("word")), calls))

    searching = SearchIndex(database, lambda: 0.0)
    first = search(1, 2, 3)
    while not begun.is_set():  # noqa: ASYNC110 - of a thread
        await asyncio.sleep(0)
    second = search(4)
    await asyncio.sleep(0)
    assert read == set()
    first.cancel()
    await asyncio.wait([first])
    may_end.set()
    await second
    await asyncio.get_running_loop().shutdown_default_executor()
    assert read == {1, 4}
