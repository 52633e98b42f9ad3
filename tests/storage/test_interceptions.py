from datetime import timedelta
from uuid import UUID

import pytest

from intercept.records import EndReason, Reading, Status, TokenUsage
from storage.database import BY_INITIATOR, BY_MODEL, BY_REQUEST, BY_SESSION, BY_TIME, DatabaseUnavailableError
from storage.documents import ending_fields, start_document
from storage.interceptions import Interceptions, UnknownCursorError
from storage.search import Search
from tests.storage.records import ADA, INSTANCE, NOON, counting_ids, ending, interception

BOB_ID = UUID("00000b0b-0000-4000-8000-000000000000")
EVERYTHING = Search().filter(initiator_id=None)


def made(number, *, end_reason=EndReason.COMPLETED, **changes):
    """Make the document of the interception with this number, started that many seconds after noon."""
    fields = {"id": UUID(int=number), "started_at": NOON + timedelta(seconds=number), **changes}
    document = start_document(interception(**fields), instance_id=INSTANCE, new_id=counting_ids())
    if end_reason is None:
        return document
    reading = Reading(response_id=f"resp_{number}", token_usages=(TokenUsage(provider_response_id=f"other_{number}"),))
    end = ending(
        interception_id=fields["id"], end_reason=end_reason, upstream_request_id=f"req_{number}", reading=reading
    )
    return document | ending_fields(end, new_id=counting_ids())


async def keep(database, *documents):
    await database.interceptions.insert_many(documents)
    return Interceptions(database)


def numbers(page):
    count, documents = page
    return count, [document["_id"].int for document in documents]


@pytest.mark.gen_test
async def test_nothing_recorded_is_an_empty_page(database):
    assert await Interceptions(database).page(EVERYTHING, visible_to=None, limit=10) == (0, [])


@pytest.mark.gen_test
async def test_a_page_has_whole_documents(database):
    document = made(1)
    interceptions = await keep(database, document)
    assert await interceptions.page(EVERYTHING, visible_to=None, limit=10) == (1, [document])


@pytest.mark.gen_test
async def test_the_newest_come_first_and_of_one_moment_the_greatest_id(database):
    documents = [made(number, started_at=NOON + timedelta(seconds=number // 3)) for number in (4, 1, 6, 3, 2, 5)]
    interceptions = await keep(database, *documents)
    assert numbers(await interceptions.page(EVERYTHING, visible_to=None, limit=10)) == (6, [6, 5, 4, 3, 2, 1])


@pytest.mark.gen_test
async def test_pages_by_cursor_and_by_offset_are_the_same_list(database):
    documents = [made(number, started_at=NOON + timedelta(seconds=number // 3)) for number in range(1, 9)]
    interceptions = await keep(database, *documents)
    after_id, by_cursor, by_offset = None, [], []
    for offset in (0, 3, 6):
        page = await interceptions.page(EVERYTHING, visible_to=None, limit=3, after_id=after_id)
        after_id = page[1][-1]["_id"]
        by_cursor.append(numbers(page))
        by_offset.append(numbers(await interceptions.page(EVERYTHING, visible_to=None, limit=3, offset=offset)))
    assert by_cursor == by_offset == [(8, [8, 7, 6]), (8, [5, 4, 3]), (8, [2, 1])]


@pytest.mark.gen_test
async def test_behind_the_last_there_is_nothing(database):
    interceptions = await keep(database, made(1), made(2))
    assert await interceptions.page(EVERYTHING, visible_to=None, limit=3, after_id=UUID(int=1)) == (2, [])
    assert await interceptions.page(EVERYTHING, visible_to=None, limit=3, offset=2**31 - 1) == (2, [])


@pytest.mark.gen_test
async def test_a_cursor_need_not_match_the_search(database):
    interceptions = await keep(database, made(1), made(2, model="other"), made(3))
    search_filter = Search(model="gpt-5").filter(initiator_id=None)
    page = await interceptions.page(search_filter, visible_to=None, limit=3, after_id=UUID(int=2))
    assert numbers(page) == (2, [1])


@pytest.mark.gen_test
async def test_an_unknown_cursor_is_refused(database):
    interceptions = await keep(database, made(1))
    message = f"there is no interception {UUID(int=2)} that the caller may see"
    with pytest.raises(UnknownCursorError, match=f"^{message}$"):
        await interceptions.page(EVERYTHING, visible_to=None, limit=3, after_id=UUID(int=2))


@pytest.mark.gen_test
async def test_a_member_sees_and_counts_only_their_own(database):
    interceptions = await keep(database, made(1), made(2, initiator_id=BOB_ID), made(3))
    assert numbers(await interceptions.page(EVERYTHING, visible_to=ADA.id, limit=10)) == (2, [3, 1])
    with pytest.raises(UnknownCursorError):
        await interceptions.page(EVERYTHING, visible_to=ADA.id, limit=10, after_id=UUID(int=2))


@pytest.mark.gen_test
async def test_a_member_who_asks_for_another_finds_nothing(database):
    interceptions = await keep(database, made(1), made(2, initiator_id=BOB_ID))
    search_filter = Search(initiator="bob").filter(initiator_id=BOB_ID)
    assert await interceptions.page(search_filter, visible_to=ADA.id, limit=10) == (0, [])


@pytest.mark.gen_test
async def test_what_is_in_flight_is_left_out_unless_asked_for(database):
    interceptions = await keep(
        database, made(1), made(2, end_reason=None), made(3, end_reason=EndReason.SERVER_CRASHED)
    )

    async def found(**terms):
        return numbers(await interceptions.page(Search(**terms).filter(initiator_id=None), visible_to=None, limit=10))

    assert await found() == (2, [3, 1])
    assert await found(status=Status.IN_FLIGHT) == (1, [2])
    assert await found(status=Status.FAILED) == (1, [3])
    assert await found(request_id=str(UUID(int=2))) == (1, [2])


@pytest.mark.gen_test
async def test_every_term_narrows_the_list(database):
    changed = {
        "provider": "anthropic",
        "provider_name": "mine",
        "model": "m",
        "client": "Zed",
        "client_session_id": "s2",
        "initiator_id": BOB_ID,
    }
    documents = [made(number, **{name: value}) for number, (name, value) in enumerate(changed.items(), start=1)]
    interceptions = await keep(database, *documents, made(7), made(8))
    searches = [
        Search(provider="anthropic"),
        Search(provider_name="mine"),
        Search(model="m"),
        Search(client="Zed"),
        Search(session_id="s2"),
        Search(initiator="bob"),
        Search(started_after=NOON + timedelta(seconds=7), started_before=NOON + timedelta(seconds=7)),
        Search(request_id="req_8"),
        Search(request_id="resp_8"),
        Search(request_id="other_8"),
        Search(request_id=str(UUID(int=8))),
    ]
    filters = [search.filter(initiator_id=BOB_ID if search.initiator else None) for search in searches]
    pages = [numbers(await interceptions.page(each, visible_to=None, limit=10)) for each in filters]
    assert pages == [(1, [n]) for n in (1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8)]


SHAPES = [
    (Search(), None, BY_TIME),
    (Search(status=Status.IN_FLIGHT), None, BY_TIME),
    (Search(status=Status.FAILED, provider="openai", client="Codex"), None, BY_TIME),
    (Search(provider_name="openai-eu"), None, BY_TIME),
    (Search(started_after=NOON, started_before=NOON + timedelta(hours=1)), None, BY_TIME),
    (Search(initiator="ada"), None, BY_INITIATOR),
    (Search(initiator="ada", model="gpt-5", provider="openai"), None, BY_INITIATOR),
    (Search(model="gpt-5", started_after=NOON), None, BY_MODEL),
    (Search(model="gpt-5", status=Status.COMPLETED), None, BY_MODEL),
    (Search(session_id="session-1"), None, BY_SESSION),
    (Search(session_id="session-1", initiator="ada"), None, BY_SESSION),
    (Search(request_id="resp_7"), None, BY_REQUEST),
    (Search(request_id="resp_7", session_id="session-1", model="gpt-5"), None, BY_REQUEST),
    (Search(), ADA.id, BY_INITIATOR),
    (Search(model="gpt-5", client="Codex", status=Status.FAILED), ADA.id, BY_INITIATOR),
    (Search(session_id="session-1"), ADA.id, BY_SESSION),
    (Search(request_id="resp_7"), ADA.id, BY_REQUEST),
]


@pytest.mark.parametrize(("search", "visible_to", "index"), SHAPES)
@pytest.mark.gen_test
async def test_every_list_query_runs_on_its_index_without_sorting(database, search, visible_to, index):
    interceptions = await keep(database, *(made(number) for number in range(1, 31)))
    search_filter = search.filter(initiator_id=ADA.id if search.initiator else None)
    await database._database.command("profile", 2)
    for cursor in ({}, {"after_id": UUID(int=20)}, {"offset": 5}):
        await interceptions.page(search_filter, visible_to=visible_to, limit=10, **cursor)
    await database._database.command("profile", 0)
    profiled = {"ns": database.interceptions.full_name, "command.hint": {"$exists": True}}
    queries = await database._database["system.profile"].find(profiled).to_list(None)
    plan = "{ " + ", ".join(f"{name}: {direction}" for name, direction in index) + " }"
    assert len(queries) == 6  # a count and a page each
    for query in queries:
        assert query["planSummary"] in {f"IXSCAN {plan}", f"COUNT_SCAN {plan}"}
        assert "hasSortStage" not in query


@pytest.mark.parametrize(
    ("search", "visible_to"),
    [
        (Search(), None),
        (Search(provider="openai", provider_name="openai-eu", client="Codex"), None),
        (Search(model="gpt-5"), None),
        (Search(model="gpt-5", client="Codex"), ADA.id),
    ],
)
@pytest.mark.gen_test
async def test_counting_looks_at_no_document(database, search, visible_to):
    interceptions = await keep(database, *(made(number) for number in range(1, 31)))
    await database._database.command("profile", 2)
    assert (await interceptions.page(search.filter(initiator_id=None), visible_to=visible_to, limit=1))[0] == 30
    await database._database.command("profile", 0)
    count = await database._database["system.profile"].find_one({"command.aggregate": "interceptions"})
    assert (count["docsExamined"], count["keysExamined"]) == (0, 30)


@pytest.mark.gen_test
async def test_a_page_far_down_looks_at_little_more_than_it_returns(database):
    interceptions = await keep(database, *(made(number) for number in range(1, 101)))
    await database._database.command("profile", 2)
    page = await interceptions.page(EVERYTHING, visible_to=None, limit=10, after_id=UUID(int=20))
    await database._database.command("profile", 0)
    query = await database._database["system.profile"].find_one({"op": "query", "command.hint": {"$exists": True}})
    assert numbers(page) == (100, list(range(19, 9, -1)))
    assert (query["docsExamined"], query["keysExamined"]) == (11, 11)


@pytest.mark.gen_test
async def test_without_the_database_the_error_says_so(unreachable):
    interceptions = Interceptions(unreachable)
    with pytest.raises(
        DatabaseUnavailableError, match=r"^MongoDB is unavailable: 127\.0\.0\.1:\d+: .*Connection refused$"
    ):
        await interceptions.page(EVERYTHING, visible_to=None, limit=1)
