"""`GET /providers/{name}/usage`: how a provider fares, for owners and auditors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from handlers.operations.problems import too_much
from storage.queries.questions.groups import TooMuchError
from tests.derived import derive
from tests.handlers.api.scripted_questions import ScriptedQuestions
from tests.handlers.conversations import CHAT


@pytest.fixture
def questions(database):
    """The questions of the bridge, which a test may have answered as it says."""
    return ScriptedQuestions(database)


@pytest.fixture
def bridge_parts(questions):
    """A clock that goes on with each look: the machine's may be set back between two calls."""
    began, looks = datetime.now(UTC), count()
    return {"now": lambda: began + timedelta(milliseconds=next(looks)), "questions": questions}


@pytest.mark.gen_test
async def test_a_provider_that_nobody_called_is_neither_up_nor_down(running):
    status, found = await running.get(USAGE)
    assert (status, found["up"], found["circuit"], found["models"]) == (200, "unknown", None, [])
    status, unknown = await running.get("/api/v2/aibridge/providers/nobody/usage")
    assert (status, unknown["message"]) == (404, "There is no provider named nobody.")
    assert (await running.get(f"{USAGE}?a=1"))[0] == 400


async def call(running, model, status):
    body = CHAT.body if status == 200 else b"{}"
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    running.upstream.scripts[:] = [(head % (status, len(body)) + body,)]
    requested = json.dumps(CHAT.request | {"model": model}).encode()
    await running.request("POST", running.path(CHAT), running.headers, requested)


USAGE = "/api/v2/aibridge/providers/openai/usage"


@pytest.mark.bridge(circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1)
@pytest.mark.gen_test
async def test_a_provider_says_by_model_whether_it_is_up(running):
    for model, status in (("good", 200), ("good", 429), ("bad", 503), ("good", 200)):
        await call(running, model, status)
    await running.ended(4)
    status, found = await running.get(USAGE)
    assert (status, found["name"], found["state"], found["up"], found["circuit"]) == (
        200,
        "openai",
        "ready",
        "up",
        "open",
    )
    assert [key["hint"] for key in found["keys"]] == ["sk-o...-key"]
    good, bad = found["models"]
    assert {name: good[name] for name in ("model", "up", "circuit", "requests", "failed", "rate_limited")} == {
        "model": "good",
        "up": "up",
        "circuit": "closed",
        "requests": 3,
        "failed": 0,
        "rate_limited": 1,
    }
    assert good["failed_at"] is None
    assert (bad["model"], bad["up"], bad["circuit"], bad["failed"], bad["answered_at"]) == (
        "bad",
        "down",
        "open",
        1,
        None,
    )


@pytest.mark.gen_test
async def test_a_time_range_has_its_calls_in_all_and_by_model_unless_it_takes_too_long(running, questions):
    # a time range has its calls in all and by model
    for model in ("one", "two", "two"):
        await call(running, model, 200)
    await running.ended(3)
    await derive(running.bridge.database, now=running.bridge.now)
    now = running.bridge.now()
    status, found = await running.get(f"{USAGE}?from={now:%Y-%m-%dT%H}:30:00Z")
    assert (status, found["from"], found["since"]) == (200, f"{now:%Y-%m-%dT%H}:00:00.000Z", found["from"])
    assert (found["total"]["interceptions"], found["total"]["failed"]) == (3, 0)
    models = {one["model"]: (one["requests"], one["total"]["interceptions"]) for one in found["models"]}
    assert models == {"two": (2, 2), "one": (1, 1)}
    assert list(models) == ["two", "one"]
    for ever in ("from=0001-01-01T00:00:00Z", f"from={now:%Y-%m-%d}T00:00:00Z&to=9999-01-01T00:00:00Z"):
        status, all_time = await running.get(f"{USAGE}?{ever}")
        assert (status, all_time["total"], all_time["models"]) == (200, found["total"], found["models"]), ever
    earlier = f"from={now - timedelta(days=2):%Y-%m-%d}T00:00:00Z&to={now - timedelta(days=1):%Y-%m-%d}T00:00:00Z"
    status, before = await running.get(f"{USAGE}?{earlier}")
    assert (status, before["total"]["interceptions"], before["models"]) == (200, 0, [])
    status, result = await running.get(f"{USAGE}?from=now&to=2026-01-01T00:00:00Z")
    assert (status, [one["field"] for one in result["validations"]]) == (400, ["from"])
    status, result = await running.get(f"{USAGE}?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z")
    assert (status, result["validations"]) == (400, [{"field": "to", "detail": "must be after from"}])
    await running.afresh()

    # a range that takes too long to add up is refused
    async def fails(*_):
        raise TooMuchError(3, 9.0)

    questions.instead = fails
    for path in (USAGE, "/api/v2/aibridge/users/me/usage"):
        status, result = await running.get(path)
        assert (status, result["validations"]) == (400, [{"field": "from", "detail": too_much(TooMuchError(3, 9.0))}])
