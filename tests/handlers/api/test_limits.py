"""Limits that several bridges share, as clients and operators see them."""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from tornado.testing import bind_unused_port

from handlers.application import BridgeApplication
from handlers.dataplane import relay
from handlers.lifecycle import Lifecycle
from http1.server import BridgeServer
from limits.protection.overload import AT_CAPACITY, RATE_LIMITED
from storage.admission.cluster import ROUND_SECONDS, ClusterAuthority
from storage.members.membership import Membership
from tests.bridge import until
from tests.handlers.conversations import CHAT, MESSAGES
from tests.limits.protection.overload_protection import protection
from tests.storage.admission.cluster.servers import LONG_ROUND_SECONDS
from version import VERSION

pytest_plugins = ["tests.storage.outages"]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
PATH = "/api/v2/aibridge/limits"
LIMITS = ("max_concurrency", "rate_limit", "user_rate_limit", "rate_window", "user_max_concurrency")


@pytest.fixture
def timing():
    """How long the database may take to decide, in seconds."""
    return {"round_seconds": LONG_ROUND_SECONDS}


@pytest.fixture
def two(io_loop, running, bridge_settings, timing):
    """Two bridges on one database, with the limits of the test's mark."""
    limits = {name: bridge_settings[name] for name in LIMITS if name in bridge_settings}
    opened, tasks, servers = [], [], []

    async def another():
        membership = Membership(running.bridge.database, process=uuid4(), answer_seconds=4 * timing["round_seconds"])
        cluster = ClusterAuthority(running.bridge.database, membership, **timing)
        overload, lifecycle = protection(**limits, authority=cluster), Lifecycle()
        opened.append((cluster, membership))
        cluster.open()
        await membership.open()
        bridge = replace(running.bridge, overload=overload, lifecycle=lifecycle, cluster=cluster)
        server = BridgeServer(BridgeApplication(bridge), max_connections=100)
        bound, port = bind_unused_port()
        server.add_sockets([bound])
        servers.append(server)
        return replace(running, bridge=bridge, port=port)

    async def both():
        made = await another(), await another()
        for _, membership in opened:  # all know of all without a wait
            await membership.beat()
        tasks.extend([asyncio.create_task(membership.run()) for _, membership in opened])
        return made

    async def close():
        for client in running.clients:
            await client.closed()
        for server, (cluster, membership), renewing in zip(servers, opened, tasks, strict=True):
            renewing.cancel()
            server.stop()
            await server.close_all_connections()
            await cluster.close()
            await membership.close()

    yield io_loop.run_sync(both)
    io_loop.run_sync(close)


def refused_with(response, opening):
    """Whether a limit refused the call, with this message and how much is used."""
    status, said = message(response)
    return status == 429 and said.startswith(opening + " ")


async def call(bridge, conversation=CHAT, headers=None):
    """One call."""
    headers = bridge.headers if headers is None else headers
    return await bridge.call(conversation, headers)


def message(response):
    return response.status, json.loads(response.body).get("message")


async def hold(bridge, gate):
    """A call that is under way until the gate opens."""
    number = len(bridge.upstream.requests)
    bridge.upstream.scripts[:] = [(OK[:-2], gate, b"{}")]
    client = await bridge.client()
    await client.send("POST", bridge.path(CHAT), bridge.headers, CHAT.request_body(stream=False))
    await until(lambda: len(bridge.upstream.requests) > number)
    bridge.upstream.scripts[:] = [(OK,)]
    return client


async def free(*bridges):
    """Wait until what was given back is free for every bridge."""
    await until(lambda: not any(bridge.bridge.lifecycle.in_flight for bridge in bridges))
    await until(lambda: not any(bridge.bridge.cluster.busy for bridge in bridges))


@pytest.mark.bridge(rate_limit=3, rate_window=timedelta(seconds=100))
async def test_two_bridges_share_the_rate_of_a_token(two, running):
    one, other = two
    running.upstream.play(OK)
    result = [(await call(bridge)).header("X-RateLimit-Remaining") for bridge in (one, other, one)]
    assert result == ["2", "1", "0"]
    for bridge in two:
        response = await call(bridge)
        assert refused_with(response, RATE_LIMITED)
        assert 90 < int(response.header("retry-after-ms")) / 1000 <= int(response.header("Retry-After")) <= 100
    assert (await call(other, headers=await running.user("grace"))).status == 200
    assert len(running.upstream.requests) == 4


@pytest.mark.bridge(max_concurrency=1)
async def test_two_bridges_share_the_slots_of_the_server(two, running):
    one, other = two
    gate = asyncio.Event()
    client = await hold(one, gate)
    response = await call(other, MESSAGES)
    assert (message(response), response.header("retry-after-ms")) == ((503, AT_CAPACITY), "1000")
    gate.set()
    assert (await client.rest(await client.head())).body == b"{}"
    await free(one)
    assert (await call(other)).status == 200


class TestWithoutTheDatabase:
    @pytest.fixture
    def database(self, private_database):
        return private_database

    @pytest.fixture
    def timing(self):
        return {"round_seconds": ROUND_SECONDS}

    @pytest.mark.expects_log(
        r"^WARNING storage\.(admission\.cluster: limits are server-local until the database is available: "
        r"|mongo\.health: the database is unavailable: )"
    )
    @pytest.mark.bridge(rate_limit=1, rate_window=timedelta(seconds=100))
    async def test_each_bridge_limits_alone_and_says_so(self, two, running, private_mongodb):
        one, other = two
        for bridge in two:
            await bridge.get("/api/v2/aibridge/interceptions")  # so that the token is remembered
            assert await bridge.get("/readyz", {}) == (
                200,
                {
                    "status": "ready",
                    "database": "ok",
                    "recording": "ok",
                    "providers": "ok",
                    "jobs": "ok",
                    "version": VERSION,
                    "limits": "ok",
                },
            )
        private_mongodb.freeze()
        try:
            path = "/api/v2/aibridge/openai/v1/nowhere"
            clients = [await bridge.client() for bridge in (one, other, one, other)]
            requests = [client.request("GET", path, running.headers) for client in clients]
            statuses = [response.status for response in await asyncio.gather(*requests)]
            assert sorted(statuses) == [404, 429, 429, 429]  # one of them has the one request
            _, ready = await one.get("/readyz", {})
            assert ready["limits"] == "process-local: the database is unavailable"
            status, response = await one.get(PATH)
            assert (status, response["scope"], response["state"]) == (
                200,
                "cluster",
                "process-local: the database is unavailable",
            )
            assert len(response["limits"][2]["keys"]) <= 1  # by this server alone
        finally:
            private_mongodb.thaw()


def shown(name, setting, most, keys, **more):
    """A limit of users or tokens, as operators see it."""
    return {"name": name, "setting": setting, "limit": most, "keys": keys, **more}


@pytest.mark.bridge(
    max_concurrency=2,
    rate_limit=3,
    user_rate_limit=4,
    rate_window=timedelta(seconds=100),
    user_max_concurrency=1,
    user_token_limit=8,
    user_budget_usd=Decimal("0.5"),
)
async def test_operators_see_every_limit_and_who_has_used_it(running):
    gate = asyncio.Event()
    client = await hold(running, gate)
    assert (await call(running)).status == 429
    status, response = await running.get(PATH)
    now, user = datetime.fromisoformat(response["at"]), str(running.identity.user.id)
    free, ada = {"next_free_at": response["at"]}, {"key": user, "username": "ada", "used": 1}
    server = {"name": "concurrency", "setting": "max-concurrency", "limit": 2, "used": 1, "remaining": 1}
    of_user = [ada | {"remaining": 0, "next_free_at": None}]
    of_token = [{"key": running.identity.token_id, "used": 1, "remaining": 2, **free}]
    assert (status, response) == (
        200,
        {
            "scope": "process",
            "state": "ok",
            "at": response["at"],
            "limits": [
                server | free,
                shown("user_concurrency", "user-max-concurrency", 1, of_user),
                shown("rate", "rate-limit", 3, of_token, window_seconds=100),
                shown("user_rate", "user-rate-limit", 4, [ada | {"remaining": 3, **free}], window_seconds=100),
                shown("user_tokens", "user-token-limit", 8, [], window_seconds=60),
                shown("user_budget", "user-budget-usd", 0.5, [], period="month", timezone="UTC"),
            ],
        },
    )
    assert now <= datetime.now(UTC)
    gate.set()
    await client.rest(await client.head())
    await running.ended(1)


@pytest.mark.bridge(rate_limit=1, rate_window=timedelta(seconds=100))
async def test_a_rate_that_is_used_up_says_when_there_is_more_and_refusals_are_logged(running, caplog):
    caplog.set_level(logging.INFO, "limits.protection.overload")
    running.upstream.play(OK)
    assert [(await call(running)).status for _ in range(4)] == [200, 429, 429, 429]
    assert [line for line in caplog.messages if "refused" in line] == ["requests refused: limit=rate new=1 total=1"]
    _, response = await running.get(PATH)
    (key,) = response["limits"][2]["keys"]
    wait = datetime.fromisoformat(key["next_free_at"]) - datetime.fromisoformat(response["at"])
    assert (key["used"], key["remaining"]) == (1, 0)
    assert timedelta(seconds=80) < wait <= timedelta(seconds=100)


async def test_what_is_not_limited_is_counted_all_the_same(running, monkeypatch):
    monkeypatch.setattr(relay, "REST_SECONDS", 0.01)
    client = await hold(running, asyncio.Event())
    _, response = await running.get(PATH)
    server, user, rate, *_ = response["limits"]
    assert (server["limit"], server["used"], server["remaining"], server["next_free_at"]) == (
        0,
        1,
        None,
        response["at"],
    )
    assert (user["keys"], rate["limit"], rate["keys"]) == ([], 0, [])
    client.reset()
    await running.ended(1)


@pytest.mark.bridge(
    max_concurrency=5, user_max_concurrency=5, rate_limit=5, user_rate_limit=5, rate_window=timedelta(seconds=100)
)
async def test_each_bridge_shows_the_usage_of_all_and_the_last_report_of_each(two, running):
    one, other = two
    gate = asyncio.Event()
    clients = [await hold(bridge, gate) for bridge in (one, other)]
    _, response = await one.get(PATH)
    assert (response["scope"], response["state"]) == ("cluster", "ok")
    server, user, rate, user_rate, *_ = response["limits"]
    assert (server["used"], server["remaining"]) == (2, 3)
    assert [(key["username"], key["used"]) for key in user["keys"]] == [("ada", 2)]
    assert [(key["key"], key["used"]) for key in rate["keys"]] == [(running.identity.token_id, 2)]
    assert [(key["username"], key["used"]) for key in user_rate["keys"]] == [("ada", 2)]
    assert [limit["limit"] for limit in response["limits"]] == [5, 5, 5, 5, 0, 0.0]
    gate.set()
    for client in clients:
        await client.rest(await client.head())
    await free(one, other)
