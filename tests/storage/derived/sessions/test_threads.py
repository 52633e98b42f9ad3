from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercept.records import ToolResult
from storage.derived.sessions import threads as threads_module
from storage.derived.sessions.session_job import SessionJob
from storage.derived.sessions.threads import RETRY_SECONDS, Threads
from storage.recording.documents import MAX_ID
from tests.examples import examples
from tests.storage.derived.linking import Call, Clock, documents, keep, write
from tests.storage.profiling import profiling

PENDING = "pending"
NO_THREAD = None


FIRST = Call(1, issues=("a", "b"))
SECOND = Call(2, answers="b", issues=("c",))
THIRD = Call(3, answers="c")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def threads(database, clock):
    return Threads(database, now=clock)


def place(document):
    """The numbers of parent and root, or what there is in their place."""
    if "unlinked" in document:
        assert not {"parent_id", "root_id"} & set(document)
        return PENDING
    return (document["parent_id"].int, document["root_id"].int) if "parent_id" in document else NO_THREAD


async def places(database):
    return {number: place(document) for number, document in (await documents(database)).items()}


@pytest.mark.gen_test
async def test_an_answer_to_a_tool_call_goes_on_with_the_call_and_nothing_else_changes(database, threads):
    await keep(database, FIRST, SECOND, THIRD)
    before = await documents(database)
    assert await threads.link_pending() == 2
    for number, parent in (2, 1), (3, 2):
        del before[number]["unlinked"]
        before[number] |= {"parent_id": UUID(int=parent), "root_id": UUID(int=1)}
    assert await documents(database) == before
    assert await threads.link_pending() == 0
    assert await documents(database) == before


def apart(user, *calls):
    """The same calls of another user, with numbers of their own."""
    return [replace(call, number=10 * user + call.number, initiator=UUID(int=user)) for call in calls]


def orders():
    """Every order in which the starts and ends of three calls can arrive."""
    calls = (FIRST, SECOND, THIRD)
    for order in permutations([(call, kind) for call in calls for kind in ("start", "end")]):
        if all(order.index((call, "start")) < order.index((call, "end")) for call in calls):
            yield order


@pytest.mark.gen_test
async def test_in_whatever_order_records_arrive_between_the_passes_the_thread_is_the_same(database, threads, clock):
    worlds = [
        [(replace(call, number=10 * world + call.number, initiator=UUID(int=world)), kind) for call, kind in order]
        for world, order in enumerate(orders(), start=1)
    ]
    assert len(worlds) == 90
    linked = 0
    for step in range(6):
        await write(database, *(getattr(*world[step]) for world in worlds))
        linked += await threads.link_pending()
        clock.pass_(1)
    for seconds in (600, *RETRY_SECONDS):
        clock.pass_(seconds)
        linked += await threads.link_pending()
    assert linked >= 2 * len(worlds)  # what was linked in flight is linked again when it has ended
    expected = {}
    for root in range(11, 10 * len(worlds) + 11, 10):
        expected |= {root: NO_THREAD, root + 1: (root, root), root + 2: (root + 1, root)}
    found = await places(database)
    assert {number: found[number] for number in expected} == expected


@pytest.mark.gen_test
async def test_nothing_is_its_own_ancestor(database, threads, clock):
    await keep(
        database,
        Call(1, answers="x", issues=("x",)),
        Call(2, answers="z", issues=("y",)),
        Call(3, answers="y", issues=("z",)),
    )
    for seconds in (*RETRY_SECONDS, 0):
        await threads.link_pending()
        clock.pass_(seconds)
    assert await places(database) == {1: NO_THREAD, 2: NO_THREAD, 3: (2, 2)}


@pytest.mark.gen_test
async def test_a_session_has_its_calls_within_seconds_also_where_a_parent_is_missing(database, threads, clock):
    assert sum(RETRY_SECONDS) < 10
    await write(database, FIRST.start, SECOND.start, SECOND.end)
    for seconds in RETRY_SECONDS:
        assert await threads.link_pending() == 0
        assert await places(database) == {1: NO_THREAD, 2: PENDING}
        clock.pass_(seconds)
    assert await threads.link_pending() == 0
    assert await places(database) == {1: NO_THREAD, 2: NO_THREAD}
    assert await SessionJob(database).add_pending() == 1
    await write(database, FIRST.end)
    clock.pass_(3600)
    assert await threads.link_pending() == 0
    assert await places(database) == {1: NO_THREAD, 2: NO_THREAD}


@pytest.mark.gen_test
async def test_what_is_looked_for_in_vain_does_not_hold_up_the_rest(database, threads, monkeypatch):
    monkeypatch.setattr(threads_module, "BATCH", 3)
    unrelated = [Call(number, answers=f"unheard of {number}", second=-number) for number in range(10, 20)]
    await keep(database, *unrelated, FIRST, SECOND)
    assert await threads.link_pending() == 1
    assert await places(database) == {1: NO_THREAD, 2: (1, 1)} | dict.fromkeys(range(10, 20), PENDING)


@pytest.mark.gen_test
async def test_several_servers_at_once_link_each_record_once(database, clock, monkeypatch):
    monkeypatch.setattr(threads_module, "BATCH", 7)
    chains = [
        Call(100 * chain + link, answers=f"{chain} {link - 1}" if link else None, issues=(f"{chain} {link}",))
        for chain in range(1, 5)
        for link in range(6)
    ]
    await keep(database, *reversed(chains))
    clock.pass_(3600)
    servers = [Threads(database, now=clock) for _ in range(4)]
    linked = await asyncio.gather(*(server.link_pending() for server in servers))
    assert sum(linked) == 20
    expected = {
        100 * chain + link: (100 * chain + link - 1, 100 * chain) if link else NO_THREAD
        for chain in range(1, 5)
        for link in range(6)
    }
    assert await places(database) == expected


@pytest.mark.gen_test
async def test_any_text_may_be_an_id(database, threads):
    ids = ["\0", "$where", "a.b", "\ud800", "{'$gt': ''}", "\U0001f300" * MAX_ID]
    for number, id_ in enumerate(ids):
        issues, user = ("", "x" * 10**6, id_, id_), UUID(int=1 + number)
        await keep(database, Call(10 * number + 1, issues=issues, initiator=user))
        for other, answers in (2, id_), (3, "other"):
            await keep(database, Call(10 * number + other, answers=answers, initiator=user))
    assert await threads.link_pending() == len(ids)
    found = await places(database)
    for first, id_ in zip(range(1, 61, 10), ids, strict=True):
        assert [found[first + more] for more in range(3)] == [NO_THREAD, (first, first), PENDING], id_


calls = st.builds(
    Call,
    number=st.just(0),
    answers=st.none() | st.sampled_from("abc"),
    issues=st.lists(st.sampled_from("abc"), max_size=2).map(tuple),
    initiator=st.sampled_from([UUID(int=1), UUID(int=2)]),
    second=st.integers(0, 5),
)


def thread_of(call, world):
    """Where a call belongs, calculated independently."""
    issuers = [
        other
        for other in world
        if other.initiator == call.initiator and call.answers in other.issues and other.started_at < call.started_at
    ]
    if not issuers:
        return NO_THREAD
    parent = max(issuers, key=lambda other: (other.started_at, other.number))
    return parent.number, (thread_of(parent, world) or (0, parent.number))[1]


@settings(max_examples=examples(4, 80), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=st.lists(calls, max_size=10), data=st.data())
def test_every_answer_goes_on_with_the_latest_call_before_it(io_loop, database, world, data):
    world = [replace(call, number=number) for number, call in enumerate(world, start=1)]
    clock = Clock()

    async def link():
        await database.interceptions.delete_many({})
        if world:
            await keep(database, *data.draw(st.permutations(world)))
        threads = Threads(database, now=clock)
        for seconds in (*RETRY_SECONDS, 0):
            await threads.link_pending()
            clock.pass_(seconds)
        assert await places(database) == {call.number: thread_of(call, world) for call in world}

    io_loop.run_sync(link)


@pytest.mark.gen_test
async def test_every_question_is_answered_by_its_index_without_sorting(database, threads):
    same = [Call(number, issues=("call_0",)) for number in range(10, 40)]
    others = [replace(call, number=call.number + 100, initiator=uuid4()) for call in same]
    await keep(database, *same, *others, Call(50, answers="call_0"))
    async with profiling(database) as profiled:
        assert await threads.link_pending() == 1
    queries = [entry for entry in profiled if entry["op"] == "query"]
    by_call = "IXSCAN { links: 1, started_at: -1, _id: -1 }"
    due = "IXSCAN { unlinked.due: 1, started_at: 1 }"
    assert [(query["planSummary"], query["docsExamined"]) for query in queries] == [(due, 1), (by_call, 1), (due, 0)]
    assert not any("hasSortStage" in query for query in queries)


def given_to(document):
    """The results of the tool calls of a document, by the call's id."""
    return {
        usage["provider_tool_call_id"]: (result["bytes"], result["is_error"])
        for usage in document["tool_usages"]
        if (result := usage.get("result"))
    }


A, B = ToolResult(id="a", bytes=7, is_error=True), ToolResult(id="b", bytes=9)


@pytest.mark.gen_test
async def test_results_of_tool_calls_go_into_the_call_of_the_same_user_that_issued_them(database, threads):
    others = [ToolResult(id=id_, bytes=1) for id_ in ("nobody's", "", "a")]  # "a" again: a secret may have been hidden
    answered = apart(1, FIRST, replace(SECOND, results=(*others, A, B)))
    before_words = apart(2, FIRST, Call(2, results=(A,)))
    continued = apart(
        3, replace(FIRST, session=None, responds="resp_1"), Call(2, session=None, previous="resp_1", results=(B,))
    )
    stranger = replace(SECOND, number=42, initiator=UUID(int=7), results=(B,))
    await keep(database, *answered, *before_words, *continued, *apart(4, FIRST), stranger)
    assert await threads.link_pending() == 3
    found = await documents(database)
    given = {number: given_to(found[number]) for number in (11, 21, 31, 41)}
    assert given == {11: {"a": (7, True), "b": (9, None)}, 21: {"a": (7, True)}, 31: {"b": (9, None)}, 41: {}}
    assert place(found[22]) == NO_THREAD
    await keep(database, *apart(1, FIRST, SECOND))
    assert await documents(database) == found


@pytest.mark.gen_test
async def test_two_servers_at_a_time_give_each_tool_call_one_result(database, clock):
    calls = [Call(number, issues=(f"t{number}",)) for number in range(1, 10)]
    answering = [
        Call(100 + number, answers=f"t{number}", results=(ToolResult(id=f"t{number}", bytes=number),))
        for number in range(1, 10)
    ]
    await keep(database, *calls, *answering)
    both = [Threads(database, now=clock), Threads(database, now=clock)]
    assert sum(await asyncio.gather(*(one.link_pending() for one in both))) == 9
    found = await documents(database)
    assert [given_to(found[number]) for number in range(1, 10)] == [
        {f"t{number}": (number, None)} for number in range(1, 10)
    ]
