"""Calls of clients that do not name their sessions: which ones form a session."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from storage.derived.sessions.session_job import SessionJob
from storage.derived.sessions.threads import CONVERSATION_PAUSE, RETRY_SECONDS, Threads
from tests.storage.derived.linking import Call, Clock, documents, keep, write

BOB = UUID(int=7)
FIRST = Call(1, session=None, says=b"1")
SECOND = Call(2, session=None, says=b"2", repeats=b"1")
THIRD = Call(3, session=None, says=b"3", repeats=b"2")
CHAIN = (
    Call(1, session=None, responds="resp_1"),
    Call(2, session=None, responds="resp_2", previous="resp_1"),
    Call(3, session=None, previous="resp_2"),
)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def threads(database, clock):
    return Threads(database, now=clock)


async def sessions(database):
    """The sessions by the number of the call they began with: the numbers of their calls."""
    grouping = SessionJob(database)
    await grouping.add_pending()
    found = {}
    for number, call in sorted((await documents(database)).items()):
        if "session_id" in call:
            found.setdefault(call["session_id"].int, []).append(number)
    kept = {one["_id"].int: one["interceptions"] async for one in database.sessions.find({"started_at": {"$ne": None}})}
    assert kept == {session: len(numbers) for session, numbers in found.items()}
    return found


@pytest.mark.parametrize("calls", [(FIRST, SECOND, THIRD), CHAIN], ids=["messages", "responses"])
@pytest.mark.gen_test
async def test_a_conversation_is_one_session_of_a_thread_for_each_prompt(database, threads, calls):
    await keep(database, *reversed(calls))
    assert await threads.link_pending() == 2
    assert await sessions(database) == {1: [1, 2, 3]}
    found = (await documents(database)).values()
    assert not any({"parent_id", "root_id", "unlinked"} & set(call) for call in found)


@pytest.mark.gen_test
async def test_the_same_opening_without_an_answer_begins_a_session_each_time(database, threads):
    await keep(database, FIRST, replace(FIRST, number=2), replace(FIRST, number=3))
    assert await threads.link_pending() == 0
    assert await sessions(database) == {1: [1], 2: [2], 3: [3]}


@pytest.mark.gen_test
async def test_of_several_openings_the_latest_before_it_is_gone_on_with(database, threads):
    await keep(database, FIRST, replace(FIRST, number=2), replace(SECOND, number=3), replace(FIRST, number=4))
    assert await threads.link_pending() == 1
    assert await sessions(database) == {1: [1], 2: [2, 3], 4: [4]}


def pairs(first, second, others):
    """Calls of a user for each of the others: the first one, changed like that, and one that would go on with it."""
    for number, other in enumerate(others, 1):
        own = {"initiator": UUID(int=100 + number)}
        yield replace(first, number=10 * number + 1, **({"second": 1} | own | other))
        yield replace(second, number=10 * number + 2, second=2, **own)


@pytest.mark.gen_test
async def test_what_is_not_the_same_conversation_is_not_gone_on_with(database, threads, clock):
    too_long_ago = {"second": -CONVERSATION_PAUSE.total_seconds() + 1.999}
    others = {"initiator": BOB}, {"client": "Continue"}, {"session": "session-1"}, {"says": b"0"}, too_long_ago
    await keep(database, *pairs(FIRST, SECOND, others))
    for seconds in RETRY_SECONDS:
        assert await threads.link_pending() == 0
        found = await documents(database)
        assert not any("session_id" in found[number] for number in (12, 22, 32, 42, 52))
        clock.pass_(seconds)
    assert await threads.link_pending() == 0
    found = await sessions(database)
    assert [found[number] for number in (12, 22, 32, 42, 52)] == [[12], [22], [32], [42], [52]]
    assert len(found) == 10


@pytest.mark.gen_test
async def test_a_response_whose_end_is_recorded_late_is_waited_for(database, threads, clock):
    await write(database, CHAIN[0].start)
    await keep(database, CHAIN[1])
    assert await threads.link_pending() == 0
    await write(database, CHAIN[0].end)
    clock.pass_(RETRY_SECONDS[0])
    assert await threads.link_pending() == 1
    assert await sessions(database) == {1: [1, 2]}


@pytest.mark.gen_test
async def test_the_steps_of_an_agent_are_in_the_session_of_the_conversation(database, threads):
    asks = replace(SECOND, issues=("a",))
    step = Call(3, session=None, answers="a", says=b"3", repeats=b"2", issues=("b",))
    last = Call(4, session=None, answers="b", says=b"4", repeats=b"3")
    after = Call(5, session=None, says=b"5", repeats=b"4")
    await keep(database, FIRST, asks, step, last, after)
    assert await threads.link_pending() == 4
    assert await sessions(database) == {1: [1, 2, 3, 4, 5]}
    roots = {number: call.get("root_id") for number, call in (await documents(database)).items()}
    assert roots == {1: None, 2: None, 3: UUID(int=2), 4: UUID(int=2), 5: None}
