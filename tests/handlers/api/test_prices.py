"""Own prices: set and read, what a call costs then, and past calls that are priced again."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.api.money import NO_PROVIDER
from handlers.operations.operation import NOTE_HEADER
from intercept.times import format_time
from resources.prices import NOT_A_LIST, NOT_A_TIME, NOT_AN_OBJECT, NOT_MONEY, TOO_MANY, TWICE
from resources.ranges import NOT_AFTER
from storage.accounts.users import Role
from storage.prices.own_prices import MAX_PRICES
from tests.handlers.dataplane.test_call_usage import OPUS, whole

PRICES = "/api/v2/aibridge/prices"
PRICE = {"provider": "anthropic", "model": "claude-*", "input": "4.5", "output": 22.5, "valid_from": "2026-01-01"}
SHOWN = PRICE | {"output": "22.5", "valid_from": "2026-01-01T00:00:00.000Z"}


@pytest.fixture
def put(running):
    """Set prices; returns the whole response."""

    async def put(body, **headers):
        sent = running.headers | {"Content-Type": "application/json"} | headers
        return await running.request("PUT", PRICES, sent, json.dumps(body).encode())

    return put


async def test_prices_are_set_by_owners_shown_with_a_version_and_what_calls_cost(running, put):
    # prices are set and shown with a version
    assert await running.get(PRICES) == (200, {"prices": [], "changed_at": None})
    cached = PRICE | {
        "model": "claude-3",
        "cache_read": 0.000001,
        "cache_write": 5,
        "cache_write_1h": "8.10",
        "valid_from": "2026-02-03T04:05:06Z",
    }
    response = await put({"prices": [PRICE, cached]})
    expected = [
        SHOWN | {"model": "claude-*"},
        SHOWN
        | {"model": "claude-3", "cache_read": "0.000001", "cache_write": "5", "cache_write_1h": "8.10"}
        | {"valid_from": "2026-02-03T04:05:06.000Z"},
    ]
    assert (response.status, json.loads(response.body)["prices"]) == (200, expected)
    assert (await running.get(PRICES))[1] == json.loads(response.body)
    stale = await put({"prices": []}, **{"If-Match": '"0"'})
    assert (stale.status, json.loads(stale.body)["message"]) == (
        412,
        "The prices were changed meanwhile; read them again.",
    )
    assert (await put({"prices": []}, **{"If-Match": response.header("ETag")})).status == 200
    await running.afresh("prices")
    # a provider that there is not is noted
    response = await put({"prices": [PRICE, PRICE | {"provider": "nobody"}]})
    assert (response.status, response.header(NOTE_HEADER)) == (200, NO_PROVIDER.format(1))
    assert (await put({"prices": [PRICE]})).header(NOTE_HEADER) is None
    await running.afresh("prices")
    # a call costs what the own price says
    await put({"prices": [PRICE | {"model": "*", "input": 1, "output": 2, "cache_read": 0, "cache_write": 0}]})
    running.upstream.play(whole(OPUS))
    assert (await running.call(OPUS)).status == 200
    (recorded,) = await running.ended(1)
    tokens = running.tokens(recorded)
    assert recorded["cost"] == {
        "usd": (tokens["input_tokens"] + 2 * tokens["output_tokens"]) / 1_000_000,
        "prices": "own price of * of anthropic from 2026-01-01T00:00:00.000Z",
    }
    # models that were called are listed with their prices
    await put({"prices": [PRICE | {"input": 1, "output": 2, "cache_read": 0.25}]})
    nameless = replace(OPUS, request=OPUS.request | {"model": "nameless"})
    running.upstream.play(whole(nameless))
    assert (await running.call(nameless)).status == 200
    await running.ended(2)
    status, listed = await running.get(f"{PRICES}/models")
    assert (status, listed["count"]) == (200, 2)
    assert sorted(listed["results"], key=lambda one: one["model"]) == [
        {"provider": "anthropic", "model": OPUS.request["model"], "calls": 1, "unpriced": 0}
        | {"prices": "own price of claude-* of anthropic from 2026-01-01T00:00:00.000Z"}
        | {"input": 1, "output": 2, "cache_read": 0.25, "cache_write": 1},
        {"provider": "anthropic", "model": "nameless", "calls": 1, "unpriced": 1, "prices": None}
        | dict.fromkeys(("input", "output", "cache_read", "cache_write")),
    ]


async def test_what_is_no_price_is_named_and_changes_nothing(running, put):
    wrong = [
        PRICE | {"provider": "", "input": -1, "output": "1e3", "valid_from": "yesterday", "extra": 1},
        {"provider": 5, "model": "x y", "input": 0.0000001, "output": True},
        PRICE | {"input": 1_000_000.5, "cache_read": None, "cache_write": "1.0000001", "valid_from": "2026-W05-1"},
        7,
        PRICE,
        PRICE | {"model": "CLAUDE-*"},
    ]
    response = await put({"prices": wrong, "more": 1})
    result = {one["field"]: one["detail"] for one in json.loads(response.body)["validations"]}
    pattern = "must be 1 to 200 visible ASCII characters, such as claude-*; * stands for any text"
    allowed = (
        "unknown field; allowed are provider, model, input, output, cache_read, cache_write, cache_write_1h, valid_from"
    )
    assert (response.status, result) == (
        400,
        {
            "more": "unknown field; allowed are prices",
            "prices[0].extra": allowed,
            "prices[0].provider": pattern,
            "prices[0].input": NOT_MONEY,
            "prices[0].output": NOT_MONEY,
            "prices[0].valid_from": NOT_A_TIME,
            "prices[1].provider": "must be text",
            "prices[1].model": pattern,
            "prices[1].input": NOT_MONEY,
            "prices[1].output": NOT_MONEY,
            "prices[1].valid_from": "is required",
            "prices[2].input": NOT_MONEY,
            "prices[2].cache_read": NOT_MONEY,
            "prices[2].cache_write": NOT_MONEY,
            "prices[2].valid_from": NOT_A_TIME,
            "prices[3]": NOT_AN_OBJECT,
            "prices[5]": TWICE.format(4),
        },
    )
    for body, detail in (({}, "is required"), ({"prices": 1}, NOT_A_LIST), ({"prices": [0] * 1_001}, TOO_MANY)):
        response = await put(body)
        assert json.loads(response.body)["validations"] == [{"field": "prices", "detail": detail}]
    assert MAX_PRICES == 1_000
    assert (await running.get(PRICES))[1]["prices"] == []


RECOSTS = "/api/v2/aibridge/prices/recosts"


@pytest.fixture
def send(running):
    async def send(method, path, body=None, **headers):
        sent = running.headers | {"Content-Type": "application/json"} | headers
        response = await running.request(method, path, sent, b"" if body is None else json.dumps(body).encode())
        return response.status, json.loads(response.body), response

    return send


async def test_a_job_is_requested_shown_and_cancelled(running, send):
    status, job, response = await send("POST", RECOSTS, {"from": "2026-11-01", "to": "2026-11-02T03:04:05Z"})
    assert (status, response.header("Location")) == (202, f"{RECOSTS}/{job['id']}")
    expected = {
        "id": job["id"],
        "state": "waiting",
        "from": "2026-11-01T00:00:00.000Z",
        "to": "2026-11-02T03:04:05.000Z",
        "requested_at": job["requested_at"],
        "requested_by": "ada",
        "begun_at": None,
        "ended_at": None,
        "total": None,
        "done": 0,
        "changed": 0,
        "skipped": 0,
        "cost_before_usd": "0",
        "cost_after_usd": "0",
        "prices_version": None,
    }
    assert job == expected
    auditor = await running.user("eve", Role.AUDITOR)
    assert await running.get(RECOSTS, auditor) == (200, {"results": [expected]})
    assert await running.get(f"{RECOSTS}/{job['id']}", auditor) == (200, expected)
    status, cancelled, _ = await send("DELETE", f"{RECOSTS}/{job['id']}")
    assert (status, cancelled) == (200, expected | {"state": "cancelled", "ended_at": cancelled["ended_at"]})
    assert (await send("DELETE", f"{RECOSTS}/{job['id']}"))[:2] == (
        409,
        {"message": "This re-costing has ended already."},
    )
    _, trail = await running.get("/api/v2/aibridge/audit")
    detail = {"recost_id": job["id"], "start": expected["from"], "end": expected["to"]}
    result = [(one["action"], one["detail"]) for one in trail["results"] if one["action"].startswith("recost.")]
    assert sorted(result) == [("recost.cancelled", detail), ("recost.requested", detail)]


async def test_what_is_no_range_of_a_job_is_named(running, send):
    later = format_time(running.bridge.now() + timedelta(days=1))
    for body, problems in (
        ({}, {"from": "is required"}),
        (
            {"from": 5, "to": "x", "more": 1},
            {"from": "must be text", "to": NOT_A_TIME, "more": "unknown field; allowed are from, to"},
        ),
        ({"from": "2026-11-02", "to": "2026-11-02"}, {"to": NOT_AFTER}),
        ({"from": later}, {"to": NOT_AFTER}),
    ):
        status, result, _ = await send("POST", RECOSTS, body)
        assert (status, {one["field"]: one["detail"] for one in result["validations"]}) == (400, problems)
    for id_ in ("none", "0f4e64a2-4e0b-4d54-9f64-1d2f2b0c8a11"):
        assert await running.get(f"{RECOSTS}/{id_}") == (404, {"message": "There is no re-costing with this id."})
