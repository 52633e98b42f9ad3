"""Limits as operators see them."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest

from handlers.dataplane import relay
from tests.bridge import until
from tests.handlers.conversations import CHAT

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
PATH = "/api/v2/aibridge/limits"


async def hold(bridge, gate):
    """A call that is under way until the gate opens."""
    number = len(bridge.upstream.requests)
    bridge.upstream.scripts[:] = [(OK[:-2], gate, b"{}")]
    client = await bridge.client()
    await client.send("POST", bridge.path(CHAT), bridge.headers, CHAT.request_body(stream=False))
    await until(lambda: len(bridge.upstream.requests) > number)
    bridge.upstream.scripts[:] = [(OK,)]
    return client


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
    assert (await running.call(CHAT)).status == 429
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
    assert [(await running.call(CHAT)).status for _ in range(4)] == [200, 429, 429, 429]
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
    shown = [server[name] for name in ("limit", "used", "remaining", "next_free_at")]
    assert shown == [0, 1, None, response["at"]]
    assert (user["keys"], rate["limit"], rate["keys"]) == ([], 0, [])
    client.reset()
    await running.ended(1)


class TestWithoutTheDatabase:
    @pytest.fixture
    def bridge_parts(self):
        return {"cluster": SimpleNamespace(unavailable=True)}

    async def test_a_bridge_of_a_cluster_limits_alone_and_says_so(self, running):
        alone = "process-local: the database is unavailable"
        assert (await running.get("/readyz", {}))[1]["limits"] == alone
        _, response = await running.get(PATH)
        assert (response["scope"], response["state"]) == ("cluster", alone)
