from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import UUID, uuid5

import pytest
from bson.decimal128 import Decimal128
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercept.records import EndReason
from storage.derived.sessions import session_job as session_job_module
from storage.derived.sessions.session_documents import MAX_PROMPT
from storage.derived.sessions.session_job import SessionJob
from tests.examples import examples
from tests.intercept.packed import read_blocks
from tests.storage.records import ADA
from tests.storage.rollup_checks import marked
from tests.storage.session_checks import Call, has_grouped_all, keep, read_sessions, write

GRACE = UUID("00009ace-0000-4000-8000-000000000000")
# Two sessions of a client's, one of another user with the same name, a thread without a session, and one call by itself.
DIVERSE = [
    Call(1, "a"),
    Call(2, "a", root=1, model="gpt-4", prompt=None),
    Call(3, "b", client="Zed"),
    Call(4, "a", initiator=GRACE),
    Call(5),
    Call(6, root=5),
    Call(7, prompt=None),
    Call(8, "a", second=0.5, client="Claude Code", prompt="earlier"),
]


@pytest.fixture
def sessions(database):
    return SessionJob(database)


async def cached(database, call, packed, *, read, written):
    """Have a call that was kept send these blocks, and read and write so many tokens of the prompt cache."""
    rates = {name: Decimal128(usd) for name, usd in (("input", "3E-6"), ("read", "1E-6"), ("written", "4E-6"))}
    tokens = {"cache_read_input_tokens": read, "cache_write_input_tokens": written, "input_tokens": 1}
    usage = {f"token_usages.0.{name}": count for name, count in tokens.items()}
    fields = {"blocks": packed, "cost.rates": rates, **usage}
    await database.interceptions.update_one({"_id": call.id}, {"$set": fields})


@pytest.mark.gen_test
async def test_where_the_prompt_cache_broke_is_recorded_and_what_it_cost_is_summed_up(database, sessions):
    first, second, third, fourth = Call(1, "a"), Call(4, "a"), Call(9, "a"), Call(14, "a")
    before = read_blocks(b'{"system":"It is 9:01","messages":[1,2]}')
    now = read_blocks(b'{"system":"It is 9:02","messages":[1,2,3]}')
    await keep(database, first)
    await cached(database, first, before, read=0, written=1000)
    await sessions.add_pending()
    await keep(database, second)
    await cached(database, second, before, read=1000, written=0)
    assert await sessions.add_pending() == 1
    await keep(database, fourth, third)
    await cached(database, third, now, read=0, written=1500)
    await cached(database, fourth, now, read=1500, written=0)
    assert await sessions.add_pending() == 2
    lost = await database.interceptions.find({"cache_loss": {"$exists": True}}).to_list(None)
    assert [call["_id"] for call in lost] == [third.id]
    assert (await database.interceptions.find_one({"_id": third.id}))["cache_loss"] == {
        "lost_tokens": 1000,
        "lost": Decimal128("0.003000"),
        "since": second.id,
        "cause": "changed",
        "kind": "system",
        "index": 0,
    }
    session = await database.sessions.find_one({"_id": uuid5(ADA.id, "a")})
    assert (session["lost_tokens"], session["lost"].to_decimal()) == (1000, Decimal("0.003"))
    assert session["saved"].to_decimal() == Decimal("0.005")


@pytest.mark.gen_test
async def test_what_was_written_for_an_hour_says_so_in_either_form(database, sessions):
    lines = (
        '{"cache_creation":{"ephemeral_1h_input_tokens":5}}',
        '{"cacheDetails":[{"ttl":"5m","inputTokens":1},{"ttl":"1h","inputTokens":5}]}',
        '{"cacheDetails":[{"inputTokens":5,"ttl":"1h"}]}',
        '{"cache_creation":{"ephemeral_1h_input_tokens":0},"cacheDetails":[{"inputTokens":0,"ttl":"1h"}]}',
    )
    calls = [Call(number, f"session {number}") for number in range(1, 5)]
    await keep(database, *calls)
    for number, usage in enumerate(lines):
        await cached(database, calls[number], read_blocks(b'{"messages":[1]}'), read=0, written=9)
        changed = {"$set": {"token_usages.0.metadata.usage": usage}}
        await database.interceptions.update_one({"_id": calls[number].id}, changed)
    assert await sessions.add_pending() == 4
    kept = await database.cache_lines.find().to_list(None)
    lines = {line["call"].int: line["long"] for one in kept for line in one["lines"]}
    assert lines == {1: True, 2: True, 3: True, 4: False}


@pytest.mark.gen_test
async def test_a_call_with_an_advisor_which_has_a_cache_of_its_own_is_compared_with_none(database, sessions):
    first, second = Call(1, "a"), Call(4, "a")
    packed = read_blocks(b'{"messages":[1]}')
    await keep(database, first, second)
    await cached(database, first, packed, read=0, written=1000)
    await cached(database, second, packed, read=0, written=1200)
    advice = {"$push": {"token_usages": {"model": "claude-opus-4-8", "input_tokens": 900}}}
    await database.interceptions.update_one({"_id": second.id}, advice)
    assert await sessions.add_pending() == 2
    session = await database.sessions.find_one({"client_session_id": "a"})
    assert (session["input_tokens"], session.get("lost_tokens", 0)) == (902, 0)


@pytest.mark.gen_test
async def test_calls_of_a_deployment_whose_answers_name_their_model_are_compared(database, sessions):
    first, second = Call(1, "a"), Call(4, "a")
    packed = read_blocks(b'{"messages":[1]}')
    await keep(database, first, second)
    await cached(database, first, packed, read=0, written=1000)
    await cached(database, second, packed, read=0, written=1200)
    await database.interceptions.update_many({}, {"$set": {"token_usages.0.model": "gpt-4o"}})
    assert await sessions.add_pending() == 2
    session = await database.sessions.find_one({"client_session_id": "a"})
    assert session["lost_tokens"] == 1000


@pytest.mark.gen_test
async def test_a_true_end_is_compared_though_a_presumed_one_was_added(database, sessions):
    first, second = Call(1, "a"), Call(4, "a")
    packed = read_blocks(b'{"messages":[1]}')
    await keep(database, first)
    await cached(database, first, packed, read=0, written=1000)
    await write(database, second.start, second.presumed_end())
    assert await sessions.add_pending() == 2
    await write(database, second.end())
    await cached(database, second, packed, read=0, written=1200)
    assert await sessions.add_pending() == 1
    session = await database.sessions.find_one({"client_session_id": "a"})
    assert (session["interceptions"], session["lost_tokens"]) == (2, 1000)


async def repeated(database, *calls):
    """Have calls send the same request, each a number and what their client says of earlier tries."""
    for call, count in calls:
        fields = {"fingerprint": b"same", **({"retry_count": count} if count else {})}
        await database.interceptions.update_one({"_id": call.id}, {"$set": fields})


async def tries(database, *numbers):
    """What the documents of calls say of their tries: attempt, attempts, the one before."""
    found = {one["_id"].int: one async for one in database.interceptions.find()}
    names = "attempt", "attempts", "retry_of"
    return [tuple(found[number].get(name) for name in names) for number in numbers]


def failed(call, tokens=7):
    return call.end(tokens, end_reason=EndReason.UPSTREAM_ERROR)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.gen_test
async def test_tries_of_one_call_are_linked_and_what_the_earlier_ones_cost_is_summed_up(database, sessions, at_once):
    first, second, third, other = Call(1, "a"), Call(4, "a"), Call(8, "a"), Call(12, "a")
    for call, end in (first, failed(first)), (second, failed(second, 5)), (third, third.end()), (other, other.end()):
        await write(database, call.start, end)
        await repeated(database, (call, 0))
        if not at_once:
            assert await sessions.add_pending() == 1
    assert await sessions.add_pending() == 4 * at_once
    assert await tries(database, 1, 4, 8, 12) == [
        (None, None, None),
        (1, None, first.id),
        (2, 3, second.id),
        (None, None, None),
    ]
    session = await database.sessions.find_one({"_id": uuid5(ADA.id, "a")})
    assert (session["interceptions"], session["retries"]) == (4, 2)
    assert session["retry_cost"].to_decimal() == Decimal("0.000012")
    assert await sessions.add_pending() == 0


@pytest.mark.gen_test
async def test_a_client_that_counts_its_tries_is_believed(database, sessions):
    second, third = Call(1, "a"), Call(4, "a")
    await write(database, second.start, failed(second), third.start, third.end())
    await repeated(database, (second, 1), (third, 2))
    assert await sessions.add_pending() == 2
    assert await tries(database, 1, 4) == [(1, None, None), (2, 3, second.id)]


@pytest.mark.gen_test
async def test_a_presumed_end_makes_no_retry_until_the_true_one_is_known(database, sessions):
    first, second = Call(1, "a"), Call(4, "a")
    await write(database, first.start, failed(first), second.start, second.presumed_end())
    await repeated(database, (first, 0), (second, 0))
    assert await sessions.add_pending() == 2
    assert await tries(database, 4) == [(None, None, None)]
    await write(database, second.end())
    assert await sessions.add_pending() == 1
    assert await tries(database, 4) == [(1, 2, first.id)]
    session = await database.sessions.find_one({"_id": uuid5(ADA.id, "a")})
    assert (session["interceptions"], session["retries"]) == (2, 1)


@pytest.mark.gen_test
async def test_failures_of_long_ago_do_not_hide_the_one_that_is_retried(database, sessions, monkeypatch):
    monkeypatch.setattr(session_job_module, "MAX_FAILED", 1)
    old, first, second = Call(1, "a"), Call(2_000, "a"), Call(2_004, "a")
    for call, end in (old, failed(old)), (first, failed(first)), (second, second.end()):
        await write(database, call.start, end)
        await repeated(database, (call, 0))
        assert await sessions.add_pending() == 1
    assert await tries(database, 2_000, 2_004) == [(None, None, None), (1, 2, first.id)]


@pytest.mark.gen_test
async def test_a_request_that_fails_very_often_hides_no_retry_of_another_one(database, sessions, monkeypatch):
    monkeypatch.setattr(session_job_module, "MAX_FAILED", 2)
    often, first, second = [Call(number, "a") for number in (1, 2, 3)], Call(4, "a"), Call(8, "a")
    for call, end in *((call, failed(call)) for call in often), (first, failed(first)), (second, second.end()):
        await write(database, call.start, end)
        fingerprint = {"$set": {"fingerprint": b"a" if call in often else b"b"}}
        await database.interceptions.update_one({"_id": call.id}, fingerprint)
    assert await sessions.add_pending() == 5
    assert await tries(database, 8) == [(1, 2, first.id)]


@pytest.mark.gen_test
async def test_of_a_prompt_only_the_beginning_leaves_the_database_and_a_clients_own_is_none(database, sessions):
    await keep(database, Call(1, prompt="é" * 200_000), Call(2, "a", prompt="\U0001f300" * 5_000))
    assert len((await sessions._interceptions.find(projection=session_job_module.CALL).to_list(None))[0]) < 25
    await keep(database, Call(3, "b", prompt="fix it"), Call(4, "b", second=5, prompt="[NOTE]", synthetic=True))
    await sessions.add_pending()
    found = await read_sessions(database)
    assert found[uuid5(ADA.id, "b")]["last_prompt"] == "fix it"
    assert found[UUID(int=1)]["last_prompt"] == "é" * MAX_PROMPT
    assert found[uuid5(ADA.id, "a")]["last_prompt"] == "\U0001f300" * MAX_PROMPT


@pytest.mark.gen_test
async def test_absurd_counts_do_not_stop_it(database, sessions):
    await write(database, *(call.start for call in DIVERSE[:2]), *(call.end(2**63 - 1) for call in DIVERSE[:2]))
    await write(database, DIVERSE[1].link)
    assert await sessions.add_pending() == 2
    (session,) = (await read_sessions(database)).values()
    assert session["input_tokens"] == 2 * 10**9


kinds = st.sampled_from(["start", "presume", "end", "end otherwise", "link", "group", "group twice at once"])


def change(kind, call):
    match kind:
        case "start":
            return call.start
        case "presume":
            return call.presumed_end()
        case "end":
            return call.end(call.number)
        case "link":
            return call.link
        case _:
            return call.end(None, end_reason=EndReason.UPSTREAM_ERROR, took=90)


@settings(max_examples=examples(4, 80), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(kinds, st.sampled_from(DIVERSE)), max_size=30))
def test_in_every_order_of_everything_each_session_is_what_its_calls_add_up_to(io_loop, database, steps):
    async def happen():
        for collection in (database.interceptions, database.sessions):
            await collection.delete_many({})
        one, other = (SessionJob(database) for _ in range(2))
        for kind, call in steps:
            if kind == "group":
                await one.add_pending()
                await has_grouped_all(database)
            elif kind == "group twice at once":
                await asyncio.gather(one.add_pending(), other.add_pending(), write(database, call.end()))
            else:
                await write(database, change(kind, call))
        await write(database, *(call.link for call in DIVERSE if call.root is not None))
        await other.add_pending()
        await has_grouped_all(database)
        assert await marked(database, "ungrouped") == []

    io_loop.run_sync(happen)
