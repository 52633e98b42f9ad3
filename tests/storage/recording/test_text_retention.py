import asyncio
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from intercept.recording import Keep, Recording
from intercept.records import (
    Conversation,
    EndReason,
    ModelResponse,
    ModelThought,
    ProviderError,
    Reading,
    TokenUsage,
    ToolUsage,
    Try,
    UserPrompt,
)
from storage.recording import text_retention
from storage.recording.text_retention import remove_due
from storage.search.segments import word_digest
from tests.clock import Clock
from tests.derived import derive
from tests.intercept.packed import read_blocks
from tests.storage.calls import Calls
from tests.storage.records import NOON
from tests.storage.search_checks import has_indexed_all, read_index

SECRET = "attack at dawn"
READING = Reading(
    response_id="resp_1",
    token_usages=(TokenUsage(provider_response_id="resp_1", input_tokens=3, output_tokens=4),),
    tool_usages=(
        ToolUsage(
            provider_response_id="resp_1",
            provider_tool_call_id="t",
            tool="Bash",
            input=SECRET,
            invocation_error=SECRET,
        ),
    ),
    model_thoughts=(ModelThought(content=SECRET, source="thinking"),),
    response=ModelResponse(text=SECRET, truncated=True),
)
ERROR = ProviderError(type="overloaded", message=SECRET)
DAY = timedelta(days=1)


@pytest.fixture
def calls(database):
    return Calls(database)


@pytest.fixture
def clock():
    return Clock(NOON + timedelta(minutes=5))


@pytest.fixture
def removed():
    return []


@pytest.fixture
def remove(database, clock, removed):
    async def pause(seconds):
        assert seconds > 0

    return partial(remove_due, database, now=clock, removed=removed.append, pause=pause)


async def keep(calls, *numbers, days=1, session="s", end=True, recording=None):
    for number in numbers:
        await calls.start(
            number,
            recording=recording or (Recording(retention=days) if days else None),
            client_session_id=session,
            user_prompt=UserPrompt(prompt=f"{SECRET} {number}"),
            conversation=Conversation(key=b"1" * 16, continues=b"2" * 16),
            blocks=read_blocks(b'{"messages":[1]}'),
        )
        if end:
            tries = (Try(provider_name="p", error=ERROR), Try(provider_name="q", status=429))
            await calls.end(number, EndReason.UPSTREAM_ERROR, reading=READING, error=ERROR, tries=tries)


async def document(database, number):
    return await database.interceptions.find_one({"_id": UUID(int=number)})


async def test_texts_are_removed_when_their_time_is_over_and_all_else_stays(database, calls, remove, clock, removed):
    await keep(calls, 1)
    await keep(calls, 2, days=2)
    await keep(calls, 3, days=None)
    await derive(database)
    before = {number: await document(database, number) for number in (1, 2, 3)}
    assert before[1]["texts_until"] == NOON + timedelta(seconds=1) + DAY
    assert await remove() == 0
    clock.time = NOON + timedelta(seconds=1) + DAY
    assert await remove() == 1
    after = await document(database, 1)
    assert SECRET not in str(after)
    gone = {"blocks", "fingerprint", "texts_until", "removal_at"}
    assert set(before[1]) - set(after) == gone
    assert set(after) - set(before[1]) == {"changed"}
    assert after["user_prompts"] == [before[1]["user_prompts"][0] | {"prompt": "", "metadata": {"removed": True}}]
    usage = before[1]["tool_usages"][0]
    emptied = {"input": "", "invocation_error": "", "checksum": None, "metadata": {"removed": True}}
    assert after["tool_usages"] == [usage | emptied]
    thought = before[1]["model_thoughts"][0]
    assert after["model_thoughts"] == [thought | {"content": "", "metadata": {"source": "thinking", "removed": True}}]
    assert after["response"] == {"text": "", "metadata": {"truncated": True, "removed": True}}
    assert after["error"] == {"type": "overloaded", "message": ""}
    assert [one["error"] for one in after["tries"]] == [{"type": "overloaded", "message": ""}, None]
    assert after["links"] == before[1]["links"][:1], "of its session alone"
    changed = {
        "user_prompts",
        "tool_usages",
        "model_thoughts",
        "response",
        "error",
        "tries",
        "changed",
        "links",
    }
    assert {name: after[name] for name in after.keys() - changed} == {
        name: before[1][name] for name in before[1].keys() - changed - gone
    }
    assert [await document(database, number) for number in (2, 3)] == [before[2], before[3]]
    assert (await remove(), removed) == (0, [1])


async def test_a_response_is_removed_before_the_other_texts_where_that_is_said(database, calls, remove, clock, removed):
    for_a_day = Recording(responses=Keep.FULL, responses_retention=1)
    await keep(calls, 1, recording=Recording(responses=Keep.FULL, responses_retention=1, retention=3))
    await keep(calls, 2, recording=for_a_day)
    await keep(calls, 3, days=3)
    await keep(calls, 4, recording=for_a_day, end=False)
    await calls.presume(4)
    before = {number: await document(database, number) for number in (1, 2)}
    clock.time = NOON + timedelta(seconds=2) + DAY
    assert await remove() == 2
    changes = {"response": {"text": "", "metadata": {"truncated": True, "removed": True}}}
    for number, later in ((1, {"removal_at": before[1]["texts_until"]}), (2, {})):
        stays = {name: value for name, value in before[number].items() if name not in {"response_until", "removal_at"}}
        after = await document(database, number)
        assert after.pop("changed")
        assert after == stays | changes | later
    clock.time = NOON + timedelta(seconds=4) + 3 * DAY
    assert await remove() == 3
    assert SECRET not in str([await document(database, number) for number in (1, 3)])
    late = await document(database, 4)
    assert late.keys().isdisjoint(("response_until", "response"))
    assert removed == [2, 3]


@pytest.mark.parametrize("is_derived", [True, False], ids=["later", "before"])
async def test_a_session_shows_no_prompt_that_was_removed(database, calls, remove, clock, is_derived):
    async def prompts():
        found = database.sessions.find().sort("first_prompt_at")
        return [(session["first_prompt"], session["last_prompt"]) async for session in found]

    await derive(database)
    await keep(calls, 1)
    await keep(calls, 2, session=None)
    if is_derived:
        await derive(database)
        assert await prompts() == [(f"{SECRET} 1", f"{SECRET} 1"), (f"{SECRET} 2", f"{SECRET} 2")]
    clock.time += 2 * DAY
    assert await remove() == 2
    assert SECRET not in str(await database.interceptions.find().to_list(None))
    await derive(database)
    assert SECRET not in str(await prompts())


async def test_checksums_by_which_calls_are_compared_go_when_the_texts_do(database, calls):
    usage = TokenUsage(provider_response_id="r", input_tokens=3, output_tokens=4, cache_write_input_tokens=9)
    for number, days in ((1, 1), (2, 2), (3, None)):
        await calls.start(
            number,
            recording=Recording(retention=days) if days else None,
            client_session_id="s",
            blocks=read_blocks(b'{"messages":[%d]}' % number),
        )
        await calls.end(number, reading=Reading(token_usages=(usage,)))
    await derive(database)
    (compared,) = await database.cache_lines.find().to_list(None)
    assert len(compared["lines"]) == 3
    assert compared["expires_at"] == (await document(database, 1))["texts_until"]


async def test_the_search_index_has_no_words_of_texts_that_are_removed(database, calls, clock, remove):
    async def indexed():
        _, entries = await read_index(database)
        return [word for word in "12345" if any(word_digest(word) in entry.digests for entry in entries)]

    await derive(database)
    await keep(calls, 1)
    await keep(calls, 2, end=False)
    await keep(calls, 3, recording=Recording(responses=Keep.FULL, responses_retention=1, retention=2))
    await keep(calls, 5, days=None)
    await calls.presume(2)
    await derive(database)
    assert await indexed() == [*"1235"]
    clock.time += 3 * DAY
    assert await remove() == 3
    await derive(database)
    assert await indexed() == ["5"]
    await has_indexed_all(database)


async def test_a_call_in_flight_waits_for_its_end(database, calls, remove, clock):
    await keep(calls, 1, end=False)
    clock.time += 2 * DAY
    assert await remove() == 0
    await calls.end(1, reading=READING)
    assert await remove() == 1
    assert SECRET not in str(await document(database, 1))


async def test_what_a_late_true_end_brings_is_removed_too(database, calls, remove, clock):
    await keep(calls, 1, end=False)
    await calls.presume(1)
    await derive(database)
    clock.time += 2 * DAY
    assert await remove() == 1
    await calls.end(1, reading=READING)
    assert SECRET in str(await document(database, 1))
    await derive(database)
    assert await remove() == 1
    assert SECRET not in str(await document(database, 1))


async def test_many_are_removed_in_batches_by_several_servers_at_a_time(database, calls, clock, monkeypatch):
    monkeypatch.setattr(text_retention, "BATCH", 3)
    await keep(calls, *range(1, 11))
    await derive(database)
    clock.time += 2 * DAY
    counted = []
    monkeypatch.setattr(text_retention, "BATCH_PAUSE_SECONDS", 0)
    await asyncio.gather(*[remove_due(database, now=clock, removed=counted.append) for _ in range(2)])
    assert sum(counted) == 10
    assert await database.interceptions.count_documents({"removal_at": {"$exists": True}}) == 0
    assert SECRET not in str([one async for one in database.interceptions.find()])
