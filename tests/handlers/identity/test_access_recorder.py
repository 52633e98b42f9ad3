"""What is recorded of sign-ins, failed authentication and refusals."""

import json
import logging
from ipaddress import ip_network

import pytest

from handlers.base import TOO_MANY_FAILURES, UNRECOGNISED
from handlers.dataplane.admission import BYOK_DISABLED
from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import Models, SharedPolicy
from storage.policies.documents import KeptPolicy
from tests.handlers.conversations import CHAT
from tests.handlers.monitoring.test_metrics import samples

AUDIT = "/api/v2/aibridge/audit?limit=1000"
USERS = "/api/v2/aibridge/users"
ME = "/api/v2/aibridge/users/me"
JSON = {"Content-Type": "application/json"}
SESSION = "/api/v2/aibridge/users/me/session"
UNKNOWN = "abcdefghij-0123456789abcdefghijkl"
KEY = "sk-ant-api03-0123456789abcdefghijkl"
ACCESS = {"authentication.failed", "access.denied", "user.signed_in"}
NOBODY = {"id": None, "username": "unknown caller"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def trail(running):
    """The entries about access, of a plane each: by whom, how often and why, in the order of the planes."""
    await running.bridge.access.trail.flush()
    _, page = await running.get(AUDIT)
    found = [entry for entry in page["results"] if entry["action"] in ACCESS]
    assert all(entry["detail"].pop("last_at") and entry["subject"] is None for entry in found)
    found.sort(key=lambda entry: entry["detail"].get("plane", ""))
    return [{key: entry[key] for key in ("action", "actor", "detail", "client_ip")} for entry in found]


async def post(running, path, headers, body):
    response = await running.request("POST", path, headers, body)
    return response.status, json.loads(response.body)["message"] if response.body else None


async def call(running, headers):
    return await post(running, running.path(CHAT), headers, CHAT.request_body(stream=False))


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "handlers.identity.access_recorder")
    return lambda: [
        record.getMessage() for record in caplog.records if record.name == "handlers.identity.access_recorder"
    ]


async def test_unknown_tokens_are_a_metric_a_line_and_one_entry(running, said):
    for _ in range(3):
        assert await running.get(USERS, bearer(UNKNOWN)) == (401, {"message": UNRECOGNISED})
    assert await call(running, bearer(UNKNOWN)) == (401, UNRECOGNISED)
    assert await trail(running) == [
        {
            "action": "authentication.failed",
            "actor": NOBODY,
            "detail": {"reason": "unknown", "plane": plane, "count": count},
            "client_ip": "127.0.0.1",
        }
        for plane, count in (("control", 3), ("data", 1))
    ]
    metric = samples(running.bridge.metrics, "authentication_failures_total")
    assert metric == {("control", "unknown"): 3, ("data", "unknown"): 1}
    assert said() == [
        f"authentication failed: reason=unknown plane={plane} address=127.0.0.1 token_id=- new=1 total=1"
        for plane in ("control", "data")
    ]
    everything = repr([document async for document in running.bridge.database.audit.find()]) + repr(said())
    assert UNKNOWN[:10] not in everything
    assert UNKNOWN[11:] not in everything


def guess(number):
    return f"{number:010}{UNKNOWN[10:]}"


async def lookups(running, monkeypatch):
    """Count the tokens that are looked up from now on."""
    looked_up, authenticate = [], running.bridge.identities.authenticate

    async def counted(*credential):
        looked_up.append(credential)
        return await authenticate(*credential)

    monkeypatch.setattr(running.bridge.identities, "authenticate", counted)
    return looked_up


@pytest.mark.bridge(authentication_failure_limit=4)
async def test_guesses_are_looked_up_so_often_and_valid_tokens_get_in_all_the_same(running, monkeypatch):
    looked_up = await lookups(running, monkeypatch)
    statuses = []
    for number in range(0, 40, 2):
        statuses.append((await running.get(USERS, bearer(guess(number))))[0])
        statuses.append((await call(running, bearer(guess(number + 1))))[0])
    assert statuses == [401] * 4 + [429] * 36
    assert len(looked_up) == 4
    status, response = await running.get(USERS, bearer(guess(99)))
    assert (status, response) == (429, {"message": TOO_MANY_FAILURES})
    assert samples(running.bridge.metrics, "authentication_failures_total") == {
        ("control", "unknown"): 2,
        ("data", "unknown"): 2,
        ("control", "blocked"): 19,
        ("data", "blocked"): 18,
    }
    counts = {(one["detail"]["plane"], one["detail"]["reason"]): one["detail"]["count"] for one in await trail(running)}
    assert counts == samples(running.bridge.metrics, "authentication_failures_total")
    stranger = await running.user("grace")  # whose token nobody has seen
    running.bridge.active_tokens.forget()
    for headers in (running.headers, stranger):
        assert (await running.get(ME, headers))[0] == 200
    assert (await post(running, SESSION, JSON, json.dumps({"token": running.token}).encode()))[0] == 204


@pytest.mark.bridge(authentication_failure_limit=2)
async def test_requests_without_a_token_and_with_nonsense_are_told_so_however_many(running):
    for headers in ({}, bearer("nonsense")) * 2:
        assert (await running.get(USERS, headers))[0] == 401
    for number in range(3):
        await running.get(USERS, bearer(guess(number)))
    assert [(await running.get(USERS, headers))[0] for headers in ({}, bearer("nonsense"))] == [401, 401]


@pytest.mark.bridge(authentication_failure_limit=1)
async def test_who_has_failed_too_often_is_told_how_long_to_wait(running):
    await running.get(USERS, bearer(guess(1)))
    response = await running.request("GET", USERS, bearer(guess(2)))
    assert 0 < int(response.header("retry-after-ms")) <= 60_000


@pytest.mark.bridge(authentication_failure_limit=2, trusted_proxies=[ip_network("127.0.0.0/8")])
async def test_addresses_are_limited_apart_and_ipv6_by_its_network(running):
    async def status(address, number):
        return (await running.get(USERS, bearer(guess(number)) | {"X-Forwarded-For": address}))[0]

    assert [await status(f"2001:db8::{number:x}", number) for number in range(3)] == [401, 401, 429]
    assert await status("2001:db8:0:1::1", 3) == 401
    assert await status("192.0.2.1", 4) == 401


@pytest.mark.bridge(authentication_failure_limit=1, rate_limit=100)
async def test_what_is_refused_for_its_failures_counts_for_no_rate(running):
    for number in range(5):
        await call(running, bearer(guess(number)))
    assert (await running.bridge.overload.usage(9)).rates["127.0.0.1"].remaining == 99


async def test_failed_requests_are_a_metric_and_known_tokens_and_keys_told_in_part(running, said):
    # of a known token the public part is told
    await running.user("grace")
    token, text = await running.bridge.identities.create_token("grace")
    wrong = f"{token.id}-{UNKNOWN[11:]}"
    await running.get(USERS, bearer(wrong))
    await running.bridge.identities.revoke_token(token.id)
    await running.get(USERS, bearer(text))
    entries = await trail(running)
    assert sorted(entry["detail"]["reason"] for entry in entries) == ["revoked", "wrong_secret"]
    assert [entry["actor"] for entry in entries] == [NOBODY | {"token_id": token.id}] * 2
    assert all(f"token_id={token.id} " in line for line in said())
    everything = repr([document async for document in running.bridge.database.audit.find()]) + repr(said())
    assert text[11:] not in everything
    assert wrong[11:] not in everything
    await running.afresh("audit")
    # a 403 that quotes a key is recorded without it
    policy = SharedPolicy(models=Models(deny=["*"]))
    running.bridge.policies.put(KeptPolicy(PolicyHolder(Level.EVERYONE), policy, "1"))
    body = json.dumps(CHAT.request | {"model": KEY}).encode()
    status, message = await post(running, running.path(CHAT), {**bearer(running.token), **JSON}, body)
    assert (status, KEY in message) == (403, False)
    (entry,) = await trail(running)
    assert (entry["action"], entry["detail"]["message"]) == ("access.denied", message)
    assert KEY not in repr(said())


async def test_a_request_without_any_token_is_a_metric_alone(running, said):
    assert (await running.get(USERS, {}))[0] == 401
    assert samples(running.bridge.metrics, "authentication_failures_total") == {("control", "missing"): 1}
    assert (await trail(running), said()) == ([], [])


@pytest.mark.bridge(allow_byok=False)
async def test_a_403_says_who_was_refused_what(running, said):
    headers = await running.user("grace")
    grace = await running.bridge.identities.find_user("grace")
    token_id = headers["Authorization"].removeprefix("Bearer ")[:10]
    assert (await running.get(USERS, headers))[0] == 403
    own_key = {"X-Coder-AI-Governance-Token": headers["Authorization"][7:], "Authorization": "Bearer sk-own"}
    assert await call(running, own_key) == (403, BYOK_DISABLED)
    assert await trail(running) == [
        {
            "action": "access.denied",
            "actor": {"id": str(grace.id), "username": "grace", "token_id": token_id},
            "detail": {"message": message, "plane": plane, "count": 1},
            "client_ip": "127.0.0.1",
        }
        for plane, message in (
            ("control", "Only owners, auditors and readers may list users."),
            ("data", BYOK_DISABLED),
        )
    ]
    assert samples(running.bridge.metrics, "access_denied_total") == {("control",): 1, ("data",): 1}
    assert len(said()) == 2


async def test_who_signs_in_and_who_fails_to_is_recorded(running, said):
    for token, status in ((running.token, 204), (UNKNOWN, 401)):
        assert (await post(running, SESSION, JSON, json.dumps({"token": token}).encode()))[0] == status
    signed_in, failed = await trail(running)
    ada = running.identity
    assert signed_in == {
        "action": "user.signed_in",
        "actor": {"id": str(ada.user.id), "username": "ada", "token_id": ada.token_id},
        "detail": {"count": 1},
        "client_ip": "127.0.0.1",
    }
    assert (failed["action"], failed["detail"]["plane"]) == ("authentication.failed", "sign_in")
    assert samples(running.bridge.metrics, "sign_ins_total") == {(): 1}
    assert len(said()) == 2
