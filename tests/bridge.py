"""A whole bridge in a test: the real application, a real MongoDB, and a scripted upstream behind it.

A test takes the fixture `running`; `@pytest.mark.bridge(rate_limit=2, ...)` sets what differs from the defaults.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from pymongo import WriteConcern

from handlers.application import BridgeApplication
from handlers.bridge import Bridge
from handlers.dashboard import DashboardFiles
from resources.recorded.export_formats import FORMATS
from resources.recorded.interceptions import Interception
from runtime.assembly import assemble
from runtime.factories import make_providers
from runtime.process import Process
from settings import ProviderSettings, Settings
from storage.accounts.users import Identity, Role
from storage.mongo.database import Database
from storage.queries.filters.search_language import parse_search
from storage.queries.interceptions import PAGE
from tests.fake_upstream import FakeUpstream
from tests.handlers.contract import Contract
from tests.handlers.conversations import Conversation
from tests.owner import Owner
from tests.raw_client import RawClient, Response
from upstream.providers.presets import ProviderType


def pytest_configure(config):
    config.addinivalue_line("markers", "bridge(**settings): the settings that differ from the defaults in this test")


LOOP_TURNS = 100
POLL_SECONDS = 0.002
AT_VENDOR = {"openai", "anthropic", "no-key"}
"""Providers whose vendor the scripted upstream stands for: it has an address of its own, and takes no call without a key."""


def provider_settings(url: str) -> dict[str, Any]:
    """What an operator sets to have all kinds of providers, at this URL."""
    openai = url + "v1/"
    return {
        "openai_base_url": openai,
        "openai_key": ("sk-openai-provider-key",),
        "anthropic_base_url": url,
        "anthropic_key": ("sk-anthropic-provider-key",),
        "further_providers": (
            ProviderSettings("keyless", ProviderType.OPENAI, openai, (), "provider-0-keys"),
            ProviderSettings("own-server", ProviderType.OPENAI, openai, ("sk-own-server",), "provider-1-keys"),
            ProviderSettings("no-key", ProviderType.ANTHROPIC, url, (), "provider-2-keys"),
        ),
    }


@dataclass
class Running:
    """The running bridge, and one user of it."""

    bridge: Bridge
    upstream: FakeUpstream
    token: str
    identity: Identity
    port: int = 0
    clients: list[RawClient] = field(default_factory=list)
    _kept: list[RawClient] = field(default_factory=list, init=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}

    @property
    def own_key(self) -> dict[str, str]:
        """The headers of a client that brings a key of its own."""
        return {"X-Coder-AI-Governance-Token": self.token, "Authorization": "Bearer sk-own"}

    def path(self, conversation: Conversation) -> str:
        """Where a conversation goes: to the provider of its dialect."""
        provider = "anthropic" if conversation.path.startswith("/v1/messages") else "openai"
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

    async def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Response:
        """Request over a connection that is kept: a new one takes a third of the time of a short request.

        What the control plane answers has to be as the API is described.
        """
        client = self._kept.pop() if self._kept else await self.client()
        if client.has_ended:
            client = await self.client()
        response = await client.request(method, path, headers, body)
        Contract().check_control(method, path, response)
        if response.header("Connection") == "close":
            client.close()
        else:
            self._kept.append(client)
        return response

    async def call(
        self, conversation: Conversation, headers: dict[str, str] | None = None, *, stream: bool = False
    ) -> Response:
        """Make a call."""
        body = conversation.request_body(stream=stream)
        return await self.request("POST", self.path(conversation), headers or self.headers, body)

    async def begin(
        self, conversation: Conversation, headers: dict[str, str] | None = None, *, stream: bool
    ) -> tuple[RawClient, Response]:
        """Make a call over a connection of its own: the client, and the head of what it gets."""
        client, body = await self.client(), conversation.request_body(stream=stream)
        await client.send("POST", self.path(conversation), headers or self.headers, body)
        return client, await client.head()

    async def user(self, name: str, role: Role = Role.MEMBER) -> dict[str, str]:
        """Another user; the headers that let it in."""
        await self.bridge.identities.add_user(name, role=role)
        _, token = await self.bridge.identities.create_token(name)
        return {"Authorization": f"Bearer {token}"}

    async def signed_in(self, token: str = "") -> dict[str, str]:
        """Sign a browser in; the headers of its requests."""
        body = json.dumps({"token": token or self.token}).encode()
        kind = {"Content-Type": "application/json"}
        response = await self.request("POST", "/api/v2/aibridge/users/me/session", kind, body)
        assert response.status == 204, response
        return {"Cookie": (response.header("Set-Cookie") or "").partition(";")[0], "Sec-Fetch-Site": "same-origin"}

    async def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Ask the control plane."""
        response = await self.request("GET", path, self.headers if headers is None else headers)
        return response.status, json.loads(response.body)

    async def ended(self, number: int) -> list[dict[str, Any]]:
        """The interceptions, once that many have ended; newest first, as the API exports them."""
        while True:
            await self._settled()
            await self.bridge.recorder.flush(5)
            listed = await self._exported()
            if len(listed) >= number:
                assert len(listed) == number
                return listed

    async def _exported(self) -> list[dict[str, Any]]:
        """What an export has, without a request: to list them by the API takes eleven commands of MongoDB more."""
        bridge, ended = self.bridge, parse_search("", now=self.bridge.now()).filter()
        documents: list[dict[str, Any]] = []
        async with aclosing(bridge.interceptions.pages(ended, visible_to=None)) as pages:
            async for page in pages:
                documents += page
                if len(page) < PAGE:
                    break
        users = {self.identity.user.id: self.identity.user}
        if others := {document["initiator_id"] for document in documents} - users.keys():
            users |= await bridge.identities.users_by_id(others)
        rows = FORMATS["ndjson"].rows(bridge.secrets.hide([Interception.of(document, users) for document in documents]))
        return [json.loads(row) for row in rows.splitlines()]

    async def afresh(self, *others: str) -> None:
        """Begin another case with this bridge: no calls, nobody but the owner, and an upstream that has not been asked.

        Args:
            others: Further collections that are to be empty.
        """
        await self._settled()
        await self.bridge.recorder.flush(5)
        self.upstream.forget()
        user = self.identity.user.id
        kept: dict[str, dict[str, Any]] = {"tokens": {"user_id": user}, "users": {"_id": user}}
        for name in ("interceptions", *others, "tokens", "users"):
            concern = WriteConcern("majority" if name == "users" else 1)  # the last one waits for those before, too
            collection = getattr(self.bridge.database, name).with_options(write_concern=concern)
            await collection.delete_many({"$nor": [kept[name]]} if name in kept else {})

    async def _settled(self) -> None:
        """Let requests end whose responses are there: to list what is not yet recorded takes longer. Others may go on."""
        for _ in range(200):
            if self.bridge.lifecycle.in_flight == 0:
                return
            await asyncio.sleep(0)

    def tokens(self, recorded: dict[str, Any]) -> dict[str, int | None]:
        (usage,) = recorded["token_usages"]
        return {name: value for name, value in usage.items() if name.endswith("_tokens")}


async def assemble_bridge(
    stack: AsyncExitStack, database: Database, url: str, data_dir: Path, settings: dict[str, Any]
) -> Bridge:
    """A bridge before the upstream at a URL, as the server assembles it; closed with the stack."""
    made = Settings(data_dir=data_dir, **(provider_settings(url) | settings))
    providers = [replace(provider, keyless=provider.name not in AT_VENDOR) for provider in make_providers(made, "")]
    return await assemble(Process.begin(made, database, stack), providers)


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until something is so; the test's own timeout is the bound.

    What is not so after `LOOP_TURNS` waits for the database or another process. It is polled then, to leave them the processor.
    """
    turns = 0
    while not condition():
        turns += 1
        await asyncio.sleep(0 if turns < LOOP_TURNS else POLL_SECONDS)


@pytest.fixture
def bridge_settings(request):
    """The settings that the test's marks change, by the names of their fields."""
    settings = {}
    for mark in request.node.iter_markers("bridge"):
        settings |= mark.kwargs
    return settings


@pytest.fixture
def bridge_parts():
    """Parts of a bridge that stand in the place of those it would have."""
    return {}


@pytest.fixture(scope="session")
def owner_of_bridges():
    """The owner of each bridge, whose documents are made once."""
    return Owner()


@pytest.fixture
def data_dir(memory):
    """The data-dir of the bridge of a test. On a disk, making and removing it takes 2 ms."""
    with TemporaryDirectory(prefix="bridge-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def running(io_loop, database, owner_of_bridges, *, bridge_settings, bridge_parts, data_dir):
    """A running bridge, as the server assembles it. Asks for the HTTP server itself, so that a test need not.

    What serving needs runs beside it, as in the server: recording on the default path, and the heartbeat. The upkeep does
    not (`assembly.start_upkeep`): it would count, group and write at moments that no test knows. A test has that done by
    itself: `Rollups.count`, `bridge.access.trail.flush` and the like.
    """
    stack = AsyncExitStack()

    async def start() -> Running:
        upstream = await FakeUpstream().start()
        stack.push_async_callback(upstream.stop)
        bridge = await assemble_bridge(stack, database, upstream.url, data_dir, bridge_settings)
        bridge = replace(bridge, **bridge_parts)
        identity, token = await owner_of_bridges.add_to(database, bridge.identities)
        return Running(bridge, upstream, token, identity)

    async def stop() -> None:
        for client in bridge.clients:
            await client.closed()
        await stack.aclose()

    bridge = io_loop.run_sync(start)
    yield bridge
    io_loop.run_sync(stop)


@pytest.fixture(scope="session")
def dashboard_files():
    """The files of the dashboard. To find them takes 5 ms; each is read again when it has changed."""
    return DashboardFiles()


@pytest.fixture
def app(running, dashboard_files):
    """What pytest-tornado serves."""
    return BridgeApplication(running.bridge, dashboard_files)


@pytest.fixture(autouse=True)
def serve(request):
    """Serve for every test that asks for a running bridge."""
    if "running" in request.fixturenames:
        running = request.getfixturevalue("running")
        running.port = request.getfixturevalue("http_port")
        request.getfixturevalue("http_server").options.on_refusal = running.bridge.note_unread
