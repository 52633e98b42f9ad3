from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from intercept.records import EndReason, Reading, Status, TokenUsage
from storage.queries import counts
from storage.queries.interceptions import Interceptions
from storage.recording.documents import ended_document, start_document
from tests.derived import derive
from tests.storage.calls import Calls
from tests.storage.queries.decoded import Decoded
from tests.storage.records import ADA, INSTANCE, NOON, ending, interception, kept
from tests.storage.searches import search_of

BOB_ID = UUID("00000b0b-0000-4000-8000-000000000000")
EVERYTHING = search_of().filter()


def made(number, *, end_reason=EndReason.COMPLETED, **changes):
    """Make the document of the interception with this number, started that many seconds after noon."""
    fields = {"id": UUID(int=number), "started_at": NOON + timedelta(seconds=number), **changes}
    document = start_document(interception(**fields), instance_id=INSTANCE)
    if end_reason is None:
        return kept(document)
    reading = Reading(response_id=f"resp_{number}", token_usages=(TokenUsage(provider_response_id=f"other_{number}"),))
    end = ending(
        interception_id=fields["id"], end_reason=end_reason, upstream_request_id=f"req_{number}", reading=reading
    )
    return kept(ended_document(document, end))


async def keep(database, *documents):
    await database.interceptions.insert_many(documents)
    return Decoded(Interceptions(database))


def numbers(page):
    count, documents = page
    return count, [document["_id"].int for document in documents]


async def fill(database):
    """Keep calls of four days, one an hour, counted but for the last ones."""
    hours = [timedelta(hours=number) for number in range(100)]
    failed = {number for number in range(100) if number % 4 == 0}
    documents = [
        made(
            number,
            started_at=NOON + hours[number],
            end_reason=EndReason.UPSTREAM_ERROR if number in failed else EndReason.COMPLETED,
            client="Zed" if number == 50 else "Codex",
        )
        for number in range(100)
    ]
    await keep(database, *documents[:97])
    await derive(database, now=lambda: NOON)
    await database.derived.update_one({}, {"$set": {"time": documents[97]["started_at"]}})
    await keep(database, *documents[97:], made(200, end_reason=None))


@asynccontextmanager
async def profiled(database):
    """Have MongoDB note its work; yields what tells of a page its work and what that answered."""
    notes, interceptions, seen = database._database["system.profile"], Decoded(Interceptions(database)), 0
    names = [database.interceptions.full_name, database.rollups.full_name]
    queries = {"ns": {"$in": names}, "$or": [{f"command.{name}": {"$exists": True}} for name in ("find", "aggregate")]}

    async def page(*terms, **options):
        nonlocal seen
        response = await interceptions.page(*terms, **options)
        work = await notes.find(queries).skip(seen).to_list(None)
        seen += len(work)
        return work, response

    await database._database.command("profile", 2)
    try:
        yield page
    finally:
        await database._database.command("profile", 0)
        await notes.drop()


async def test_counting_looks_at_few_keys_and_only_at_documents_that_are_not_counted(filled):
    counted = []
    async with profiled(filled) as page:
        for search, visible_to, keys in (
            (search_of(), None, 40),
            (search_of(status=Status.FAILED), None, 40),
            (search_of(provider="openai", provider_name="openai-eu", client="Codex"), None, 60),
            (search_of(model="gpt-5"), None, 60),
            (search_of(model="gpt-5", client="Codex"), ADA.id, 60),
            (search_of(), ADA.id, 40),
        ):
            search_filter, case = search.filter(), (search, visible_to)
            work, (count, _) = await page(search_filter, visible_to=visible_to, limit=1)
            assert sum(query["keysExamined"] for query in work) <= keys, case
            counting = [query for query in work if query["ns"] == filled.interceptions.full_name][:-1]
            assert max(query["docsExamined"] for query in counting) <= 3, case
            counted.append((search_filter, count))
    for search_filter, count in counted:
        assert count == await filled.interceptions.count_documents(search_filter), search_filter


async def test_a_page_looks_at_little_more_than_it_returns_wherever_it_is_and_however_rare(filled, monkeypatch):
    async with profiled(filled) as page:
        for cursor in ({"after_id": UUID(int=20)}, {"offset": 80}):
            work, found = await page(EVERYTHING, visible_to=None, limit=10, **cursor)
            assert numbers(found) == (100, list(range(19, 9, -1))), cursor
            assert (work[-1]["command"]["limit"], work[-1]["docsExamined"] <= 11) == (10, True), cursor
            assert work[-1]["keysExamined"] <= 10 + 24, cursor  # within a day, what is before the page is skipped
        work, found = await page({"client": "Zed", "status": "failed"}, visible_to=None, limit=10)
        assert found == (0, [])
        assert [query for query in work if query["command"].get("limit") == 10] == []
        monkeypatch.setattr(counts, "OTHERS_READ", 20)
        work, found = await page(EVERYTHING | {"client": "Zed"}, visible_to=None, limit=10)
        assert numbers(found) == (1, [50])
        assert (work[-1]["command"]["limit"], work[-1]["docsExamined"]) == (10, 1)
        assert work[-1]["keysExamined"] <= 10


async def test_a_response_is_known_to_the_user_who_got_it_from_this_provider(database):
    await keep(database, made(1))
    has_response = Interceptions(database).has_response
    assert await has_response(ADA.id, made(1)["provider_name"], "resp_1")
    for initiator_id, provider_name, response_id in (
        (BOB_ID, made(1)["provider_name"], "resp_1"),
        (ADA.id, "elsewhere", "resp_1"),
        (ADA.id, made(1)["provider_name"], "resp_2"),
    ):
        assert not await has_response(initiator_id, provider_name, response_id)


async def test_of_some_interceptions_it_is_told_which_have_ended_for_sure(database):
    calls = Calls(database)
    for number in range(1, 4):
        await calls.start(number)
    await calls.end(1)
    await calls.presume(2)
    assert await Interceptions(database).ended_ones([UUID(int=number) for number in range(1, 5)]) == {UUID(int=1)}
