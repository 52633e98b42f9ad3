from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercept.records import ToolResult
from storage.derived.sessions.grouping import CONVERSATION_PAUSE
from storage.recording.documents import MAX_ID
from tests.derived import derive
from tests.examples import examples
from tests.storage.session_checks import Call, write

NO_THREAD = None
BOB = UUID(int=7)
FIRST = Call(1, "session-1", issues=("a", "b"))
SECOND = Call(2, "session-1", answers="b", issues=("c",))
OPENING = Call(1, says=b"1")
REPLY = Call(2, says=b"2", repeats=b"1")
LAST = Call(3, says=b"3", repeats=b"2")
CHAIN = (
    Call(1, responds="resp_1"),
    Call(2, responds="resp_2", previous="resp_1"),
    Call(3, previous="resp_2"),
)


async def keep(database, *calls):
    """Write calls that have ended, one behind the other, and link them."""
    await write(database, *[call.end() for call in calls])
    await derive(database)


async def documents(database):
    return {document["_id"].int: document async for document in database.interceptions.find()}


def place(document):
    """The numbers of parent and root, or what there is in their place."""
    return (document["parent_id"].int, document["root_id"].int) if "parent_id" in document else NO_THREAD


async def places(database):
    return {number: place(document) for number, document in (await documents(database)).items()}


def apart(user, *calls):
    """Calls like these, made by another user, with numbers of their own."""
    return [replace(call, number=10 * user + call.number, initiator=UUID(int=user)) for call in calls]


async def test_nothing_is_its_own_ancestor(database):
    await keep(
        database,
        Call(1, answers="x", issues=("x",)),
        Call(2, answers="z", issues=("y",)),
        Call(3, answers="y", issues=("z",)),
    )
    assert await places(database) == {1: NO_THREAD, 2: NO_THREAD, 3: (2, 2)}


async def test_a_call_whose_parent_is_recorded_late_begins_a_session(database):
    await derive(database)
    await keep(database, replace(SECOND, session=None))
    await keep(database, replace(FIRST, session=None))
    assert await places(database) == {1: NO_THREAD, 2: NO_THREAD}
    assert await database.sessions.distinct("interceptions") == [1]


async def test_any_text_may_be_an_id(database):
    ids = ["\0", "$where", "a.b", "\ud800", "{'$gt': ''}", "\U0001f300" * MAX_ID]
    for number, id_ in enumerate(ids):
        issues, user = ("", "x" * 10**6, id_, id_), UUID(int=1 + number)
        await keep(database, Call(10 * number + 1, issues=issues, initiator=user))
        for other, answers in (2, id_), (3, "other"):
            await keep(database, Call(10 * number + other, answers=answers, initiator=user))
    found = await places(database)
    for first, id_ in zip(range(1, 61, 10), ids, strict=True):
        assert [found[first + more] for more in range(3)] == [NO_THREAD, (first, first), NO_THREAD], id_


calls = st.builds(
    Call,
    number=st.just(0),
    session=st.just("session-1"),
    answers=st.none() | st.sampled_from("abc"),
    issues=st.lists(st.sampled_from("abc"), max_size=2).map(tuple),
    initiator=st.sampled_from([UUID(int=1), UUID(int=2)]),
    second=st.integers(0, 5),
)


def thread_of(call, world):
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

    async def link():
        for collection in (database.interceptions, database.sessions, database.derived):
            await collection.delete_many({})
        await derive(database)
        if world:
            await write(database, *[call.end() for call in data.draw(st.permutations(world))])
        await derive(database)
        assert await places(database) == {call.number: thread_of(call, world) for call in world}

    io_loop.run_sync(link)


def given_to(document):
    return {
        usage["provider_tool_call_id"]: (result["bytes"], result["is_error"])
        for usage in document["tool_usages"]
        if (result := usage.get("result"))
    }


A, B = ToolResult(id="a", bytes=7, is_error=True), ToolResult(id="b", bytes=9)


async def test_results_of_tool_calls_go_into_the_call_of_the_same_user_that_issued_them(database):
    others = [ToolResult(id=id_, bytes=1) for id_ in ("nobody's", "", "a")]  # "a" again: a secret may have been hidden
    answered = apart(1, FIRST, replace(SECOND, results=(*others, A, B)))
    before_words = apart(2, FIRST, Call(2, "session-1", results=(A,)))
    continued = apart(3, replace(FIRST, session=None, responds="resp_1"), Call(2, previous="resp_1", results=(B,)))
    stranger = replace(SECOND, number=42, initiator=UUID(int=7), results=(B,))
    await keep(database, *answered, *before_words, *continued, *apart(4, FIRST), stranger)
    found = await documents(database)
    given = {number: given_to(found[number]) for number in (11, 21, 31, 41)}
    assert given == {11: {"a": (7, True), "b": (9, None)}, 21: {"a": (7, True)}, 31: {"b": (9, None)}, 41: {}}
    assert place(found[22]) == NO_THREAD
    await keep(database, *apart(1, FIRST, SECOND))
    assert await documents(database) == found


async def sessions(database):
    """The sessions by the number of the call they began with: the numbers of their calls."""
    found = {}
    for number, call in sorted((await documents(database)).items()):
        if "session_id" in call:
            found.setdefault(call["session_id"].int, []).append(number)
    kept = {one["_id"].int: one["interceptions"] async for one in database.sessions.find()}
    assert kept == {session: len(numbers) for session, numbers in found.items()}
    return found


@pytest.mark.parametrize("calls", [(OPENING, REPLY, LAST), CHAIN], ids=["messages", "responses"])
async def test_a_conversation_is_one_session_of_a_thread_for_each_prompt(database, calls):
    await keep(database, *calls)
    assert await sessions(database) == {1: [1, 2, 3]}
    found = (await documents(database)).values()
    assert not any({"parent_id", "root_id"} & set(call) for call in found)


async def test_the_same_opening_without_an_answer_begins_a_session_each_time(database):
    await keep(database, OPENING, replace(OPENING, number=2), replace(OPENING, number=3))
    assert await sessions(database) == {1: [1], 2: [2], 3: [3]}


async def test_of_several_openings_the_latest_before_it_is_gone_on_with(database):
    await keep(database, OPENING, replace(OPENING, number=2), replace(REPLY, number=3), replace(OPENING, number=4))
    assert await sessions(database) == {1: [1], 2: [2, 3], 4: [4]}


def pairs(first, second, others):
    """Calls of a user for each of the others: the first one, changed like that, and one that would go on with it."""
    for number, other in enumerate(others, 1):
        own = {"initiator": UUID(int=100 + number)}
        yield replace(first, number=10 * number + 1, **({"second": 1} | own | other))
        yield replace(second, number=10 * number + 2, second=2, **own)


async def test_what_is_not_the_same_conversation_is_not_gone_on_with(database):
    too_long_ago = {"second": -CONVERSATION_PAUSE.total_seconds() + 1.999}
    others = {"initiator": BOB}, {"client": "Continue"}, {"session": "session-1"}, {"says": b"0"}, too_long_ago
    await keep(database, *pairs(OPENING, REPLY, others))
    found = await sessions(database)
    assert [found[number] for number in (12, 22, 32, 42, 52)] == [[12], [22], [32], [42], [52]]
    assert len(found) == 10


async def test_the_steps_of_an_agent_are_in_the_session_of_the_conversation(database):
    asks = replace(REPLY, issues=("a",))
    step = Call(3, answers="a", says=b"3", repeats=b"2", issues=("b",))
    last = Call(4, answers="b", says=b"4", repeats=b"3")
    after = Call(5, says=b"5", repeats=b"4")
    await keep(database, OPENING, asks, step, last, after)
    assert await sessions(database) == {1: [1, 2, 3, 4, 5]}
    roots = {number: call.get("root_id") for number, call in (await documents(database)).items()}
    assert roots == {1: None, 2: None, 3: UUID(int=2), 4: UUID(int=2), 5: None}
