"""Counts and pages, with any part of the interceptions in the rollups, equal a count one by one."""

import asyncio
from datetime import timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercept.records import EndReason, Status
from storage.queries import counts as counts_module
from storage.queries.interceptions import Interceptions
from tests.derived import derive
from tests.examples import examples
from tests.storage.queries.decoded import Decoded
from tests.storage.rollup_checks import MIDNIGHT, Call, write
from tests.storage.searches import search_of

ADA, BOB = UUID(int=0xADA), UUID(int=0xB0B)
DAY, HOUR = 86_400, 3_600
ENDED = search_of().filter() | {"status": {"$in": ["completed", "failed"]}}
FAILED = EndReason.UPSTREAM_ERROR
OTHERS_READ = counts_module.OTHERS_READ

moments = st.sampled_from(
    [5, 6, HOUR - 0.001, HOUR, 2 * HOUR, DAY - 0.001, DAY, DAY + 1, 3 * DAY + HOUR, 3 * DAY + 9_000]
)
initiators, models, clients = (
    st.sampled_from([ADA, BOB]),
    st.sampled_from(["gpt-5", "m"]),
    st.sampled_from(["Codex", "Zed"]),
)
provider_names = st.sampled_from(["openai", "own"])
calls = st.lists(st.tuples(moments, initiators, models, provider_names, clients), min_size=1, max_size=16).map(
    lambda rows: [Call(number, *row) for number, row in enumerate(rows, start=1)]
)
times = st.none() | moments.map(lambda second: MIDNIGHT + timedelta(seconds=second))
searches = st.builds(
    search_of,
    provider=st.sampled_from([None, None, "openai", "anthropic"]),
    provider_name=st.none() | provider_names,
    model=st.none() | models,
    client=st.none() | clients,
    status=st.sampled_from([None, None, *Status]),
    started_after=times,
    started_before=times,
)
lives = st.sampled_from(["completed", "failed", "presumed", "in flight"])


def now():
    return MIDNIGHT


async def counted(database, until=MIDNIGHT + timedelta(days=8)):
    """Derive all, and have it look as if it had been then."""
    await derive(database, now=now)
    await database.derived.update_one({}, {"$set": {"time": until}})


async def live(database, call, how):
    await write(database, *lived(call, how))


def lived(call, how):
    ends = {
        "completed": call.end,
        "failed": lambda: call.end(end_reason=FAILED),
        "presumed": call.presumed_end,
    }
    return [call.start, *([ends[how]()] if how in ends else [])]


async def everything(database, search_filter, visible_to):
    """The numbers of all that MongoDB finds in one go, newest first."""
    found = database.interceptions.find(search_filter).sort([("started_at", -1), ("_id", -1)])
    return [one["_id"].int for one in await found.to_list(None) if visible_to in {None, one["initiator_id"]}]


async def pages(interceptions, search_filter, visible_to, *, by):
    """What there is, page by page, and every count that came with it."""
    numbers, counts, after_id = [], set(), None
    while True:
        cursor = {"offset": len(numbers)} if by == "offset" else {"after_id": after_id}
        count, documents = await interceptions.page(search_filter, visible_to=visible_to, limit=3, **cursor)
        counts.add(count)
        if not documents:
            return numbers, counts
        numbers += [document["_id"].int for document in documents]
        after_id = documents[-1]["_id"]


async def agrees(database, search_filter, visible_to=None):
    wanted = await everything(database, search_filter, visible_to)
    interceptions = Decoded(Interceptions(database))
    for by in ("offset", "after_id"):
        assert await pages(interceptions, search_filter, visible_to, by=by) == (wanted, {len(wanted)})


@settings(max_examples=examples(4, 60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=calls,
    how=st.lists(lives, min_size=16, max_size=16),
    until=moments,
    replaced=st.sampled_from([None, "completed", "failed"]),
    gone=st.integers(0, 4),
    requested=st.lists(st.tuples(searches, st.none() | initiators, st.none() | initiators), min_size=3, max_size=3),
)
def test_however_much_is_counted_each_count_and_page_is_right(
    *, io_loop, database, monkeypatch, calls, how, until, replaced, gone, requested
):
    until = MIDNIGHT + timedelta(seconds=until)

    async def compare():
        for collection in (database.interceptions, database.rollups, database.derived):
            await collection.delete_many({})
        lived_by = list(zip(calls, how, strict=False))
        for call, one in lived_by:
            if call.started_at < until:
                await live(database, call, one)
        if replaced:
            reason = EndReason(replaced) if replaced == "completed" else FAILED
            await write(database, *(call.end(end_reason=reason) for call in calls[::2] if call.started_at < until))
        await counted(database, until)
        for call, one in lived_by:
            if call.started_at >= until:  # these are in no rollup
                await live(database, call, one)
        oldest = await database.interceptions.find({}, {"_id": True}).sort("started_at").limit(gone).to_list(None)
        await database.interceptions.delete_many({"_id": {"$in": [document["_id"] for document in oldest]}})
        for search, initiator, visible_to in requested:
            search_filter = search.filter() | ({"initiator_id": initiator} if initiator else {})
            for others in (-1, OTHERS_READ):
                monkeypatch.setattr(counts_module, "OTHERS_READ", others)
                await agrees(database, search_filter, visible_to)

    io_loop.run_sync(compare, timeout=60)


async def calls_of_four_days(database, number=20):
    """Calls that have ended and are counted, five a day."""
    made = [Call(each, second=each * 4 * DAY / number) for each in range(number)]
    await write(
        database, *(one for call in made for one in lived(call, "failed" if call.number % 10 == 7 else "completed"))
    )
    await counted(database)
    return made


async def test_what_rollups_have_is_counted_there_and_what_began_since_in_the_index(database):
    await calls_of_four_days(database)
    await database.rollups.update_many({}, {"$inc": {"interceptions": 100}})
    interceptions = Decoded(Interceptions(database))
    for until, is_read_in_rollups in ((MIDNIGHT, False), (MIDNIGHT + timedelta(days=8), True)):
        await database.derived.update_one({}, {"$set": {"time": until}})
        count, _ = await interceptions.page(ENDED, visible_to=None, limit=1)
        assert (until, count > 20) == (until, is_read_in_rollups)


async def test_pages_by_cursor_have_each_row_once_while_others_are_recorded_and_counted(database):
    made = await calls_of_four_days(database)
    interceptions = Decoded(Interceptions(database))
    numbers, after_id, newer = [], None, 1_000
    while True:
        count, documents = await interceptions.page(ENDED, visible_to=None, limit=4, after_id=after_id)
        assert count == len(made) + newer - 1_000
        if not documents:
            break
        numbers += [document["_id"].int for document in documents]
        after_id = documents[-1]["_id"]
        for _ in range(3):
            await live(database, Call(newer, second=8 * DAY + newer), "completed")
            newer += 1
        if newer % 2:
            await counted(database)
    assert numbers == [call.number for call in reversed(made)]


async def test_a_count_is_right_at_every_moment_while_others_are_counted(database):
    interceptions = Decoded(Interceptions(database))
    written = 0

    async def record():
        nonlocal written
        for number in range(12):
            await live(database, Call(number, second=number * 9_000), "completed")
            written += 1
            if number % 4 == 0:
                await counted(database, MIDNIGHT + timedelta(seconds=number * 9_000))

    recording = asyncio.create_task(record())
    while not recording.done():
        before = written
        count, _ = await interceptions.page(ENDED, visible_to=None, limit=1)
        if not before <= count <= written + 1:
            recording.cancel()
        assert before <= count <= written + 1
    await recording
