"""Refused calls are recorded, all counted, and shown to the users concerned."""

import asyncio
import json
from collections import Counter
from datetime import timedelta
from urllib.parse import urlencode

import pytest

import handlers.dataplane.proxy
from http1.requests import MAX_HEAD_BYTES
from intercept.refusals import Rule
from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import Models, Policy
from storage.accounts.users import Role
from storage.policies.documents import KeptPolicy
from storage.recording.recorder import Recorder, RecordingUnavailableError
from tests.bridge import until
from tests.fake_upstream import RESET
from tests.handlers.contract import Contract
from tests.handlers.conversations import CHAT, MESSAGES

CONTROL = "/api/v2/aibridge"
CHAT_PATH = f"{CONTROL}/openai/v1/chat/completions"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
UNKNOWN = {"Authorization": "Bearer abcdefghij-0123456789abcdefghijkl"}
KEYS = (
    *("id", "at", "initiator", "api_key_id", "client_ip", "method", "path", "provider", "route", "model"),
    *("status", "rule", "retry_after_ms", "message", "request_ids", "more"),
)


async def call(running, headers=None, path=CHAT_PATH, body=None, method="POST"):
    """Make a call; returns its status."""
    data = CHAT.request_body(stream=False) if body is None else body
    headers = headers if headers is None or "X-AIBridge-Tags" not in headers else running.headers | headers
    response = await running.request(method, path, running.headers if headers is None else headers, data)
    return response.status


async def listed(running, headers=None, **parameters):
    await running.bridge.refusal_recorder.flush()
    status, page = await running.get(f"{CONTROL}/refusals?{urlencode(parameters)}", headers)
    assert status == 200, page
    return page


async def counted(running, headers=None, bucket="hour"):
    """How many were refused in the last day: by rule, and by user, None for those whose user is not known."""
    await running.bridge.refusal_recorder.flush()
    requested = {"of": "refusals", "group_by": "user,rule", "bucket": bucket, "limit": 1000}
    status, response = await running.get(f"{CONTROL}/stats?{urlencode(requested)}", headers)
    assert status == 200, response
    rules, users = Counter(), Counter()
    for one in response["groups"]:
        user, number = one["group"]["user"], one["total"]["refusals"]
        assert sum(point["refusals"] for point in one["points"]) == number
        rules[one["group"]["rule"]] += number
        users[user and user["username"]] += number
    assert response["total"]["refusals"] == rules.total()
    return rules, users


def metric(running):
    """How many were refused, by rule and status."""
    return {
        (sample.labels["rule"], sample.labels["status"]): sample.value
        for family in running.bridge.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "coder_aibridged_refusals_total"
    }


@pytest.mark.bridge(max_body_bytes=4_000)
async def test_each_refusal_is_a_row_a_count_and_a_metric_of_its_rule(running):
    contract, user = Contract(), running.identity.user
    initiator = {"id": str(user.id), "username": "ada", "name": user.name}
    response = f"{CONTROL}/openai/v1/responses/resp_1"
    counts, metrics = {}, {}
    for rule, status, change in (
        (Rule.NO_TOKEN, 401, {"headers": {}}),
        (Rule.INVALID_TOKEN, 401, {"headers": UNKNOWN}),
        (Rule.PROVIDER_KEY_AS_TOKEN, 401, {"headers": {"X-Api-Key": "sk-ant-1234"}}),
        (Rule.NO_PROVIDER_KEY, 400, {"path": f"{CONTROL}/no-key/v1/messages"}),
        (Rule.UNKNOWN_PROVIDER, 404, {"path": f"{CONTROL}/nobody/v1/messages"}),
        (Rule.UNKNOWN_ROUTE, 404, {"path": f"{CONTROL}/openai/v1/nowhere"}),
        (Rule.WRONG_BASE_URL, 404, {"path": "/v1/chat/completions"}),
        (Rule.ODD_PATH, 400, {"path": f"{CONTROL}/openai/v1//models"}),
        (Rule.WRONG_METHOD, 405, {"method": "DELETE"}),
        (Rule.OWN_KEY_NEEDED, 403, {"path": f"{CONTROL}/openai/v1/conversations"}),
        (Rule.NOT_YOUR_RESPONSE, 404, {"path": response, "method": "GET", "body": b""}),
        (Rule.INVALID_TAGS, 400, {"headers": {"X-AIBridge-Tags": "project"}}),
        (Rule.BODY_TOO_LARGE, 413, {"body": b"{" + b" " * 5_000 + b"}"}),
        (Rule.UNUSABLE_BODY, 400, {"body": b"{}"}),
    ):
        assert await call(running, **change) == status, rule
        counts[rule], metrics[rule, str(status)] = 1, 1
        page = await listed(running)
        row, *_ = page["results"]
        got = (page["count"], tuple(row), row["rule"], row["status"], row["more"])
        assert got == (len(counts), KEYS, rule, status, 0)
        assert metric(running) == metrics
        known = rule not in {Rule.NO_TOKEN, Rule.INVALID_TOKEN, Rule.PROVIDER_KEY_AS_TOKEN, Rule.WRONG_BASE_URL}
        assert row["initiator"] == (initiator if known else None), rule
        assert row["api_key_id"] == (running.identity.token_id if known else None), rule
        assert row["client_ip"] == (None if known else "127.0.0.1"), rule
    rules, _ = await counted(running)
    assert rules == counts
    contract.validate(page, {"$ref": "#/components/schemas/ListPage_RecordedRefusal_"})
    assert await running.bridge.database.interceptions.count_documents({}) == 0


async def refused_unread(running, request):
    """Send bytes that no handler answers; returns the status and the only row."""
    client = await running.client()
    await client.send_raw(request)
    response = await client.rest(await client.head())
    client.close()
    (row,) = (await listed(running))["results"]
    return response.status, row


UNREAD = (
    (Rule.MALFORMED_REQUEST, 400, b"BREW /secret HTTP/1.1\r\n\r\n"),
    (Rule.MALFORMED_REQUEST, 400, b"GET / HTTP/1.1\r\nHost: se cret\r\n\r\n"),
    (Rule.HEAD_TOO_LARGE, 431, b"GET / HTTP/1.1\r\nsecret: " + b"x" * MAX_HEAD_BYTES),
    (Rule.UNSUPPORTED_CODING, 501, b"POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    (Rule.UNSUPPORTED_VERSION, 505, b"GET /secret HTTP/2.0\r\nHost: b\r\n\r\n"),
    (Rule.BODY_TOO_LARGE, 413, b"GET /healthz HTTP/1.1\r\nHost: b\r\nContent-Length: 5000\r\n\r\n"),
)


async def test_what_no_handler_reads_is_recorded_without_a_word_of_it(running):
    counts = Counter()
    for rule, status, request_bytes in UNREAD:
        answered, row = await refused_unread(running, request_bytes)
        counts[rule, str(status)] += 1
        assert (answered, metric(running)) == (status, counts), request_bytes[:40]
        assert row["message"].startswith("The request cannot be read: ")
        assert {name: row[name] for name in KEYS[2:] if name != "message"} == dict.fromkeys(KEYS[2:-3]) | {
            "request_ids": [],
            "client_ip": "127.0.0.1",
            "status": status,
            "rule": rule,
            "more": 0,
        }, request_bytes[:40]
        assert await counted(running) == ({rule: 1}, {None: 1})
        await running.afresh("refusals")


async def test_a_late_malformed_or_compressed_body_is_a_refusal_with_its_user_and_rule(running, monkeypatch):
    # a call whose body is late is recorded with its user
    await listed(running)  # a user who was just let in is known without the database, which may be late too
    monkeypatch.setattr(handlers.dataplane.proxy, "BODY_SECONDS", 0.05)
    head = f"POST {CHAT_PATH} HTTP/1.1\r\nHost: b\r\nX-Api-Key: {running.token}\r\nContent-Length: 9\r\n\r\n{{"
    status, row = await refused_unread(running, head.encode())
    assert (status, row["rule"], row["initiator"]["username"]) == (408, "late_body", "ada")
    assert (row["client_ip"], row["route"]) == (None, "/v1/chat/completions")
    assert metric(running) == {("late_body", "408"): 1}
    await running.afresh("refusals")
    # a call whose body is malformed is recorded once with its user
    head = f"POST {CHAT_PATH} HTTP/1.1\r\nHost: b\r\nX-Api-Key: {running.token}\r\nTransfer-Encoding: chunked\r\n\r\nx"
    status, row = await refused_unread(running, head.encode())
    assert (status, row["rule"], row["initiator"]["username"], row["more"]) == (400, "malformed_request", "ada", 0)
    await running.afresh("refusals")
    # a body that is compressed in another way is refused by its rule
    assert await call(running, running.headers | {"Content-Encoding": "br"}) == 415
    assert (await counted(running))[0] == {"compressed_body": 1}
    await running.afresh("refusals")

    # a call that cannot be recorded is refused with its model
    async def start(_recorder, _interception):
        raise RecordingUnavailableError("the database is unavailable")

    monkeypatch.setattr(Recorder, "start", start)
    assert await call(running) == 503
    (row,) = (await listed(running))["results"]
    assert (row["rule"], row["model"]) == ("not_recordable", CHAT.request["model"])


async def test_a_refusal_keeps_what_was_asked_and_said_and_is_found_by_the_id_the_client_got(running):
    ada = PolicyHolder(Level.USER, str(running.identity.user.id), "ada")
    running.bridge.policies.put(KeptPolicy(ada, Policy(models=Models(allow=["claude-next-*"])), "1"))
    path = f"{CONTROL}/anthropic/v1/messages"
    body = MESSAGES.request_body(stream=False)
    response = await running.request("POST", path, running.headers, body)
    refused, request_id = json.loads(response.body), response.header("Request-Id")
    (row,) = (await listed(running, q=request_id.upper()))["results"]
    assert (row["method"], row["path"], row["policy"], row["request_ids"]) == ("POST", path, "user ada", [request_id])
    assert row["message"] == refused["error"]["message"] == refused["message"]
    assert "claude-next-*" in row["message"]
    assert refused["request_id"] == request_id
    for number in range(3):
        await call(running, path=f"{CONTROL}/openai/v1/nowhere/{number % 2}/{running.token}")
    rows = (await listed(running, q="user:me rule:token_in_address"))["results"]
    assert sorted((row["path"], row["more"]) for row in rows) == [
        (f"{CONTROL}/openai/v1/nowhere/0/[scrubbed]", 1),
        (f"{CONTROL}/openai/v1/nowhere/1/[scrubbed]", 0),
    ]
    # an error of a call that is recorded leads to its record
    running.bridge.policies.put(KeptPolicy(ada, Policy(), "2"))
    running.upstream.play(RESET)
    response = await running.request("POST", path, running.headers, body)
    (recorded,) = await running.ended(1)
    assert (response.status, response.header("Request-Id")) == (502, recorded["id"])


@pytest.mark.bridge(rate_limit=1, rate_window=timedelta(hours=1))
async def test_equal_refusals_are_one_row_that_says_what_the_client_was_told(running):
    running.upstream.play(OK)
    assert await call(running) == 200
    for _ in range(5):
        assert await call(running) == 429
    (row,) = (await listed(running))["results"]
    waits = row.pop("retry_after_ms")
    assert 3_590_000 < waits <= 3_600_000
    assert {name: row[name] for name in ("provider", "route", "model", "rule", "status", "more")} == {
        "provider": "openai",
        "route": "/v1/chat/completions",
        "model": None,
        "rule": "rate",
        "status": 429,
        "more": 4,
    }
    assert await counted(running, bucket="minute") == ({"rate": 5}, {"ada": 5})
    await running.ended(1)


@pytest.mark.bridge(max_concurrency=1, user_max_concurrency=2)
async def test_a_refusal_at_capacity_names_the_address_as_nobody_was_asked_for(running):
    running.upstream.play(gate := asyncio.Event(), OK)
    first = asyncio.create_task(call(running))
    await until(lambda: running.upstream.requests)
    assert await call(running) == 503
    (row,) = (await listed(running))["results"]
    assert (row["rule"], row["initiator"], row["client_ip"]) == ("concurrency", None, "127.0.0.1")
    assert row["retry_after_ms"] == 1000
    gate.set()
    assert await first == 200
    await running.ended(1)


@pytest.mark.bridge(allow_byok=False)
async def test_a_call_while_the_server_stops_is_refused_and_an_own_key_too(running):
    assert await call(running, running.own_key) == 403
    running.bridge.lifecycle.draining = True
    assert await call(running) == 503
    running.bridge.lifecycle.draining = False
    rows = (await listed(running))["results"]
    assert {(row["rule"], row["initiator"] is None) for row in rows} == {
        ("own_key_not_allowed", False),
        ("stopping", True),
    }


@pytest.mark.bridge(authentication_failure_limit=1)
async def test_too_many_invalid_tokens_of_an_address_are_a_rule_of_their_own(running):
    another = {"Authorization": "Bearer bcdefghijk-0123456789abcdefghijkl"}
    assert [await call(running, headers) for headers in (UNKNOWN, another)] == [401, 429]
    assert (await counted(running))[0] == {"invalid_token": 1, "too_many_failures": 1}


async def test_a_refusal_is_one_of_a_call_and_names_its_rule(running):
    # a websocket and a token in the address are refused by rules of their own
    responses = f"{CONTROL}/openai/v1/responses"
    assert await call(running, running.headers | {"Upgrade": "websocket"}, responses, b"", "GET") == 426
    address = f"{CONTROL}/openai/v1/models?key={running.token}"
    assert await call(running, path=address, body=b"", method="GET") == 400
    page = await listed(running)
    assert {row["rule"] for row in page["results"]} == {"token_in_address", "websocket"}
    assert running.token.partition("-")[2] not in str(page)
    await running.afresh("refusals")
    # a refusal on the control plane is none of a call
    assert (await running.get(f"{CONTROL}/interceptions", {}))[0] == 401
    assert (await running.get(f"{CONTROL}/nowhere/at/all"))[0] == 404
    assert [row["rule"] for row in (await listed(running))["results"]] == ["unknown_provider"]
    await running.afresh("refusals")
    # a revoked token is named where nobody is
    headers = await running.user("grace")
    token_id = headers["Authorization"].split()[1].partition("-")[0]
    await running.bridge.identities.revoke_token(token_id)
    assert await call(running, headers) == 401
    (row,) = (await listed(running))["results"]
    assert (row["rule"], row["api_key_id"], row["initiator"]) == ("invalid_token", token_id, None)


@pytest.mark.bridge(
    circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1, circuit_breaker_timeout=timedelta(hours=1)
)
async def test_what_is_an_interception_is_no_refusal(running):
    running.upstream.play(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n")
    assert [await call(running) for _ in range(2)] == [503, 503]
    assert [one["end_reason"] for one in await running.ended(2)] == ["circuit_open", "upstream_error"]
    assert await listed(running) == {"count": 0, "results": []}
    assert (await counted(running), metric(running)) == (({}, {}), {})


async def test_refusals_are_searched_and_paged_and_a_member_sees_their_own(running):
    # the list is searched and paged
    for path in ("openai/v1/nowhere", "anthropic/v1/nowhere", "nobody/v1/models"):
        await call(running, path=f"{CONTROL}/{path}")
    await call(running, UNKNOWN)
    everything = (await listed(running))["results"]
    for q, number in {
        "RULE:unknown_route": 2,
        "rule:unknown_route provider:openai": 1,
        "status:404": 3,
        "initiator:me": 3,
        "ada": 3,
        'started_before:"2020-01-01T00:00:00Z"': 0,
    }.items():
        assert (await listed(running, q=q))["count"] == number, q
    paged = [(await listed(running, limit=1, offset=offset))["results"][0] for offset in range(4)]
    assert paged == everything
    behind = await listed(running, limit=2, after_id=everything[1]["id"])
    assert (behind["count"], behind["results"]) == (4, everything[2:])
    for q in ("rule:none", "status:4", "session_id:x", "rule:rate rule:rate"):
        status, problem = await running.get(f"{CONTROL}/refusals?{urlencode({'q': q})}")
        assert (status, problem["message"]) == (400, "Invalid refusal search query.")
    await running.afresh("refusals")
    # a member sees their own refusals and nothing of others
    grace, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    await call(running, body=b"{}")
    await call(running, grace, body=b"{}")
    await call(running, grace, path=f"{CONTROL}/openai/v1/nowhere")
    await call(running, UNKNOWN)
    everything = await listed(running)
    assert everything["count"] == 4
    assert await listed(running, auditor) == everything
    own = await listed(running, grace)
    assert (own["count"], {row["initiator"]["username"] for row in own["results"]}) == (2, {"grace"})
    (others,) = [row for row in everything["results"] if row["initiator"] and row["initiator"]["username"] == "ada"]
    assert (await listed(running, grace, q=f"api_key_id:{others['api_key_id']}"))["count"] == 0
    assert await running.get(f"{CONTROL}/refusals?after_id={others['id']}", grace) == (
        400,
        {
            "message": "Query parameters have invalid values.",
            "validations": [{"field": "after_id", "detail": "no refusal with this id that you may see"}],
        },
    )
    assert (await running.get(f"{CONTROL}/refusals?q=initiator:ada", grace))[0] == 400
    assert await counted(running, grace) == ({"unknown_route": 1, "unusable_body": 1}, {"grace": 2})
    assert (await counted(running, auditor))[0].total() == 4
    assert (await listed(running, await running.user("newcomer")))["results"] == []
