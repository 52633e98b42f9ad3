"""What a running bridge really answers is what the description of the API promises, errors included."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from unittest.mock import AsyncMock, patch
from uuid import uuid4

import pytest
from msgspec import structs

import handlers.dataplane.proxy
from handlers.api.accounts.changes import MAX_BODY_BYTES
from handlers.api.accounts.policies import MAX_POLICY_BYTES
from handlers.api.money import reconciliation
from handlers.api.money.prices import MAX_PRICES_BYTES
from handlers.api.providers.managed import MAX_PROVIDER_BYTES
from resources.accounts.devices import GRANT_TYPE
from runtime.assembly import DEVICE_STARTS
from runtime.factories.edge import make_openid
from runtime.process import now
from settings import RecordPolicy, Settings
from storage.accounts.events import Action
from storage.accounts.groups import MAX_GROUPS_OF_USER
from storage.accounts.sign_in import devices
from storage.accounts.sign_in.single_sign_on import Claimed, SingleSignOn
from storage.accounts.users import Role
from storage.accounts.views.documents import MAX_VIEWS_OF_USER
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.sessions.session_job import SessionJob
from storage.alerts.documents import MAX_WEBHOOKS
from storage.prices.recosts import Recosts
from tests.bridge import until
from tests.fake_upstream import CLOSE
from tests.handlers.contract import CONTROL, Contract
from tests.handlers.conversations import CHAT, MESSAGES
from tests.wire.conversations import conversations
from upstream.reports.reported import ReportError

pytest_plugins = ["tests.storage.outages"]

LIST = f"{CONTROL}/interceptions"
SESSIONS = f"{CONTROL}/sessions"
LIMITS = f"{CONTROL}/limits"
NAMES = tuple(f"{CONTROL}/{kind}" for kind in ("models", "clients", "providers"))
STATISTICS = f"{CONTROL}/stats"
SESSION = f"{CONTROL}/users/me/session"
DEVICE_TOKEN = f"{CONTROL}/device/token"
FAILURE_LIMIT = 5
GUESSED_CODES = 2  # of programs that wait for a token, which count as failures too
# For each resource a query that it does not take.
WRONG = {
    LIST: "limit=0",
    SESSIONS: "limit=0",
    **dict.fromkeys((*NAMES, f"{CONTROL}/tags"), "limit=0"),
    f"{CONTROL}/refusals": "limit=0",
    f"{CONTROL}/errors": "limit=0",
    STATISTICS: "bucket=year",
    LIMITS: "q=x",
    f"{CONTROL}/providers/configured": "q=x",
    f"{CONTROL}/providers/performance": "q=x",
    f"{CONTROL}/providers/openai/usage": "q=x",
    **dict.fromkeys((f"{CONTROL}/users", f"{CONTROL}/users/ada/tokens", f"{CONTROL}/audit"), "limit=0"),
    f"{CONTROL}/users/ada": "q=x",
    f"{CONTROL}/groups": "limit=0",
    f"{CONTROL}/groups/lab": "q=x",
    f"{CONTROL}/groups/lab/members": "limit=0",
    f"{CONTROL}/groups/lab/tokens": "limit=0",
    f"{CONTROL}/tokens": "limit=0",
    f"{CONTROL}/policies": "limit=0",
    f"{CONTROL}/prices": "q=x",
    f"{CONTROL}/webhooks": "q=x",
    f"{CONTROL}/demo-company": "q=x",
    f"{CONTROL}/views": "page=x",
    f"{CONTROL}/prices/recosts": "q=x",
    f"{CONTROL}/spend/export": "format=xml",
    **dict.fromkeys((f"{CONTROL}/policies/{of}" for of in ("everyone", "groups/lab", "users/ada")), "q=x"),
    f"{CONTROL}/users/ada/policy": "provider=none",
    f"{CONTROL}/users/ada/usage": "q=x",
    f"{CONTROL}/users/me": "id=1",
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
PROVIDERS = {"/v1/messages": "anthropic"}


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


@pytest.mark.expects_log("sign-in refused: reason=unavailable")
@pytest.mark.bridge(tokens_per_user=2, authentication_failure_limit=FAILURE_LIMIT, encryption_keys=(bytes(32),))
@pytest.mark.gen_test
async def test_every_answer_outside_the_data_plane_that_is_described_is_given(
    *, running, send, late, record, contract, http_server
):
    """But for a fault of the bridge, what takes an outage, and a page without its libraries."""
    http_server.options.body_seconds = 0.2
    member = await running.user("grace")
    await running.bridge.groups.add("lab")
    await record(conversations()[0])
    (interception,) = json.loads((await send("GET", f"{LIST}?limit=1", 200)).body)["results"]
    one = f"{LIST}/{interception['id']}"
    (session,) = json.loads((await send("GET", f"{SESSIONS}?limit=1", 200)).body)["results"]
    detail = f"{SESSIONS}/{session['id']}"
    token_policy = f"{CONTROL}/policies/tokens/{running.identity.token_id}"
    wrong = {
        token_policy: "q=x",
        one: "q=x",
        detail: "limit=51",
        f"{detail}/timeline": "q=x",
        f"{LIST}/export": "format=xml",
    } | WRONG
    for path, query in wrong.items():
        for method in ("GET", "HEAD"):
            await send(method, path, 200)
        await send("GET", path, 401, {})
        await send("GET", f"{path}?{query}", 400)
    for path in (one, detail, f"{detail}/timeline"):
        await send("GET", path, 404, member)
    await send("GET", f"{LIST}/export?format=csv", 200)
    await send("GET", f"{LIST}?q=word", 200)
    reader = await running.user("rhea", Role.READER)
    await look_as_a_reader(send, one, reader)
    await send("GET", one, 200, await running.user("audrey", Role.AUDITOR))
    await send("GET", f"{LIST}/live", 200, whole=False)
    await send("GET", f"{LIST}/live", 401, {})
    await send("GET", f"{LIST}/live", 400, running.headers | {"Last-Event-ID": "none"})
    for path in (LIMITS, f"{CONTROL}/providers/performance", f"{CONTROL}/providers/openai/usage"):
        await send("GET", path, 403, member)
    await send("GET", f"{CONTROL}/providers/nobody/usage", 404)
    for path in ("/healthz", "/readyz", "/metrics"):
        await send("GET", path, 200, {})
    for path in ("/openapi.json", "/dashboard/icon.svg"):
        response = await send("GET", path, 200, {})
        await send("GET", path, 304, {"If-None-Match": response.header("Etag")})
    await send("GET", "/dashboard/nothing.js", 404, {})
    await change_users_and_tokens(running, send, member | {"Content-Type": "application/json"})
    await change_groups(running, send, member | {"Content-Type": "application/json"})
    await change_providers(running, send, member | {"Content-Type": "application/json"})
    await change_any_tokens(running, send, member | {"Content-Type": "application/json"})
    await change_policies(running, send, member | {"Content-Type": "application/json"})
    await change_prices(running, send, member | {"Content-Type": "application/json"})
    await change_webhooks(running, send, member | {"Content-Type": "application/json"})
    await change_views(running, send, member | {"Content-Type": "application/json"})
    await let_programs_in(running, send)
    await try_limits(running, send, reader)
    await compare_with_the_bill(running, send, member)
    await fill_in_the_demo_company(running, send, member)
    await sign_in_and_out(running, send)
    await sign_in_elsewhere(running, send)
    await asyncio.gather(*late)
    await running.bridge.access.trail.flush()
    trail = json.loads((await send("GET", f"{CONTROL}/audit?limit=1000", 200)).body)["results"]
    assert {entry["action"] for entry in trail} == {action.value for action in Action}
    await use_up_a_share(running, send, contract)
    given = {(method, path, status) for method, path, status in contract.seen if "{provider}" not in path}
    assert described(contract) - given == set()


async def use_up_a_share(running, send, contract):
    while running.bridge.shares.requests.acquire(str(running.identity.user.id)):
        pass
    for method, path, status in described(contract):
        if status == 429 and path != SESSION:
            await send(method, re.sub(r"{\w+}", "any", path), 429)


async def refuse_bodies(send, method, path, headers, limit=MAX_BODY_BYTES):
    await send(method, path, 400, headers, b"{")
    await send(method, path, 413, headers, b" " * (limit + 1))
    await send(method, path, 408, headers, late=True)
    await send(method, path, 415, headers | {"Content-Type": "text/plain"}, b"{}")


async def change_users_and_tokens(running, send, member):
    users, headers = f"{CONTROL}/users", running.headers
    new, tokens, unknown = b'{"username": "bob", "role": "member"}', f"{users}/bob/tokens", f"{users}/nobody"
    added = json.loads((await send("POST", users, 201, headers, new)).body)
    await send("POST", users, 409, headers, new)
    changed = json.loads((await send("PATCH", f"{users}/bob", 200, headers, b'{"role": "auditor"}')).body)
    assert changed == added | {"role": "auditor"}
    token = json.loads((await send("POST", tokens, 201, headers, b'{"name": "laptop", "expires": "90d"}')).body)
    await send("POST", f"{users}/me/tokens", 201, member, b"{}")
    await send("POST", f"{users}/me/tokens", 409, member, b"{}")
    await send("GET", f"{users}/me/tokens", 200, member)
    await send("GET", tokens, 403, member)
    await send("GET", f"{unknown}/tokens", 404)
    await send("PATCH", f"{users}/ada", 409, headers, b'{"role": "member"}')
    await send("PATCH", f"{users}/ada", 412, headers | {"If-Match": '"0"'}, b"{}")
    changes = (("POST", users), ("PATCH", f"{users}/bob"), ("POST", tokens))
    for method, path in changes:
        await refuse_bodies(send, method, path, headers)
    for method, path in (*changes, ("DELETE", f"{tokens}/{token['id']}"), ("DELETE", f"{users}/bob")):
        await send(method, path, 401, {}, b"{}")
        await send(method, path, 403, member, b"{}")
    for method, path in (("PATCH", unknown), ("POST", f"{unknown}/tokens"), ("DELETE", f"{tokens}/x")):
        await send(method, path, 404, headers, b"{}")
    await send("DELETE", f"{tokens}/{token['id']}", 204)
    await send("DELETE", f"{users}/bob", 204)
    await send("DELETE", f"{users}/bob", 404)
    await send("DELETE", f"{users}/ada", 409)
    await send("GET", f"{CONTROL}/audit", 403, member)
    await send("GET", users, 403, member)


async def try_limits(running, send, reader):
    path, headers = f"{LIMITS}/what-if", running.headers | {"Content-Type": "application/json"}
    body = b'{"from": "2026-11-01", "limits": {"together": {"concurrency": 1}}}'
    await send("POST", path, 200, headers, body)
    words = b'{"from": "2026-11-01", "models": {"deny": ["gpt-4"]}, "q": "password"}'
    await send("POST", path, 200, headers, words)
    await send("POST", path, 403, headers | reader, words)
    await refuse_bodies(send, "POST", path, headers)
    await send("POST", path, 401, {}, b"{}")


async def compare_with_the_bill(running, send, member):
    path, headers, body = f"{CONTROL}/spend/reconciliation", running.headers, b'{"provider": "openai"}'
    await send("POST", path, 409, headers, body)
    outcomes = {200: AsyncMock(return_value=[]), 502: AsyncMock(side_effect=ReportError("no"))}
    for status, read in (outcomes | {504: AsyncMock(side_effect=TimeoutError)}).items():
        with patch.object(reconciliation, "read_report", read):
            await send("POST", path, status, headers, body)
    await send("POST", path, 403, member, body)
    await refuse_bodies(send, "POST", path, headers)
    await send("POST", path, 401, {}, b"{}")


async def fill_in_the_demo_company(running, send, member):
    path = f"{CONTROL}/demo-company"
    for method in ("POST", "DELETE"):
        await send(method, path, 401, {})
        await send(method, path, 403, member)
    await send("DELETE", path, 404)
    await send("POST", path, 202)
    await send("POST", path, 409)
    status = json.loads((await send("GET", path, 200, member)).body)
    assert status == {"state": "filling", "calls": 0, "progress": 0}
    await send("DELETE", path, 200)
    assert json.loads((await send("GET", path, 200)).body)["state"] == "none"


async def change_groups(running, send, member):
    groups, headers = f"{CONTROL}/groups", running.headers
    one, members, new = f"{groups}/research", f"{groups}/research/members", b'{"name": "research"}'
    await send("POST", groups, 201, headers, new)
    await send("POST", groups, 409, headers, new)
    await send("PATCH", one, 409, headers, b'{"name": "lab"}')
    await send("PATCH", one, 200, headers, b'{"display_name": "Research"}')
    for method in ("PATCH", "DELETE"):
        await send(method, one, 412, headers | {"If-Match": '"0"'}, b"{}")
    for method, path in (("POST", groups), ("PATCH", one)):
        await refuse_bodies(send, method, path, headers)
    changes = (("PUT", f"{members}/grace"), ("DELETE", f"{members}/grace"), ("DELETE", one))
    for method, path in (("POST", groups), ("PATCH", one), *changes):
        await send(method, path, 401, {}, b"{}")
        await send(method, path, 403, member, b"{}")
    for path in (groups, one, members, f"{CONTROL}/users/ada"):
        await send("GET", path, 403, member)
    await send("PUT", f"{members}/nobody", 404)
    many = [uuid4() for _ in range(MAX_GROUPS_OF_USER)]
    grace, users = {"username": "grace"}, running.bridge.database.users
    await users.update_one(grace, {"$set": {"group_ids": many}})
    await send("PUT", f"{members}/grace", 409)
    await users.update_one(grace, {"$set": {"group_ids": []}})
    for method, path in changes:
        await send(method, path, 204)
    for method, path in (("GET", one), ("GET", members), ("PATCH", one), *changes):
        await send(method, path, 404, headers, b"{}")
    await send("GET", f"{CONTROL}/users/nobody", 404)


async def change_providers(running, send, member):
    providers, headers = f"{CONTROL}/providers", running.headers
    east, fixed, unknown = f"{providers}/east", f"{providers}/openai", f"{providers}/west"
    await send("POST", providers, 201, headers, b'{"name": "east", "type": "openai"}')
    await send("POST", providers, 409, headers, b'{"name": "east", "type": "openai"}')
    await send("GET", east, 200)
    await send("GET", east, 401, {})
    await send("GET", east, 403, member)
    await send("GET", unknown, 404)
    await send("GET", f"{east}?q=x", 400)
    await send("PATCH", east, 200, headers, b'{"disabled": true}')
    changes = (("POST", providers), ("PATCH", east))
    for method, path in changes:
        await refuse_bodies(send, method, path, headers, MAX_PROVIDER_BYTES)
    for method, path in (*changes, ("DELETE", east), ("POST", f"{east}/check")):
        await send(method, path, 401, {}, b"{}")
        await send(method, path, 403, member, b"{}")
    for method, path in (("PATCH", unknown), ("DELETE", unknown), ("POST", f"{unknown}/check")):
        await send(method, path, 404, headers, b"{}")
    for method in ("PATCH", "DELETE"):
        await send(method, fixed, 409, headers, b"{}")
    running.upstream.scripts[:] = [(HEAD % (b"application/json", 2), b"{}")]
    await send("POST", f"{fixed}/check", 200)
    await send("DELETE", east, 204)


async def change_any_tokens(running, send, member):
    tokens, service, headers = f"{CONTROL}/tokens", f"{CONTROL}/groups/lab/tokens", running.headers
    lookup, known = f"{tokens}/lookup", json.dumps({"token": running.token}).encode()
    created = json.loads((await send("POST", service, 201, headers, b"{}")).body)
    one, replace = f"{tokens}/{created['id']}", f"{tokens}/{created['id']}/replace"
    by_service = {"X-Api-Key": created["token"], "Content-Type": "application/json"}
    await send("POST", lookup, 200, headers, known)
    await send("POST", lookup, 404, headers, b'{"token": "none"}')
    for path in (service, lookup, replace):
        await refuse_bodies(send, "POST", path, headers)
        await send("POST", path, 401, {}, b"{}")
    for path in (service, lookup):
        await send("POST", path, 403, member, b"{}")
    await send("POST", replace, 403, by_service, b"{}")
    await send("DELETE", one, 403, by_service)
    await send("DELETE", one, 401, {})
    for path in (tokens, service):
        await send("GET", path, 403, member)
    for method, path in (("GET", f"{CONTROL}/groups/nobody/tokens"), ("POST", f"{CONTROL}/groups/nobody/tokens")):
        await send(method, path, 404, headers, b"{}")
    for method, path in (("DELETE", f"{tokens}/none"), ("POST", f"{tokens}/none/replace")):
        await send(method, path, 404, headers, b"{}")
    await send("POST", replace, 201, headers, b"{}")
    await send("DELETE", one, 204)
    await send("POST", replace, 409, headers, b"{}")


async def change_policies(running, send, member):
    policies, headers = f"{CONTROL}/policies", running.headers
    paths = [f"{policies}/everyone", f"{policies}/groups/lab", f"{policies}/users/ada"]
    paths.append(f"{policies}/tokens/{running.identity.token_id}")
    await send("GET", policies, 403, member)
    for path in paths:
        await send("GET", path, 403, member)
        for method in ("PUT", "PATCH"):
            await send(method, path, 200, headers, b'{"max_tokens": 5}')
            await refuse_bodies(send, method, path, headers, MAX_POLICY_BYTES)
        for method in ("PUT", "PATCH", "DELETE"):
            await send(method, path, 401, {}, b"{}")
            await send(method, path, 403, member, b"{}")
            await send(method, path, 412, headers | {"If-Match": '"0"'}, b"{}")
    await send("DELETE", f"{CONTROL}/groups/lab", 409)
    await running.bridge.database.policies.update_many({}, {"$set": {"policy": {"quota": 5}}})
    await send("GET", policies, 200)
    for path in paths:
        await send("GET", path, 409)
        await send("PATCH", path, 409, headers, b'{"max_tokens": 5}')
    for path in paths:
        await send("DELETE", path, 204)
    for of in ("groups/none", "users/nobody", "tokens/none"):
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            await send(method, f"{policies}/{of}", 404, headers, b"{}")
    await send("GET", f"{CONTROL}/users/ada/usage", 403, member)
    await send("GET", f"{CONTROL}/users/nobody/usage", 404)
    await send("GET", f"{CONTROL}/users/ada/policy", 403, member)
    await send("GET", f"{CONTROL}/users/nobody/policy", 404)


async def change_prices(running, send, member):
    path, headers = f"{CONTROL}/prices", running.headers
    await send("GET", path, 403, member)
    await send("PUT", path, 401, {}, b"{}")
    await send("PUT", path, 403, member, b"{}")
    await refuse_bodies(send, "PUT", path, headers, MAX_PRICES_BYTES)
    await send("PUT", path, 412, headers | {"If-Match": '"1"'}, b'{"prices": []}')
    price = {"provider": "none", "model": "*", "input": 1, "output": "2", "valid_from": "2026-11-01"}
    await send("PUT", path, 200, headers, json.dumps({"prices": [price]}).encode())
    await send("PUT", path, 200, headers, b'{"prices": []}')
    recosts, november = f"{path}/recosts", b'{"from": "2026-11-01"}'
    await send("GET", recosts, 403, member)
    await send("POST", recosts, 401, {}, november)
    await send("POST", recosts, 403, member, november)
    await send("POST", recosts, 400, headers, b"{}")
    await send("POST", recosts, 413, headers, b" " * (MAX_BODY_BYTES + 1))
    await send("POST", recosts, 408, headers, late=True)
    await send("POST", recosts, 415, headers | {"Content-Type": "text/plain"}, november)
    await send("POST", recosts, 202, headers, november)
    await send("POST", recosts, 409, headers, november)
    await send("GET", recosts, 200)
    (job,) = await Recosts(running.bridge.database, now=running.bridge.now).list_newest()
    one, none = f"{recosts}/{job.id}", f"{recosts}/{uuid4()}"
    await send("GET", one, 200)
    await send("GET", one, 401, {})
    await send("GET", f"{one}?q=x", 400)
    await send("GET", one, 403, member)
    await send("GET", none, 404)
    await send("DELETE", one, 401, {})
    await send("DELETE", one, 403, member)
    await send("DELETE", none, 404)
    await send("DELETE", one, 200)
    await send("DELETE", one, 409)


async def let_programs_in(running, send):
    device, headers = f"{CONTROL}/device", running.headers
    form, kind = {"Content-Type": "application/x-www-form-urlencoded"}, f"grant_type={GRANT_TYPE}&device_code="
    codes = json.loads((await send("POST", f"{device}/code", 200, form)).body)
    code = json.dumps({"user_code": codes["user_code"]}).encode()
    yes = json.dumps({"user_code": codes["user_code"], "answer": "allow"}).encode()
    await send("POST", f"{device}/token", 400, form, (kind + codes["device_code"]).encode())
    await send("POST", f"{device}/lookup", 200, headers, code)
    _, service = await running.bridge.identities.create_token("groups/lab")
    for path, body in ((f"{device}/lookup", code), (f"{device}/answer", yes)):
        await send("POST", path, 400, headers, b"{")
        await send("POST", path, 401, {}, body)
        await send("POST", path, 403, headers | {"Authorization": f"Bearer {service}"}, body)
        await send("POST", path, 404, headers, body.replace(code[15:19], b"BBBB"))
        await send("POST", path, 408, headers, late=True)
        await send("POST", path, 413, headers, b" " * (MAX_BODY_BYTES + 1))
        await send("POST", path, 415, headers | {"Content-Type": "text/plain"}, body)
    await send("POST", f"{device}/answer", 204, headers, yes)
    await send("POST", f"{device}/token", 200, form, (kind + codes["device_code"]).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "MAX_DEVICES", 0)
        await send("POST", f"{device}/code", 400, form)
    for path in (f"{device}/code", f"{device}/token"):
        await send("POST", path, 413, form, b"x" * 5_000)
        await send("POST", path, 408, form, late=True)
    for _ in range(DEVICE_STARTS):
        running.bridge.device_starts.count("127.0.0.1")
    await send("POST", f"{device}/code", 429, form)


async def sign_in_elsewhere(running, send):
    begin = f"{CONTROL}/sign-in/oidc"
    await send("POST", DEVICE_TOKEN, 429, {}, b"")
    await send("GET", f"{CONTROL}/sign-in", 200, {})
    for path in (begin, f"{begin}/callback"):
        await send("GET", path, 404, {})
    openid = make_openid(Settings(oidc_issuer_url="http://127.0.0.1:9", oidc_client_id="x"), running.bridge.upstream)
    object.__setattr__(running.bridge, "openid", openid)
    for path in (begin, f"{begin}/callback"):
        await send("GET", path, 303, {})
    person = Claimed(issuer="https://id.example", subject="s", username="grace", display_name="")
    parts = running.bridge.database, running.bridge.identities, running.bridge.groups
    await SingleSignOn(*parts, now=now, links_users=True).admit(person)
    await running.bridge.sign_ins.create_link("grace")


async def change_webhooks(running, send, member):
    path, headers, new = f"{CONTROL}/webhooks", running.headers, b'{"url": "https://hooks.example.com/"}'
    await send("GET", path, 403, member)
    await send("POST", path, 201, headers, new)
    (webhook,) = json.loads((await send("GET", path, 200)).body)["results"]
    one, none = f"{path}/{webhook['id']}", f"{path}/{uuid4()}"
    await send("PATCH", one, 200, headers, b'{"types": []}')
    await send("POST", f"{one}/test", 202)
    for of in ("", "/deliveries"):
        await send("GET", one + of, 200)
        await send("GET", f"{one}{of}?q=x", 400)
        await send("GET", one + of, 401, {})
        await send("GET", one + of, 403, member)
        await send("GET", none + of, 404)
    for method in ("PATCH", "DELETE"):
        await send(method, one, 412, headers | {"If-Match": '"0"'}, b"{}")
    for method, target in (("POST", path), ("PATCH", one)):
        await send(method, target, 401, {}, new)
        await send(method, target, 403, member, new)
        await refuse_bodies(send, method, target, headers)
    await send("PATCH", none, 404, headers, b"{}")
    for method, tail, status in (("POST", "/test", 202), ("DELETE", "", 204)):
        await send(method, one + tail, 401, {})
        await send(method, one + tail, 403, member)
        await send(method, none + tail, 404)
        await send(method, one + tail, status)
    for _ in range(MAX_WEBHOOKS):
        await send("POST", path, 201, headers, new)
    await send("POST", path, 409, headers, new)


async def change_views(running, send, member):
    path, headers, new = f"{CONTROL}/views", running.headers, b'{"name": "week", "page": "explore", "shared": true}'
    await send("POST", path, 201, headers, new)
    (view,) = json.loads((await send("GET", path, 200)).body)["results"]
    one, none = f"{path}/{view['id']}", f"{path}/{uuid4()}"
    for method in ("GET", "HEAD"):
        await send(method, one, 200)
        await send(method, one, 401, {})
    await send("GET", f"{one}?q=x", 400)
    await send("GET", none, 404)
    await send("POST", path, 201, headers, b'{"name": "month", "page": "explore"}')
    await send("PATCH", one, 200, headers, b'{"query": {"q": "model:gpt-5"}}')
    await send("PATCH", one, 409, headers, b'{"name": "month"}')
    for method in ("PATCH", "DELETE"):
        await send(method, one, 412, headers | {"If-Match": '"0"'}, b"{}")
    for method, target in (("POST", path), ("PATCH", one)):
        await send(method, target, 401, {}, new)
        await refuse_bodies(send, method, target, headers)
    await send("PATCH", one, 403, member, b"{}")
    await send("PATCH", none, 404, headers, b"{}")
    for target, of, status in ((one, {}, 401), (one, member, 403), (none, headers, 404), (one, headers, 204)):
        await send("DELETE", target, status, of)
    views = running.bridge.database.views
    saved = await views.find_one({"name": "month"})
    await views.insert_many([{**saved, "_id": uuid4(), "name": str(one)} for one in range(1, MAX_VIEWS_OF_USER)])
    await send("POST", path, 409, headers, new)


async def sign_in_and_out(running, send):
    json_type, token = {"Content-Type": "application/json"}, json.dumps({"token": running.token}).encode()
    await send("POST", SESSION, 204, json_type, token)
    await send("POST", SESSION, 400, json_type, b"{}")
    await send("POST", SESSION, 401, json_type, b'{"token": "none"}')
    await send("POST", SESSION, 413, json_type, b"x" * 5_000)
    await send("POST", SESSION, 408, json_type, late=True)
    await send("POST", SESSION, 415, {}, token)
    for method in ("POST", "DELETE"):
        await send(method, SESSION, 403, json_type | {"Origin": "https://elsewhere.example"}, token)
    await send("DELETE", SESSION, 204, {})
    await sessions(running, send)
    guess = json.dumps({"token": "abcdefghij-0123456789abcdefghijkl"}).encode()
    for _ in range(FAILURE_LIMIT - GUESSED_CODES):
        await send("POST", SESSION, 401, json_type, guess)
    await send("POST", SESSION, 429, json_type, guess)


async def sessions(running, send):
    whose, member, hedy = f"{CONTROL}/users/hedy/sessions", await running.user("mary"), await running.user("hedy")
    cookie = await running.signed_in(hedy["Authorization"].removeprefix("Bearer "))
    path = f"{whose}/{cookie['Cookie'].partition('=')[2][:10]}"
    await send("GET", whose, 200, cookie)
    await send("HEAD", whose, 200)
    await send("GET", whose + "?limit=0", 400)
    await send("GET", f"{CONTROL}/users/nobody/sessions", 404)
    for method, target in ("GET", whose), ("DELETE", path):
        await send(method, target, 401, {})
        await send(method, target, 403, member)
    await send("DELETE", path, 204)
    await send("DELETE", path, 404)


async def look_as_a_reader(send, one, reader):
    """See a call without its texts, which cannot be searched either."""
    await send("GET", one, 200, reader)
    for path in (LIST, f"{LIST}/export", f"{LIST}/live", SESSIONS, f"{CONTROL}/stats", f"{CONTROL}/errors"):
        await send("GET", f"{path}?q=word", 403, reader)


def described(contract):
    """What may be answered outside the data plane, HEAD aside."""
    return {
        (method, path, int(status))
        for method, path, operation, _ in contract.operations()
        for status in operation["responses"].keys() - {"410", "500", "501", "503"}
        if "{provider}" not in path and path not in {"/", "/docs"} and method != "HEAD"
    }


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
