import asyncio
from decimal import Decimal
from uuid import UUID, uuid5

import pytest
from bson import decode
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intercept.records import EndReason
from storage.derived.sessions.session_documents import MAX_PROMPT
from storage.recording.documents import Link
from storage.recording.figures import figures_of
from storage.recording.operations import RecordAction, RecordOperation
from tests.derived import derive, derived_job
from tests.examples import examples
from tests.intercept.packed import read_blocks
from tests.storage.records import ADA, NOON
from tests.storage.session_checks import Call, has_grouped_all, keep, read_sessions, write

CODEC = CodecOptions(uuid_representation=UuidRepresentation.STANDARD, tz_aware=True)
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


def altered(call, end=None, **fields):
    """The end of a call with other fields, and with figures that follow from them."""
    document = decode((end or call.end()).record[17:], CODEC) | fields
    return RecordOperation.of(RecordAction.END, call.id, document | figures_of(document))


def cached(call, packed, *, read, written, usage=None, models=("",)):
    """The end of a call that sent these blocks, and read and wrote so many tokens of the prompt cache."""
    rates = {"input": "3E-6", "read": "1E-6", "written": "4E-6"}
    tokens = {"cache_read_input_tokens": read, "cache_write_input_tokens": written, "input_tokens": 1}
    usages = [
        {"model": model, "metadata": {"usage": usage} if usage else {}, "output_tokens": 1, **tokens}
        for model in models
    ]
    cost = {"usd": Decimal128("0.01"), "prices": "table 1", "rates": rates}
    return altered(call, token_usages=usages, blocks=packed, cost=cost)


def repeated(call, end=None, count=0):
    """The end of a call that sends the same request as others; its client counts the tries before."""
    links = [Link.FAILURE.of(b"same")]
    return altered(call, end, fingerprint=b"same", links=links, **({"retry_count": count} if count else {}))


async def test_where_the_prompt_cache_broke_is_recorded_and_what_it_cost_is_summed_up(database):
    await derive(database)
    first, second, third, fourth = Call(1, "a"), Call(4, "a"), Call(9, "a"), Call(14, "a")
    before = read_blocks(b'{"system":"It is 9:01","messages":[1,2]}')
    now = read_blocks(b'{"system":"It is 9:02","messages":[1,2,3]}')
    await write(database, cached(first, before, read=0, written=1000))
    await derive(database)
    await write(database, cached(second, before, read=1000, written=0))
    await derive(database)
    await write(database, cached(fourth, now, read=1500, written=0), cached(third, now, read=0, written=1500))
    await derive(database)
    lost = await database.interceptions.find({"cache_loss": {"$exists": True}}).to_list(None)
    assert [call["_id"] for call in lost] == [third.id]
    assert lost[0]["cache_loss"] == {
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
    day = await database.rollups.find_one({"level": "everyone", "bucket": "day"})
    assert (day["lost_tokens"], day["lost"].to_decimal()) == (1000, Decimal("0.003"))


async def test_what_was_written_for_an_hour_says_so_in_either_form(database):
    lines = (
        '{"cache_creation":{"ephemeral_1h_input_tokens":5}}',
        '{"cacheDetails":[{"ttl":"5m","inputTokens":1},{"ttl":"1h","inputTokens":5}]}',
        '{"cacheDetails":[{"inputTokens":5,"ttl":"1h"}]}',
        '{"cache_creation":{"ephemeral_1h_input_tokens":0},"cacheDetails":[{"inputTokens":0,"ttl":"1h"}]}',
    )
    blocks = read_blocks(b'{"messages":[1]}')
    for number, usage in enumerate(lines, start=1):
        await write(database, cached(Call(number, f"session {number}"), blocks, read=0, written=9, usage=usage))
    await derive(database)
    kept = await database.cache_lines.find().to_list(None)
    lines = {line["call"].int: line["long"] for one in kept for line in one["lines"]}
    assert lines == {1: True, 2: True, 3: True, 4: False}


@pytest.mark.parametrize(
    ("models", "lost"), [(("", "claude-opus-4-8"), 0), (("gpt-4o",), 1000)], ids=["an advisor", "a deployment"]
)
async def test_a_call_with_an_advisor_which_has_a_cache_of_its_own_is_compared_with_none(database, models, lost):
    packed = read_blocks(b'{"messages":[1]}')
    await write(database, cached(Call(1, "a"), packed, read=0, written=1000))
    await write(database, cached(Call(4, "a"), packed, read=0, written=1200, models=models))
    await derive(database)
    session = await database.sessions.find_one({"client_session_id": "a"})
    assert (session["interceptions"], session["lost_tokens"]) == (2, lost)


async def test_a_true_end_is_compared_though_a_presumed_one_was_added(database):
    first, second = Call(1, "a"), Call(4, "a")
    packed = read_blocks(b'{"messages":[1]}')
    await write(database, cached(first, packed, read=0, written=1000), second.presumed_end())
    await derive(database)
    await write(database, cached(second, packed, read=0, written=1200))
    await derive(database)
    session = await database.sessions.find_one({"client_session_id": "a"})
    assert (session["interceptions"], session["lost_tokens"]) == (2, 1000)


async def tries(database, *numbers):
    """What the documents of calls say of their tries: attempt, attempts, the one before."""
    found = {one["_id"].int: one async for one in database.interceptions.find()}
    names = "attempt", "attempts", "retry_of"
    return [tuple(found[number].get(name) for name in names) for number in numbers]


def failed(call, tokens=7):
    return call.end(tokens, end_reason=EndReason.UPSTREAM_ERROR)


@pytest.mark.parametrize("at_once", [True, False])
async def test_tries_of_one_call_are_linked_and_what_the_earlier_ones_cost_is_summed_up(database, at_once):
    await derive(database)
    first, second, third, other = Call(1, "a"), Call(4, "a"), Call(8, "a"), Call(12, "a")
    for end in repeated(first, failed(first)), repeated(second, failed(second, 5)), repeated(third), repeated(other):
        await write(database, end)
        if not at_once:
            await derive(database)
    await derive(database)
    found = [(None, None, None), (1, None, first.id), (2, 3, second.id), (None, None, None)]
    for _ in range(2):
        assert await tries(database, 1, 4, 8, 12) == found
        session = await database.sessions.find_one({"_id": uuid5(ADA.id, "a")})
        assert (session["interceptions"], session["retries"]) == (4, 2)
        assert session["retry_cost"].to_decimal() == Decimal("0.000012")
        await derived_job(database).recount(NOON)  # leaves it as it is


async def test_a_client_that_counts_its_tries_is_believed(database):
    second, third = Call(1, "a"), Call(4, "a")
    await write(database, repeated(second, failed(second), 1), repeated(third, count=2))
    await derive(database)
    assert await tries(database, 1, 4) == [(1, None, None), (2, 3, second.id)]


async def test_a_presumed_end_makes_no_retry_until_the_true_one_is_known(database):
    first, second = Call(1, "a"), Call(4, "a")
    await write(database, repeated(first, failed(first)), second.presumed_end())
    await derive(database)
    assert await tries(database, 4) == [(None, None, None)]
    await write(database, repeated(second))
    await derive(database)
    assert await tries(database, 4) == [(1, 2, first.id)]
    session = await database.sessions.find_one({"_id": uuid5(ADA.id, "a")})
    assert (session["interceptions"], session["retries"]) == (2, 1)


async def test_of_a_prompt_a_session_has_the_beginning_and_a_clients_own_is_none(database):
    await keep(database, Call(1, prompt="é" * 200_000), Call(2, "a", prompt="\U0001f300" * 5_000))
    await keep(database, Call(3, "b", prompt="fix it"), Call(4, "b", second=5, prompt="[NOTE]", synthetic=True))
    await derive(database)
    found = await read_sessions(database)
    assert found[uuid5(ADA.id, "b")]["last_prompt"] == "fix it"
    assert found[UUID(int=1)]["last_prompt"] == "é" * MAX_PROMPT
    assert found[uuid5(ADA.id, "a")]["last_prompt"] == "\U0001f300" * MAX_PROMPT


kinds = st.sampled_from(["start", "presume", "end", "end otherwise", "derive", "derive twice at once"])


def change(kind, call):
    match kind:
        case "start":
            return call.start
        case "presume":
            return call.presumed_end()
        case "end":
            return call.end(call.number)
        case _:
            return call.end(None, end_reason=EndReason.UPSTREAM_ERROR, took=90)


@settings(max_examples=examples(4, 80), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(kinds, st.sampled_from(DIVERSE)), max_size=30))
def test_in_every_order_of_everything_each_session_is_what_its_calls_add_up_to(io_loop, database, steps):
    async def happen():
        for collection in (database.interceptions, database.sessions, database.derived):
            await collection.delete_many({})
        for kind, call in steps:
            if kind == "derive":
                await derive(database)
                await has_grouped_all(database)
            elif kind == "derive twice at once":
                await asyncio.gather(derive(database), derive(database), write(database, call.end()))
            else:
                await write(database, change(kind, call))
        await derive(database)
        await has_grouped_all(database)

    io_loop.run_sync(happen, timeout=60)
