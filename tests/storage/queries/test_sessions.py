from datetime import timedelta
from uuid import UUID, uuid5

import pytest
from bson.decimal128 import Decimal128

from intercept.records import Status
from storage.mongo.indexes import (
    SESSIONS_BY_CLIENT,
    SESSIONS_BY_INITIATOR,
    SESSIONS_BY_MODEL,
    SESSIONS_BY_NAME,
    SESSIONS_BY_PROVIDER,
    SESSIONS_BY_PROVIDER_NAME,
    SESSIONS_BY_TIME,
    SESSIONS_WITH_FAILURES,
)
from storage.queries import sessions as sessions_module
from storage.queries.filters.keys import Term
from storage.queries.filters.texts import TextQuery
from storage.queries.filters.words import InvalidSearchError
from storage.queries.sessions import SessionOrder, Sessions, call_search, session_filter
from tests.derived import derive, derive_listed
from tests.storage.queries.decoded import Decoded
from tests.storage.records import ADA, NOON
from tests.storage.searches import search_of
from tests.storage.session_checks import Call, keep, write

BOB_ID = UUID("00000b0b-0000-4000-8000-000000000000")

ONE_STATUS = 'Query param "status" is completed or failed for sessions, which contain only ended calls'


@pytest.fixture
def grouped(database):
    """Keep calls in sessions; returns what reads them."""

    async def grouped(*calls):
        await keep(database, *calls)
        await derive_listed(database)
        return Decoded(Sessions(database))

    return grouped


def numbers(page):
    count, sessions = page
    return count, [session["_id"].int for session in sessions]


def found_by(**terms):
    return session_filter(search_of(**terms))


async def test_the_list_is_sorted_by_what_is_asked_for_and_walked_in_that_order(database, grouped):
    sessions = await grouped(*map(Call, (1, 2, 3, 4)))
    for order, field, values, expected in (
        (SessionOrder.STARTED, "x", (0, 0, 0, 0), [4, 3, 2, 1]),
        (
            SessionOrder.LAST_ACTIVE,
            "last_active_at",
            (NOON, NOON + timedelta(1), NOON, NOON - timedelta(1)),
            [2, 3, 1, 4],
        ),
        (
            SessionOrder.COST,
            "cost",
            (Decimal128("0.5"), Decimal128("10"), Decimal128("0"), Decimal128("9")),
            [2, 4, 1, 3],
        ),
        (SessionOrder.LOST, "lost", (Decimal128("1"), Decimal128("0"), Decimal128("2"), Decimal128("0")), [3, 1, 4, 2]),
        (SessionOrder.FAILED, "failures", (0, 3, 1, 3), [4, 2, 3, 1]),
        (SessionOrder.CALLS, "interceptions", (5, 7, 6, 2), [2, 3, 1, 4]),
    ):
        for number, value in enumerate(values, 1):
            await database.sessions.update_one({"_id": UUID(int=number)}, {"$set": {field: value}})
        for visible_to in (None, ADA.id):
            requested, case = {"visible_to": visible_to, "order": order}, (order, visible_to)
            assert numbers(await sessions.page({}, limit=10, **requested)) == (4, expected), case
            walked, last = [], None
            while True:
                page = numbers(await sessions.page({}, limit=1, after_id=last, **requested))
                if not page[1]:
                    break
                walked += page[1]
                last = UUID(int=walked[-1])
            assert walked == expected, case


@pytest.mark.parametrize(
    ("terms", "detail"),
    [
        ({"request_id": "r"}, 'Query param "request_id" cannot be used for sessions'),
        ({"status": Status.IN_FLIGHT}, ONE_STATUS),
    ],
)
def test_what_sessions_do_not_have_is_refused_by_name(terms, detail):
    with pytest.raises(InvalidSearchError) as refused:
        found_by(**terms)
    assert refused.value.validations == [(*terms, detail)]


def test_a_term_of_a_status_is_refused_and_what_only_calls_have_is_asked_of_them():
    several = Term("status", (Status.FAILED, Status.COMPLETED))
    with pytest.raises(InvalidSearchError) as refused:
        found_by(terms=(several,))
    assert refused.value.validations == [("status", ONE_STATUS)]
    tool, model = Term("tool", ("Bash",)), Term("model", ("m", "n"))
    words = TextQuery((("word",),))
    search = search_of(terms=(tool, model), texts=words, client="Zed", started_after=NOON, started_before=NOON)
    assert call_search(search) == search_of(terms=(tool,), texts=words, started_after=NOON)
    assert session_filter(search) == {
        "client": "Zed",
        "models": {"$in": ["m", "n"]},
        "started_at": {"$gte": NOON, "$lte": NOON},
    }
    assert call_search(search_of(terms=(model,), client="Zed")) is None


SHAPES = [
    ({}, None, SESSIONS_BY_TIME),
    ({"status": Status.FAILED}, None, SESSIONS_WITH_FAILURES),
    ({"status": Status.FAILED, "started_after": NOON}, None, SESSIONS_WITH_FAILURES),
    ({"status": Status.FAILED, "client": "Codex"}, None, SESSIONS_BY_CLIENT),
    ({"status": Status.COMPLETED}, None, SESSIONS_BY_TIME),
    ({"started_after": NOON, "started_before": NOON + timedelta(hours=1)}, None, SESSIONS_BY_TIME),
    ({"user": BOB_ID}, None, SESSIONS_BY_INITIATOR),
    ({"user": BOB_ID, "model": "gpt-5", "provider": "openai"}, None, SESSIONS_BY_INITIATOR),
    ({"model": "gpt-5", "started_after": NOON, "client": "Codex"}, None, SESSIONS_BY_MODEL),
    ({"provider_name": "openai-eu", "client": "Codex"}, None, SESSIONS_BY_PROVIDER_NAME),
    ({"client": "Codex", "provider": "openai"}, None, SESSIONS_BY_CLIENT),
    ({"provider": "openai"}, None, SESSIONS_BY_PROVIDER),
    ({"session_id": "s1", "model": "gpt-5"}, None, SESSIONS_BY_NAME),
    ({}, BOB_ID, SESSIONS_BY_INITIATOR),
    ({"model": "gpt-5", "client": "Codex"}, BOB_ID, SESSIONS_BY_INITIATOR),
    ({"session_id": "s1"}, BOB_ID, SESSIONS_BY_NAME),
]


def plan(index):
    return "{ " + ", ".join(f"{name}: {direction}" for name, direction in index) + " }"


async def profiled(database, collection, asking):
    """Return what the database did on a collection while it was asked, aside from looking for one document by its id."""
    await database._database.command("profile", 2)
    await asking
    await database._database.command("profile", 0)
    wanted = {"ns": collection.full_name, "command.hint": {"$exists": True}}
    work = await database._database["system.profile"].find(wanted).to_list(None)
    await database._database["system.profile"].drop()
    return work


async def test_every_list_query_runs_on_its_index_without_sorting_and_counts_no_document(database, grouped):
    sessions = await grouped(*(Call(number, initiator=BOB_ID) for number in range(1, 31)))

    async def send(terms, visible_to):
        for cursor in ({}, {"after_id": UUID(int=20)}):
            await sessions.page(found_by(**terms), visible_to=visible_to, limit=10, **cursor)

    for terms, visible_to, index in SHAPES:
        queries = await profiled(database, database.sessions, send(terms, visible_to))
        assert len(queries) == 4, terms  # a count and a page each
        for query in queries:
            assert query["planSummary"] in {f"IXSCAN {plan(index)}", f"COUNT_SCAN {plan(index)}"}, terms
            assert "hasSortStage" not in query, terms
    for terms, visible_to in (({}, None), ({"model": "gpt-5"}, None), ({"client": "Codex"}, BOB_ID), ({}, BOB_ID)):
        asking = sessions.page(found_by(**terms), visible_to=visible_to, limit=1)
        queries = await profiled(database, database.sessions, asking)
        (count,) = [query for query in queries if query["op"] == "command"]
        assert (count["docsExamined"], count["keysExamined"]) in {(0, 30), (0, 31)}, (terms, visible_to)
    far_down = sessions.page({}, visible_to=None, limit=10, after_id=UUID(int=20))
    (query,) = [query for query in await profiled(database, database.sessions, far_down) if query["op"] == "query"]
    assert (query["docsExamined"], query["keysExamined"]) == (11, 11)


def numbers_of(threads):
    return [([document["_id"].int for document in thread.interceptions], thread.more) for thread in threads]


ID = uuid5(ADA.id, "a")


async def test_what_is_shown_of_a_thread_is_bounded(grouped, monkeypatch):
    monkeypatch.setattr(sessions_module, "THREAD_INTERCEPTIONS", 3)
    answering = [Call(number, "a", root=1) for number in range(10, 14)]
    sessions = await grouped(Call(1, "a"), *answering, Call(2, "a"), Call(20, "a", root=2), Call(21, "a", root=2))
    threads, more = await sessions.threads(ID, limit=10)
    assert (numbers_of(threads), more) == ([([1, 10, 11], True), ([2, 20, 21], False)], False)
    assert [thread.last_active_at for thread in threads] == [NOON + timedelta(seconds=at) for at in (15, 23)]


async def test_a_page_of_threads_ends_when_it_has_many_calls(grouped, monkeypatch):
    monkeypatch.setattr(sessions_module, "PAGE_INTERCEPTIONS", 3)
    sessions = await grouped(*(Call(number, "a") for number in range(1, 6)), Call(10, "a", root=1))
    threads, more = await sessions.threads(ID, limit=10)
    assert (numbers_of(threads), more) == ([([1, 10], False), ([2], False)], True)
    threads, more = await sessions.threads(ID, limit=3, after_id=UUID(int=2))
    assert (numbers_of(threads), more) == ([([3], False), ([4], False), ([5], False)], False)


async def test_calls_in_flight_are_shown_by_themselves_until_they_end(database, grouped):
    sessions = await grouped(Call(1, "a"))
    flying, answering = Call(2, "a"), Call(3, "a", root=1)
    await write(database, flying.start, answering.start)
    assert numbers_of((await sessions.threads(ID, limit=10))[0]) == [([1], False), ([2], False), ([3], False)]
    await write(database, answering.end())
    await derive(database)
    threads, _ = await sessions.threads(ID, limit=10)
    assert numbers_of(threads) == [([1, 3], False), ([2], False)]
    assert [thread.last_active_at for thread in threads] == [NOON + timedelta(seconds=at) for at in (5, 2)]
