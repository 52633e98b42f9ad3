"""Whether providers did their work, from the requests of the latest calls."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from limits.protection.circuit_breaker import CircuitState
from resources.recorded.provider_usage import Up, worst_of
from storage.queries.attempts import MAX_CALLS, read_attempts
from storage.queries.found import Attempts
from tests.storage.records import NOON

END = NOON + timedelta(days=1)


def at(number):
    return NOON + timedelta(seconds=number)


def call(number, **more):
    """A call that east answered."""
    return {
        "_id": UUID(int=number),
        "started_at": at(number),
        "provider_name": "east",
        "model": "m",
        "status": "completed",
        "upstream_status": 200,
        **more,
    }


def moved(number, *errors, status=None, **more):
    """A call that east could not answer, and west did."""
    tries = [{"provider_name": "east", "status": status, "error": one and {"type": one}} for one in errors]
    tries.append({"provider_name": "west", "status": 200, "error": None})
    return call(number, provider_name="west", tries=tries, **more)


@pytest.mark.gen_test
async def test_requests_are_those_of_each_try_with_what_became_of_them(database):
    await database.interceptions.insert_many(
        [
            call(1),
            call(2, model="other", upstream_status=503, status="failed", end_reason="upstream_error"),
            call(3, upstream_status=429),
            call(4, end_reason="upstream_truncated", status="failed"),
            call(5, upstream_status=None, end_reason="client_disconnected", status="failed"),
            call(6, provider_name="west"),
            moved(7, "upstream_unreachable", "upstream_unreachable"),
            moved(8, None, status=500, model="other"),
            moved(9, "circuit_open", model="third"),
            moved(10, "rate_limited", status=429, model="third"),
            call(11, status="in_flight", upstream_status=None),
        ]
    )
    latest = await read_attempts(database, NOON, END)
    assert latest.since == NOON
    east = latest.of("east")
    assert east == {
        "m": Attempts(6, 1, 3, at(3), at(7)),
        "other": Attempts(2, 0, 2, None, at(8)),
        "third": Attempts(2, 1, 0, at(10), None),
    }
    assert [east[model].is_up for model in ("m", "other", "third")] == [False, False, True]
    west = latest.of("west")
    assert west.keys() == {"m", "other", "third"}
    assert west["m"] == Attempts(2, 0, 0, at(7), None)
    assert latest.of("nobody") == {}
    assert (await read_attempts(database, END, END + timedelta(days=1))).by_model == {}


@pytest.mark.gen_test
async def test_of_too_many_calls_the_latest_are_looked_at(database):
    await database.interceptions.insert_many([call(number) for number in range(MAX_CALLS + 2)])
    latest = await read_attempts(database, NOON, END)
    assert (latest.since, latest.of("east")["m"].requests) == (at(2), MAX_CALLS)


def test_a_provider_is_up_if_its_latest_request_was_answered():
    def became(answered, failed):
        return Attempts(answered_at=answered, failed_at=failed)

    assert Up.of(became(at(1), at(0)), None) is Up.UP
    assert Up.of(became(at(0), at(1)), CircuitState.CLOSED) is Up.DOWN
    assert Up.of(became(at(0), at(0)), None) is Up.DOWN
    assert Up.of(became(at(0), None), CircuitState.HALF_OPEN) is Up.UP
    assert Up.of(became(at(0), None), CircuitState.OPEN) is Up.DOWN
    assert Up.of(Attempts(), CircuitState.CLOSED) is Up.UNKNOWN
    assert [worst_of(states) for states in ([], [CircuitState.CLOSED, CircuitState.HALF_OPEN], CircuitState)] == [
        CircuitState.CLOSED,
        CircuitState.HALF_OPEN,
        CircuitState.OPEN,
    ]
