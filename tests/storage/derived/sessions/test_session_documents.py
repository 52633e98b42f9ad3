from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from bson.decimal128 import Decimal128
from hypothesis import strategies as st

from storage.derived.sessions.session_documents import MAX_NAMES, with_calls
from storage.mongo.codec import binary
from tests.storage.records import ADA, NOON

SESSION = binary(uuid5(ADA.id, "session-1"))


def id_of(number):
    return binary(UUID(int=number))


def call(number=1, **changes):
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
