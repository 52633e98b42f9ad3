from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid5

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from resources.recorded.sessions import Session
from storage.aggregation.sessions.session_documents import MAX_NAMES, session_of, share, with_calls
from storage.mongo.codec import binary
from tests.cases import for_each
from tests.storage.records import ADA, NOON, as_json

SESSION = binary(uuid5(ADA.id, "session-1"))
READ = CodecOptions(uuid_representation=UuidRepresentation.STANDARD, tz_aware=True)


RATES = {"input": Decimal128("0.000003"), "read": Decimal128("0.000001"), "written": Decimal128("0.000004")}
CACHED = {"usd": Decimal128("0.25"), "prices": "table 1", "rates": RATES}


def id_of(number):
    return binary(UUID(int=number))


def resource(session, initiators):
    """The resource of a session, made of what is read of it."""
    return as_json(Session.of, bson.decode(bson.encode(session), READ), initiators)


def call(number=1, **changes):
    """Make a call that has ended, as it is read to be added to its session."""
    fields = {
        "_id": id_of(number),
        "initiator_id": binary(ADA.id),
        "client_session_id": "session-1",
        "session_id": SESSION,
        "provider": "openai",
        "provider_name": "openai-eu",
        "model": "gpt-5",
        "client": "Codex",
        "status": "completed",
        "started_at": NOON,
        "ended_at": NOON + timedelta(seconds=2),
        "cost": {"usd": Decimal128("0.25"), "prices": "table 1"},
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 3,
        "cache_write_input_tokens": 4,
        "no_usage": False,
        "prompt": "Hello",
    }
    return fields | changes


@for_each(
    ("changes", "session"),
    [
        ({}, SESSION),
        ({"root_id": id_of(5)}, SESSION),
        ({"client_session_id": None, "root_id": id_of(5)}, id_of(5)),
        ({"client_session_id": None}, id_of(1)),
        ({"client_session_id": ""}, id_of(1)),
    ],
)
def test_a_session_is_that_of_the_client_or_the_thread_or_the_call_itself(changes, session):
    made = call(**changes)
    del made["session_id"]
    assert session_of(made) == session


def test_a_session_that_is_known_stays():
    assert session_of(call(session_id=id_of(9), root_id=id_of(5))) == id_of(9)


@for_each(
    ("changes", "differing"),
    [
        ({}, {}),
        ({"status": "failed"}, {"failures": 1}),
        ({"root_id": id_of(5)}, {"threads": 0}),
        ({"cost": None}, {"priced": 0, "unpriced": 1, "cost": Decimal128("0")}),
        (
            {"cost": None, "input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0}
            | {"cache_write_input_tokens": 0},
            {"priced": 0, "cost": Decimal128("0"), "input_tokens": 0, "output_tokens": 0}
            | {"cache_read_input_tokens": 0, "cache_write_input_tokens": 0},
        ),
        ({"input_tokens": 1.8e19}, {"input_tokens": 10**9}),
        ({"no_usage": True}, {"no_usage": 1}),
        ({"cost": CACHED}, {"saved": Decimal128("0.000006")}),
        (
            {"loss": {"lost_tokens": 5, "lost": Decimal128("0.00001")}},
            {"lost_tokens": 5, "lost": Decimal128("0.00001")},
        ),
        ({"loss": {"lost_tokens": 5, "lost": None}}, {"lost_tokens": 5}),
        ({"retry": {"attempt": 1}}, {"retries": 1}),
        ({"retry": {"attempt": 1}, "retried": {"cost": None}}, {"retries": 1}),
        (
            {"retry": {"attempt": 1}, "retried": {"cost": {"usd": Decimal128("0.5")}}},
            {"retries": 1, "retry_cost": Decimal128("0.5")},
        ),
    ],
)
def test_what_a_call_adds_to_its_session(changes, differing):
    plain = {
        "interceptions": 1,
        "failures": 0,
        "threads": 1,
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 3,
        "cache_write_input_tokens": 4,
        "priced": 1,
        "unpriced": 0,
        "no_usage": 0,
        "lost_tokens": 0,
        "cost": Decimal128("0.25"),
        "saved": Decimal128("0"),
        "lost": Decimal128("0"),
        "retries": 0,
        "retry_cost": Decimal128("0"),
    }
    assert share(call(**changes)) == plain | differing


def test_the_names_that_a_session_keeps_are_bounded():
    session = with_calls(None, [call(number, model=f"model-{number:03}") for number in range(40)])
    session = with_calls(session, [call(number, model=f"model-{number:03}") for number in range(100, 30, -1)])
    assert session["models"] == [f"model-{number:03}" for number in range(MAX_NAMES)]
    assert session["interceptions"] == 110


def test_the_last_prompt_is_that_of_the_latest_call_that_has_one():
    calls = [
        call(1, prompt="first"),
        call(2, started_at=NOON + timedelta(seconds=2), prompt=""),
        call(3, started_at=NOON + timedelta(seconds=1), prompt="second"),
    ]
    session = with_calls(None, calls)
    assert (session["last_prompt"], session["last_prompt_at"]) == ("second", NOON + timedelta(seconds=1))
    assert (session["first_prompt"], session["first_prompt_at"]) == ("first", NOON)
    session = with_calls(session, [call(4, prompt="late")])
    assert (session["first_prompt"], session["last_prompt"]) == ("first", "second")


def test_a_session_without_a_prompt_has_none():
    session = with_calls(None, [call(prompt="")])
    assert (session["last_prompt"], session["last_prompt_at"]) == (None, None)
    assert with_calls(session, [call(2)])["last_prompt"] == "Hello"


CACHE = {"read_tokens": 3, "written_tokens": 4, "fresh_tokens": 1, "rate": 0.375} | {
    "saved_usd": 0.0,
    "lost_tokens": 0,
    "lost_usd": 0.0,
}
SHOWN = {
    "id": str(SESSION.as_uuid()),
    "initiator": {"id": str(ADA.id), "username": "ada", "name": "Ada Lovelace"},
    "client_session_id": "session-1",
    "client": "Codex",
    "providers": ["openai"],
    "provider_names": ["openai-eu"],
    "models": ["gpt-5"],
    "started_at": "2026-03-01T12:00:00.250Z",
    "last_active_at": "2026-03-01T12:00:02.250Z",
    "interceptions": 1,
    "failures": 0,
    "threads": 1,
    "token_usage": {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 3,
        "cache_write_input_tokens": 4,
    },
    "cache": CACHE,
    "retries": {"calls": 0, "amplification": 1.0, "cost_usd": 0.0},
    "cost_usd": 0.25,
    "unpriced": 0,
    "no_usage": 0,
    "first_prompt": "Hello",
    "last_prompt": "Hello",
}


@for_each(
    ("changes", "differing"),
    [
        ({}, {}),
        (
            {"cost": None, "prompt": ""},
            {"cost_usd": None, "unpriced": 1, "first_prompt": None, "last_prompt": None}
            | {"retries": {"calls": 0, "amplification": 1.0, "cost_usd": None}}
            | {"cache": CACHE | {"saved_usd": None, "lost_usd": None}},
        ),
        (
            {"cost": CACHED, "loss": {"lost_tokens": 5, "lost": Decimal128("0.00001")}},
            {"cache": CACHE | {"saved_usd": 0.000006, "lost_tokens": 5, "lost_usd": 0.00001}},
        ),
        ({"cost": {"usd": Decimal128("0")}}, {"cost_usd": 0.0}),
        (
            {"retry": {"attempt": 1}, "retried": {"cost": {"usd": Decimal128("0.5")}}},
            {"retries": {"calls": 1, "amplification": 1.0, "cost_usd": 0.5}},
        ),
    ],
)
def test_a_session_is_shown_with_every_key(changes, differing):
    session = resource(with_calls(None, [call(**changes)]), {ADA.id: ADA})
    assert list(session.items()) == list((SHOWN | differing).items())


def test_a_removed_initiator_has_an_id_alone():
    assert resource(with_calls(None, [call()]), {})["initiator"] == {"id": str(ADA.id), "username": "", "name": ""}


calls = st.builds(
    call,
    number=st.integers(1, 10**6),
    model=st.sampled_from(["gpt-5", "gpt-4", "o9"]),
    client=st.sampled_from(["Codex", "Zed"]),
    status=st.sampled_from(["completed", "failed"]),
    started_at=st.integers(0, 3).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    ended_at=st.integers(3, 9).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    cost=st.none()
    | st.integers(0, 10**18).map(lambda number: {"usd": Decimal128(Decimal(number).scaleb(-12)), "prices": "t"}),
    input_tokens=st.integers(0, 2**63 - 1),
    prompt=st.sampled_from(["", "a", "b"]),
)


@given(st.lists(calls, min_size=1, max_size=8), st.data())
def test_in_whatever_order_and_parts_calls_are_added_the_session_is_the_same(added, data):
    at_once = with_calls(None, added)
    shuffled, session = data.draw(st.permutations(added)), None
    while shuffled:
        part = data.draw(st.integers(1, len(shuffled)))
        session, shuffled = with_calls(session, shuffled[:part]), shuffled[part:]
    assert session == at_once


@given(st.lists(calls, min_size=1, max_size=8), st.data())
def test_what_was_added_before_is_replaced_exactly(added, data):
    presumed = data.draw(st.lists(st.sampled_from(added), unique_by=lambda call: call["_id"]))
    before = [one | {"status": "failed", "input_tokens": 5, "cost": None} for one in presumed]
    session = with_calls(None, before) if before else None
    earlier = {one["_id"]: share(one) for one in before}
    again = [one | ({"grouped": earlier.pop(one["_id"])} if one["_id"] in earlier else {}) for one in added]
    assert with_calls(session, again) == with_calls(None, added)
