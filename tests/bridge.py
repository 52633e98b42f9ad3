"""A whole bridge in a test: the real application, a real MongoDB, and a scripted upstream behind it.

A test takes the fixture `running`; `@pytest.mark.bridge(rate_limit=2, ...)` sets what differs from the defaults.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from handlers.access import AccessRecorder
from handlers.application import BridgeApplication
from handlers.bridge import Bridge, EdgeOptions
from handlers.chat_usage import ChatUsage
from handlers.lifecycle import Lifecycle
from handlers.metrics import Metrics
from handlers.record_log import RecordLog
from intercept.known_secrets import KnownSecrets
from jobs import Jobs
from limits.circuit_breaker import CircuitBreakers
from limits.overload import OverloadProtection
from limits.user_shares import UserShares
from storage.access_trail import AccessTrail
from storage.active_tokens import ActiveTokens
from storage.identities import Identities, Identity, Role
from storage.interceptions import Interceptions
from storage.live import Live
from storage.names import Names
from storage.recorded import Recorded
from storage.recorder import Recorder, RecordPolicy
from storage.refusal_recorder import RefusalRecorder
from storage.refusals import Refusals
from storage.sessions import Sessions
from storage.sign_in_sessions import DEFAULT_TIMES
from storage.sign_ins import SignIns
from storage.statistics import Statistics
from storage.users import milliseconds
from tests.fake_upstream import FakeUpstream
from tests.raw_client import RawClient
from upstream.client import UpstreamClient
from upstream.keys import KeyPool
from upstream.providers import Provider, ProviderType


def now() -> datetime:
    return milliseconds(datetime.now(UTC))


def pytest_configure(config):
    config.addinivalue_line("markers", "bridge(**settings): what differs from the defaults in this test's bridge")


EDGE = (
    "max_body_bytes",
    "allow_byok",
    "members_create_tokens",
    "tokens_per_user",
    "allow_billing_headers",
    "send_actor_headers",
    "trusted_proxies",
    "keepalive_seconds",
)
LIMITS = ("max_concurrency", "rate_limit", "user_rate_limit", "rate_window", "user_max_concurrency")


@dataclass
class Running:
    """The running bridge, and one user of it."""

    bridge: Bridge
    upstream: FakeUpstream
    token: str
    identity: Identity
    port: int = 0
    clients: list[RawClient] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}

    @property
    def own_key(self) -> dict[str, str]:
        """The headers of a client that brings a key of its own."""
        return {"X-Coder-AI-Governance-Token": self.token, "Authorization": "Bearer sk-own"}

    def path(self, conversation: Any) -> str:
        """Where a conversation goes: to the provider of its dialect."""
        provider = "anthropic" if conversation.path == "/v1/messages" else "openai"
        return f"/api/v2/aibridge/{provider}{conversation.path}"

    async def client(self, *, receive_buffer: int | None = None) -> RawClient:
        """Connect; the connection is closed with the test if not before."""
        raw = socket.socket()
        if receive_buffer is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        client = RawClient(*await asyncio.open_connection(sock=raw, limit=receive_buffer or 2**24))
        self.clients.append(client)
        return client

    async def user(self, name: str, role: Role = Role.MEMBER) -> dict[str, str]:
        """Another user; the headers that let it in."""
        await self.bridge.identities.add_user(name, role=role)
        _, token = await self.bridge.identities.create_token(name)
        return {"Authorization": f"Bearer {token}"}

    async def signed_in(self, token: str = "") -> dict[str, str]:
        """Sign a browser in; the headers of its requests."""
        client = await self.client()
        body = json.dumps({"token": token or self.token}).encode()
        answer = await client.request(
            "POST", "/api/v2/aibridge/users/me/session", {"Content-Type": "application/json"}, body
        )
        assert answer.status == 204, answer
        return {"Cookie": (answer.header("Set-Cookie") or "").partition(";")[0], "Sec-Fetch-Site": "same-origin"}

    async def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Ask the control plane."""
        client = await self.client()
        answer = await client.request("GET", path, self.headers if headers is None else headers)
        client.close()
        return answer.status, json.loads(answer.body)

    async def ended(self, number: int, query: str = "") -> list[dict[str, Any]]:
        """The interceptions, once that many have ended; newest first, as the API lists them."""
        await self.bridge.recorder.flush(5)
        while True:
            status, listed = await self.get("/api/v2/aibridge/interceptions?limit=1000" + query)
            assert status == 200, listed
            if len(listed["results"]) >= number:
                assert len(listed["results"]) == number
                return listed["results"]

    def tokens(self, recorded: dict[str, Any]) -> dict[str, int | None]:
        (usage,) = recorded["token_usages"]
        return {name: value for name, value in usage.items() if name.endswith("_tokens")}


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until something is so; the test's own timeout is the bound."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


@pytest.fixture
def bridge_settings(request):
    """What the test's marks set."""
    settings = {}
    for mark in request.node.iter_markers("bridge"):
        settings |= mark.kwargs
    return settings


@pytest.fixture
def running(io_loop, database, bridge_settings, request):
    """A running bridge. Asks for the HTTP server itself, so that a test need not."""
    settings = dict(bridge_settings)

    async def start() -> Running:
        upstream = await FakeUpstream.start()
        metrics = Metrics()
        policy = settings.pop("breaker", None)
        loop = asyncio.get_running_loop()
        recorder = Recorder(
            database, instance_id=uuid4(), policy=RecordPolicy.STRICT, journal=None, now=now, new_id=uuid4
        )
        await recorder.open()
        times = settings.pop("session_times", DEFAULT_TIMES)
        identities = Identities(
            database,
            now=now,
            monotonic=loop.time,
            tokens_per_user=settings.get("tokens_per_user", 10),
            session_times=times,
        )
        user = await identities.add_user("ada", role=Role.OWNER)
        token, secret = await identities.create_token("ada")
        providers = [
            Provider(
                "openai",
                ProviderType.OPENAI,
                upstream.url + "v1/",
                keys=("sk-openai-provider-key",),
                keys_setting="openai-key",
            ),
            Provider(
                "anthropic",
                ProviderType.ANTHROPIC,
                upstream.url,
                keys=settings.pop("keys", ("sk-anthropic-provider-key",)),
                keys_setting="anthropic-key",
            ),
            Provider("keyless", ProviderType.OPENAI, upstream.url + "v1/", keyless=True),
            Provider(
                "own-server",
                ProviderType.OPENAI,
                upstream.url + "v1/",
                keys=("sk-own-server",),
                keys_setting="provider-1-keys",
                keyless=True,
            ),
            Provider("no-key", ProviderType.ANTHROPIC, upstream.url, keys_setting="provider-2-keys"),
        ]
        bridge = Bridge(
            options=EdgeOptions(**{name: settings.pop(name) for name in EDGE if name in settings}),
            providers={provider.name: provider for provider in providers},
            secrets=KnownSecrets(key for provider in providers for key in provider.keys),
            key_pools={
                provider.name: KeyPool(provider.keys, loop.time, now) for provider in providers if provider.keys
            },
            database=database,
            identities=identities,
            sign_ins=SignIns(database, identities, now=now, times=times),
            recorder=recorder,
            interceptions=Interceptions(database),
            recorded=Recorded(database),
            refusal_recorder=RefusalRecorder(database, now=now),
            refusals=Refusals(database),
            sessions=Sessions(database),
            names=Names(database),
            statistics=Statistics(database),
            live=Live(database, identities),
            upstream=UpstreamClient(connect_timeout=5, idle_timeout=settings.pop("upstream_idle_timeout", 5)),
            chat_usage=ChatUsage(ensure=settings.pop("ensure_usage", True), monotonic=loop.time),
            shares=UserShares(settings.get("user_max_concurrency", 0)),
            overload=OverloadProtection(
                on_rejection=metrics.rejected, **{name: settings.pop(name) for name in LIMITS if name in settings}
            ),
            breakers=CircuitBreakers(policy, time.monotonic_ns, metrics.breaker_changed) if policy else None,
            metrics=metrics,
            record_log=RecordLog(enabled=settings.pop("structured_logging", False)),
            lifecycle=Lifecycle(),
            jobs=Jobs(clock=loop.time),
            access=AccessRecorder(
                metrics,
                AccessTrail(database, now=now),
                time.monotonic_ns,
                failure_limit=settings.pop("authentication_failure_limit", 0),
            ),
            active_tokens=ActiveTokens(database, now=now, monotonic=loop.time),
            now=now,
            monotonic=loop.time,
            new_id=uuid4,
            trace=settings.pop("trace", None),
        )
        assert not settings
        if bridge.breakers is not None:
            metrics.watch_breakers(bridge.breakers.states)
        return Running(bridge, upstream, secret, Identity(user=user, token_id=token.id))

    async def stop() -> None:
        for client in running.clients:
            await client.closed()
        await running.bridge.live.close()
        await running.bridge.upstream.close()
        await running.bridge.recorder.close(5)
        await running.upstream.stop()

    running = io_loop.run_sync(start)
    yield running
    io_loop.run_sync(stop)


@pytest.fixture
def app(running):
    """What pytest-tornado serves."""
    return BridgeApplication(running.bridge)


@pytest.fixture(autouse=True)
def serve(request):
    """Serve for every test that asks for a running bridge."""
    if "running" in request.fixturenames:
        request.getfixturevalue("running").port = request.getfixturevalue("http_port")
        request.getfixturevalue("http_server")
