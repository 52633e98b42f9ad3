"""What is recorded of sign-ins, failed authentication and refusals."""

from __future__ import annotations

import json
import logging

import pytest

from handlers.base import UNRECOGNISED
from handlers.dataplane import BYOK_DISABLED
from handlers.users import NOT_YOURS_TO_SEE
from tests.handlers.conversations import CHAT
from tests.handlers.test_metrics import samples

AUDIT = "/api/v2/aibridge/audit?limit=1000"
USERS = "/api/v2/aibridge/users"
SESSION = "/api/v2/aibridge/users/me/session"
UNKNOWN = "abcdefghij-0123456789abcdefghijkl"
ACCESS = {"authentication.failed", "access.denied", "user.signed_in"}
NOBODY = {"id": None, "username": "unknown caller"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def trail(running):
    """The entries about access, of a plane each: by whom, how often and why, in the order of the planes."""
    await running.bridge.access.flush()
    _, page = await running.get(AUDIT)
    found = [entry for entry in page["results"] if entry["action"] in ACCESS]
    assert all(entry["detail"].pop("last_at") and entry["subject"] is None for entry in found)
    found.sort(key=lambda entry: entry["detail"].get("plane", ""))
    return [{key: entry[key] for key in ("action", "actor", "detail", "client_ip")} for entry in found]


async def post(running, path, headers, body):
    client = await running.client()
    answer = await client.request("POST", path, headers, body)
    return answer.status, json.loads(answer.body)["message"] if answer.body else None


async def call(running, headers):
    return await post(running, running.path(CHAT), headers, CHAT.request_body(stream=False))


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "handlers.access")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "handlers.access"]


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_of_a_known_token_the_public_part_is_told(running, said):
    await running.user("grace")
    token, text = await running.bridge.identities.create_token("grace")
    guess = f"{token.id}-{UNKNOWN[11:]}"
    await running.get(USERS, bearer(guess))
    await running.bridge.identities.revoke_token(token.id)
    await running.get(USERS, bearer(text))
    entries = await trail(running)
    assert sorted(entry["detail"]["reason"] for entry in entries) == ["revoked", "wrong_secret"]
    assert [entry["actor"] for entry in entries] == [NOBODY | {"token_id": token.id}] * 2
    assert all(f"token_id={token.id} " in line for line in said())
    everything = repr([document async for document in running.bridge.database.audit.find()]) + repr(said())
    assert text[11:] not in everything
    assert guess[11:] not in everything


@pytest.mark.gen_test
async def test_a_request_without_any_token_is_a_metric_alone(running, said):
    assert (await running.get(USERS, {}))[0] == 401
    assert samples(running.bridge.metrics, "authentication_failures_total") == {("control", "missing"): 1}
    assert (await trail(running), said()) == ([], [])


@pytest.mark.bridge(allow_byok=False)
@pytest.mark.gen_test
async def test_a_403_says_who_was_refused_what(running, said):
    headers = await running.user("grace")
    grace = await running.bridge.identities.find_user("grace")
    token_id = headers["Authorization"].removeprefix("Bearer ")[:10]
    assert await running.get(USERS, headers) == (403, {"message": NOT_YOURS_TO_SEE})
    own_key = {"X-Coder-AI-Governance-Token": headers["Authorization"][7:], "Authorization": "Bearer sk-own"}
    assert await call(running, own_key) == (403, BYOK_DISABLED)
    assert await trail(running) == [
        {
            "action": "access.denied",
            "actor": {"id": str(grace.id), "username": "grace", "token_id": token_id},
            "detail": {"message": message, "plane": plane, "count": 1},
            "client_ip": "127.0.0.1",
        }
        for plane, message in (("control", NOT_YOURS_TO_SEE), ("data", BYOK_DISABLED))
    ]
    assert samples(running.bridge.metrics, "access_denied_total") == {("control",): 1, ("data",): 1}
    assert len(said()) == 2


@pytest.mark.gen_test
async def test_who_signs_in_and_who_fails_to_is_recorded(running, said):
    json_body = {"Content-Type": "application/json"}
    for token, status in ((running.token, 204), (UNKNOWN, 401)):
        assert (await post(running, SESSION, json_body, json.dumps({"token": token}).encode()))[0] == status
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
