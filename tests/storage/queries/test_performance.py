"""The performance of providers, from the latest calls."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from limits.protection.circuit_breaker import State
from resources.recorded.performance import ProviderPerformance, Up, Wait, worst_of
from storage.derived.performance import Health, Performance
from storage.queries import performance
from storage.queries.performance import read_performance, read_provider
from tests.storage.records import NOON


def call(number, *, requested=4, first=104, ended=2104, **more):
    """A document as a whole stream leaves it, with times in milliseconds from its start."""
    at = NOON + timedelta(seconds=number)
    times = {"upstream_asked_at": requested, "first_byte_at": first, "ended_at": ended}
    return {
        "_id": UUID(int=number),
        "started_at": at,
        "provider_name": "east",
        "model": "m",
        "streaming": True,
        "status": "completed",
        "upstream_status": 200,
        "token_usages": [{"output_tokens": 100}, {"output_tokens": None}],
        **{name: None if ms is None else at + timedelta(milliseconds=ms) for name, ms in times.items()},
        **more,
    }


END = NOON + timedelta(hours=1)


async def found(database, *documents, since=NOON, end=END):
    await database.interceptions.insert_many(documents)
    return await read_performance(database, since, end)


@pytest.mark.gen_test
async def test_waits_rates_and_models_are_those_of_the_providers_calls(database):
    slow = call(2, requested=10, first=1010, ended=3010, model="other")
    by_name = await found(database, call(1), slow, call(3), call(4, provider_name="west", first=None, token_usages=[]))
    assert by_name == {
        "east": Performance(
            calls=3,
            requests=3,
            models={"m": 2, "other": 1},
            bridge_ms=[4.0, 4.0, 10.0],
            provider_ms=[100.0, 100.0, 1000.0],
            streamed_tokens=300,
            streamed_ms=6000.0,
        ),
        "west": Performance(calls=1, requests=1, models={"m": 1}, bridge_ms=[4.0]),
    }
    resource = ProviderPerformance.of("east", by_name["east"])
    assert resource == ProviderPerformance("east", 3, 3, 0, ["m", "other"], Wait(4.0, 10.0), Wait(100.0, 1000.0), 50.0)


@pytest.mark.gen_test
async def test_a_429_counts_for_the_provider_that_gave_it_whoever_answered(database):
    tries = [{"provider_name": "east", "status": 429}, {"provider_name": "west", "status": 200}]
    by_name = await found(
        database,
        call(1, provider_name="west", tries=tries),
        call(2, upstream_status=429, status="failed", first=None),
        call(3, tries=[{"provider_name": "east", "status": 429}, {"provider_name": "east", "status": None}]),
    )
    counts = {name: (one.calls, one.requests, one.rate_limited) for name, one in by_name.items()}
    assert counts == {"east": (2, 4, 3), "west": (1, 1, 0)}


@pytest.mark.gen_test
async def test_what_goes_on_or_is_older_does_not_count_nor_what_is_beyond_the_bound(database, monkeypatch):
    monkeypatch.setattr(performance, "MAX_CALLS", 2)
    running = call(9, status="in_flight", ended=None)
    by_name = await found(
        database,
        *[call(number, model=f"m-{number}") for number in (1, 3, 4, 5)],
        running,
        since=NOON + timedelta(seconds=3),
    )
    assert dict(by_name["east"].models) == {"m-4": 1, "m-5": 1}
    uses, since = await read_provider(database, "east", NOON, END)
    assert (set(uses), since) == ({"m-4", "m-5"}, NOON + timedelta(seconds=4))
    uses, since = await read_provider(database, "east", NOON, NOON + timedelta(seconds=2))
    assert (set(uses), since) == ({"m-1"}, NOON)


@pytest.mark.gen_test
async def test_a_call_that_was_never_sent_has_no_waits_and_no_wait_is_negative(database):
    by_name = await found(
        database, call(1, requested=None, first=None), call(2, requested=-3, first=-5, ended=-9, provider_name="west")
    )
    assert by_name == {
        "east": Performance(calls=1, requests=1, models={"m": 1}),
        "west": Performance(
            calls=1, requests=1, models={"m": 1}, bridge_ms=[0.0], provider_ms=[0.0], streamed_tokens=100
        ),
    }


def moved(number, *errors, status=None, **more):
    """A call that east could not answer, and west did."""
    tries = [{"provider_name": "east", "status": status, "error": one and {"type": one}} for one in errors]
    tries.append({"provider_name": "west", "status": 200, "error": None})
    return call(number, provider_name="west", tries=tries, **more)


@pytest.mark.gen_test
async def test_models_of_a_provider_are_told_apart_with_what_it_failed(database):
    await database.interceptions.insert_many(
        [
            call(1),
            call(2, model="other", upstream_status=503, status="failed", end_reason="upstream_error"),
            call(3, upstream_status=429),
            call(4, end_reason="upstream_truncated", status="failed"),
            call(5, upstream_status=None, end_reason="client_disconnected", status="failed", first=None),
            call(6, provider_name="west"),
            moved(7, "upstream_unreachable", "upstream_unreachable"),
            moved(8, None, status=500, model="other"),
            moved(9, "circuit_open", model="third"),
        ]
    )
    found, since = await read_provider(database, "east", NOON, END)
    assert since == NOON
    at = [NOON + timedelta(seconds=number) for number in range(10)]
    assert {model: use.health for model, use in found.items()} == {
        "m": Health(at[3], at[7], 3),
        "other": Health(None, at[8], 2),
        "third": Health(),
    }
    figures = {model: use.performance for model, use in found.items()}
    assert [(one.calls, one.requests, one.rate_limited) for one in figures.values()] == [
        (0, 1, 0),
        (1, 2, 0),
        (4, 6, 1),
    ]
    assert figures["m"].provider_ms == [100.0] * 3
    assert [found[model].health.is_up for model in ("m", "other", "third")] == [False, False, None]
    west, _ = await read_provider(database, "west", NOON, END)
    assert set(west) == {"m", "other", "third"}
    assert west["m"].health == Health(at[7], None, 0)
    assert await read_provider(database, "nobody", NOON, END) == ({}, NOON)


def test_a_provider_is_up_if_its_latest_request_was_answered():
    before, after = NOON, NOON + timedelta(seconds=1)
    assert Up.of(Health(after, before, 1), None) is Up.UP
    assert Up.of(Health(before, after, 1), State.CLOSED) is Up.DOWN
    assert Up.of(Health(before, before, 1), None) is Up.DOWN
    assert Up.of(Health(before), State.HALF_OPEN) is Up.UP
    assert Up.of(Health(before), State.OPEN) is Up.DOWN
    assert Up.of(Health(), State.CLOSED) is Up.UNKNOWN
    assert [worst_of(states) for states in ([], [State.CLOSED, State.HALF_OPEN], State)] == [
        State.CLOSED,
        State.HALF_OPEN,
        State.OPEN,
    ]
