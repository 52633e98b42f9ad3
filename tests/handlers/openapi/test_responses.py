"""What a running bridge really answers is what the description of the API promises, errors included."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from msgspec import structs

import handlers.dataplane.proxy
from resources.accounts.devices import GRANT_TYPE
from runtime.process import now
from settings import RecordPolicy
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.sessions.session_job import SessionJob
from tests.bridge import until
from tests.fake_upstream import CLOSE
from tests.handlers.contract import CONTROL, Contract
from tests.handlers.conversations import CHAT, MESSAGES
from tests.wire.conversations import conversations

pytest_plugins = ["tests.storage.outages"]

LIST = f"{CONTROL}/interceptions"
SESSIONS = f"{CONTROL}/sessions"
NAMES = tuple(f"{CONTROL}/{kind}" for kind in ("models", "clients", "providers"))
STATISTICS = f"{CONTROL}/stats"
SESSION = f"{CONTROL}/users/me/session"
DEVICE_TOKEN = f"{CONTROL}/device/token"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
PROVIDERS = {"/v1/messages": "anthropic"}
# Where some are refused by their role, and a member is not: they get their own, or an answer about what they sent.
FOR_MEMBERS = {
    **{
        ("GET HEAD", f"/{name}"): 200
        for name in ("errors", "interceptions", "interceptions/export", "sessions", "stats")
    },
    **dict.fromkeys(
        [("DELETE", "/tokens/{id}"), ("POST", "/tokens/{id}/replace"), ("PATCH DELETE", "/views/{id}")], 404
    ),
    **{("POST", f"/{name}"): 400 for name in ("device/answer", "device/lookup", "limits/what-if")},
}


@pytest.fixture
def contract():
    return Contract()


@pytest.fixture
def late():
    """Requests whose bodies never come, each with its wait for the response."""
    return []


@pytest.fixture
def send(io_loop, running, contract, late):
    """Send a request, compare the response with what is promised of it, and return it; of a stream only the head.

    The body of one that is `late` never comes: its answer is waited for beside what is asked next.
    """
    idle = []

    async def answered(method, target, status, headers=None, body=b"", *, whole=True, late=False):
        client = idle.pop() if idle else await running.client()
        headers = running.headers if headers is None else headers
        if late:
            lines = [f"{method} {target} HTTP/1.1", "Host: b", "Content-Length: 9"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            await client.send_raw("\r\n".join([*lines, "", ""]).encode())
        else:
            await client.send(method, target, headers, body)
        response = await client.head()
        if whole and method != "HEAD":
            await client.rest(response)
        if whole and response.header("Connection") != "close":
            idle.append(client)
        else:
            client.close()
        assert response.status == status, (method, target, bytes(response.body))
        contract.check(method, target, response)
        return response

    async def send(*args, **options):
        if "late" in options:
            return late.append(asyncio.create_task(answered(*args, **options)))
        return await answered(*args, **options)

    yield send
    io_loop.run_sync(lambda: asyncio.gather(*late))


@pytest.fixture
def record(running, send):
    """Make conversations, and wait until each is recorded and counted, and in its session if it can be."""

    async def record(*made):
        for conversation in made:
            stream, body = conversation.stream, conversation.body
            kind, content = (b"text/event-stream", stream) if stream else (b"application/json", body)
            running.upstream.scripts[:] = [(HEAD % (kind, len(content)), content)]
            provider = PROVIDERS.get(conversation.api.path, "openai")
            target = f"{CONTROL}/{provider}{conversation.api.path}"
            await send("POST", target, 200, running.headers, conversation.request)
        assert await running.bridge.recorder.flush(5)
        assert await RollupJob(running.bridge.database, now=now).add_pending() == len(made)
        assert await SessionJob(running.bridge.database).add_pending()  # but for those whose parent may still come

    return record


def shape(record):
    """Which fields of a record of a conversation have something."""
    return tuple(bool(value) for part in (record.request, record.reading) for value in structs.astuple(part))


@pytest.mark.gen_test
async def test_conversations_and_what_they_add_up_to_are_shown_as_described(send, record):
    # Larger ones say no more, and of one shape one says all.
    made = list({shape(one.record): one for one in conversations() if len(one.stream or one.body) < 10_000}.values())
    await record(*made)
    listed = json.loads((await send("GET", f"{LIST}?limit=1000", 200)).body)["results"]
    assert len(listed) == len(made)
    for kind in ("token_usages", "user_prompts", "tool_usages", "model_thoughts", "error"):
        assert any(one[kind] for one in listed), kind
    exported = (await send("GET", f"{LIST}/export", 200)).body.splitlines()
    assert [json.loads(line) for line in exported] == listed
    for by in ("user", "group", "token", "model", "provider", "client", "session", "end_reason", "streaming"):
        requested = f"?group_by={by}&bucket=hour&compare=previous&limit=1000"
        statistics = json.loads((await send("GET", STATISTICS + requested, 200)).body)
        assert statistics["uncounted"] == 0
        assert sum(one["total"]["interceptions"] for one in statistics["groups"]) == len(made)
        assert all(one["points"] for one in statistics["groups"])
    for path in NAMES:
        assert json.loads((await send("GET", path, 200)).body)
    sessions = json.loads((await send("GET", SESSIONS, 200)).body)["results"]
    for listed in {tuple(key for key, value in one.items() if value): one for one in sessions}.values():
        session = json.loads((await send("GET", f"{SESSIONS}/{listed['id']}", 200)).body)
        assert session["thread_page"]["results"]
        timeline = json.loads((await send("GET", f"{SESSIONS}/{listed['id']}/timeline", 200)).body)
        assert len(timeline["calls"]) == listed["interceptions"]


@pytest.mark.gen_test
async def test_what_asks_for_a_token_and_a_role_is_refused_without(running, send, contract):
    member, allowed = await running.user("grace"), set()
    for method, path, operation, _ in list(contract.operations()):
        if operation.get("security") == [] or "{provider}" in path:
            continue
        target = re.sub("{(name|user)}", "ada", path).replace("{id}", str(uuid4()))
        target = re.sub(r"{\w+}", "lab", target)
        await send(method, target, 401, {}, b"{}")
        if "403" in operation["responses"] and not path.endswith("/live"):
            client = await running.client()
            response = await client.request(method, target, member | {"Content-Type": "application/json"}, b"{}")
            contract.check(method, target, response)
            if response.status != 403:
                allowed.add((method, path, response.status))
    assert allowed == {
        (method, CONTROL + path, status)
        for (methods, path), status in FOR_MEMBERS.items()
        for method in methods.split()
    }


@pytest.mark.gen_test
async def test_every_event_is_an_interception_as_described(running, contract):
    gate = asyncio.Event()
    running.upstream.play(HEAD % (b"application/json", len(MESSAGES.body)), gate, MESSAGES.body)
    listener, client = await running.client(), await running.client()
    await listener.send("GET", f"{LIST}/live", running.headers)
    response = await listener.head()
    await client.send("POST", running.path(MESSAGES), running.headers, MESSAGES.request_body(stream=False))
    called = await client.head()
    assert await running.bridge.recorder.flush(5)
    gate.set()
    await client.rest(called)
    while len(events := re.findall(rb"^event: (.+)\nid: .+\ndata: (.+)\n\n", response.body, re.MULTILINE)) < 2:
        await listener.piece(response)
    assert [name for name, _ in events] == [b"interception"] * 2
    interceptions = [json.loads(data) for _, data in events]
    for interception in interceptions:
        contract.validate(interception, {"$ref": "#/components/schemas/Interception"})
    assert [interception["status"] for interception in interceptions] == ["in_flight", "completed"]


class TestWithoutTheDatabase:
    @pytest.fixture
    def database(self, private_database):
        return private_database

    @pytest.mark.expects_log(r"^WARNING storage\.mongo\.health: the database is unavailable: ")
    @pytest.mark.bridge(record_policy=RecordPolicy.STRICT)  # so that it is not ready
    @pytest.mark.gen_test
    async def test_the_answers_of_an_outage_are_described(self, running, send, private_mongodb, contract, log_watch):
        stranger = await running.user("grace")
        private_mongodb.freeze()
        try:
            requested = {
                (method, re.sub("{(name|group|user)}", "ada", path.replace("{id}", str(uuid4()))))
                for method, path, operation, _ in contract.operations()
                if "503" in operation["responses"]
                and "{provider}" not in path
                and path not in {"/", "/docs", SESSION, DEVICE_TOKEN}
            }
            await asyncio.gather(
                *(send(method, path, 503, stranger) for method, path in requested if method != "HEAD"),
                send("POST", SESSION, 503, {"Content-Type": "application/json"}, token_of(stranger)),
                send("POST", DEVICE_TOKEN, 503, {}, f"grant_type={GRANT_TYPE}&device_code=x".encode()),
            )
            await until(lambda: log_watch.has("the database is unavailable"))
        finally:
            private_mongodb.thaw()


def token_of(headers):
    return json.dumps({"token": headers["Authorization"].removeprefix("Bearer ")}).encode()


@pytest.mark.bridge(max_body_bytes=2000, allow_byok=False, upstream_idle_timeout=timedelta(seconds=0.1))
@pytest.mark.gen_test
async def test_the_errors_of_the_data_plane_are_described_in_both_dialects(running, send, contract, monkeypatch):
    monkeypatch.setattr(handlers.dataplane.proxy, "BODY_SECONDS", 0.2)
    own_key = {"X-Coder-AI-Governance-Token": running.token, "Authorization": "Bearer sk-own"}
    for conversation in (CHAT, MESSAGES):
        target, body = running.path(conversation), conversation.request_body(stream=False)
        await send("POST", target, 400, body=b"{}")
        await send("POST", target, 401, {}, body)
        await send("POST", target, 403, own_key, body)
        await send("POST", target.replace("anthropic", "nobody").replace("openai", "nobody"), 404, body=body)
        await send("POST", target, 413, body=b"x" * 2001)
        await send("POST", target, 408, late=True)
        await send("POST", target, 415, running.headers | {"Content-Encoding": "br"}, body)
        running.upstream.scripts[:] = [(CLOSE,)]
        await send("POST", target, 502, body=body)
        running.upstream.scripts[:] = [(asyncio.Event(),)]
        await send("POST", target, 504, body=body)
    await send("GET", f"{CONTROL}/openai/v1/responses", 426, running.headers | {"Upgrade": "websocket"})
    await send("POST", f"{CONTROL}/no-key/v1/messages", 400, body=MESSAGES.request_body(stream=False))
    await send("HEAD", f"{CONTROL}/openai/", 200, {})
    running.upstream.scripts[:] = [(HEAD % (b"application/json", 2), b"{}")]
    await send("GET", f"{CONTROL}/openai/v1/responses/resp_1", 404)
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/responses/input_tokens")):
        await send(method, f"{CONTROL}/openai{path}", 200)


@pytest.mark.bridge(rate_limit=1, rate_window=timedelta(seconds=100))
@pytest.mark.gen_test
async def test_a_refusal_by_the_rate_is_described_with_its_headers(running, send):
    target, body = running.path(MESSAGES), MESSAGES.request_body(stream=False)
    await send("POST", target, 400, body=b"{}")
    refusal = await send("POST", target, 429, body=body)
    for name in ("X-RateLimit-Limit", "Retry-After", "retry-after-ms", "x-should-retry", "Request-Id"):
        assert refusal.header(name), name
