"""A wrong key of the bridge is said for what it is, once, and no longer than it lasts."""

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from bson import BSON
from hypothesis import given
from hypothesis import strategies as st
from tornado.testing import bind_unused_port

from handlers.application import BridgeApplication
from handlers.key_health import MAX_REPORTED_KEYS, KeyHealth, report_refused_keys
from http1.server import BridgeServer
from intercept.times import format_time
from tests.bridge import assemble_bridge
from tests.handlers.dataplane.test_upstream_request import KEYS, OK, UNAUTHORIZED, ask, play
from tests.handlers.monitoring.test_metrics import samples
from upstream.credentials.access import credential_hint
from upstream.credentials.keys import KeyRefusal
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider
from upstream.providers.table import Routing

REFUSED = r"provider key refused: provider=anthropic key=sk-f\.\.\.6789 status=401; look at the setting anthropic-key"
CONFIGURED = "/api/v2/aibridge/providers/configured"


async def anthropic(running):
    """What the API says of the provider, whom everybody may ask."""
    _, listed = await running.get(CONFIGURED, await running.user("grace"))
    return next(one for one in listed if one["name"] == "anthropic")["keys"]


@pytest.mark.bridge(anthropic_key=KEYS[:1])
@pytest.mark.expects_log(REFUSED)
async def test_a_refused_key_is_named_everywhere_until_a_call_with_it_succeeds(running):
    play(running, UNAUTHORIZED)
    for _ in range(3):
        assert (await ask(running)).status == 401
    since = format_time(running.bridge.key_pools["anthropic"].refusals[KEYS[0]].since)
    entry = {"hint": "sk-f...6789", "setting": "anthropic-key", "cooldowns": 0}
    assert await anthropic(running) == [entry | {"refused": {"status": 401, "since": since, "calls": 3}}]
    status, ready = await running.get("/readyz", {})
    expected = f"anthropic: key 1 of anthropic-key refused (401) since {since}; 3 calls"
    assert (status, ready["status"], ready["providers"]) == (200, "ready", expected)
    assert samples(running.bridge.metrics, "provider_key_refused") == {("sk-f...6789", "anthropic"): 1}
    play(running, OK)
    assert (await ask(running)).status == 200
    assert samples(running.bridge.metrics, "provider_key_refused") == {("sk-f...6789", "anthropic"): 0}
    assert (await running.get("/readyz", {}))[1]["providers"] == "ok"
    _, listed = await running.get(CONFIGURED)
    assert [key for one in listed for key in one["keys"] if key["refused"]] == []
    await running.ended(4)


@pytest.mark.bridge(anthropic_key=KEYS)
@pytest.mark.expects_log(REFUSED)
async def test_a_refused_key_is_named_also_where_another_one_answers(running):
    play(running, UNAUTHORIZED, OK)
    assert (await ask(running)).status == 200
    first, second = await anthropic(running)
    assert (first["cooldowns"], first["refused"]["calls"], second["cooldowns"], second["refused"]) == (1, 1, 0, None)
    await running.ended(1)


@pytest.mark.bridge(anthropic_key=KEYS[:1])
async def test_a_refused_key_of_a_client_is_no_fault_of_ours(running):
    play(running, UNAUTHORIZED)
    own = {"X-Coder-AI-Governance-Token": running.token, "X-Api-Key": "sk-own"}
    assert (await ask(running, own)).status == 401
    assert (await running.get("/readyz", {}))[1]["providers"] == "ok"
    await running.ended(1)


@pytest.fixture
def second(io_loop, running, database, bridge_settings, tmp_path):
    """Another bridge on the same database, and what closes it."""
    stack = AsyncExitStack()

    async def start():
        data_dir = tmp_path / "second"
        bridge = await assemble_bridge(stack, database, running.upstream.url, data_dir, bridge_settings)
        server = BridgeServer(BridgeApplication(bridge), max_connections=100)
        bound, port = bind_unused_port()
        server.add_sockets([bound])
        stack.push_async_callback(server.close_all_connections)
        stack.callback(server.stop)
        return replace(running, bridge=bridge, port=port), stack.aclose

    async def stop():
        for client in running.clients:
            await client.closed()
        await stack.aclose()

    yield io_loop.run_sync(start)
    io_loop.run_sync(stop)


async def until_shown(running, refused, ready):
    """Wait until the bridge shows this; the test's own timeout is the bound."""
    while (await running.get("/readyz", {}))[1]["providers"] != ready:
        pass
    _, listed = await running.get(CONFIGURED)
    assert [key["refused"] for one in listed for key in one["keys"] if one["name"] == "anthropic"] == [refused]


@pytest.mark.bridge(anthropic_key=KEYS[:1])
@pytest.mark.expects_log(REFUSED)
async def test_bridges_on_one_database_show_the_same_refused_keys(running, second):
    second, close = second
    play(running, UNAUTHORIZED)
    assert [(await ask(one)).status for one in (running, second, running)] == [401, 401, 401]
    first_since, second_since = (
        format_time(one.bridge.key_pools["anthropic"].refusals[KEYS[0]].since) for one in (running, second)
    )
    assert first_since <= second_since
    expected = "anthropic: key 1 of anthropic-key refused (401) since "
    for one in (running, second):
        refused = {"status": 401, "since": first_since, "calls": 3}
        await until_shown(one, refused, f"{expected}{first_since}; 3 calls")
    play(running, OK)
    assert (await ask(running)).status == 200
    for one in (running, second):
        refused = {"status": 401, "since": second_since, "calls": 1}
        await until_shown(one, refused, f"{expected}{second_since}; 1 call")
    await running.ended(4)
    await close()
    await until_shown(running, None, "ok")


def provider(*keys):
    return Provider("openai", ProviderType.OPENAI, "https://api.openai.com/v1/", keys, "openai-key")


def routing_of(openai, refusals):
    routing = Routing([openai], float, lambda: None)
    routing.table.key_pools["openai"].refusals.update(refusals)
    return routing


MOMENTS = st.integers(0, 10**6).map(lambda ms: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
REFUSALS = st.dictionaries(
    st.sampled_from(KEYS), st.builds(KeyRefusal, status=st.just(401), since=MOMENTS, calls=st.integers(1, 99))
)


@given(st.lists(REFUSALS, min_size=1, max_size=5), st.randoms())
def test_processes_that_know_each_others_reports_show_the_same(said, random):
    openai = provider(*KEYS)
    tables = [routing_of(openai, one) for one in said]
    reports = [report_refused_keys(table) for table in tables]
    foreign = [
        one | change
        for report in reports
        for one in report
        for change in ({"provider": "else"}, {"key": "sk-x...yyyy"})
    ]

    def refusals(number):
        others = foreign + [one for other, report in enumerate(reports) if other != number for one in report]
        random.shuffle(others)
        return KeyHealth(tables[number], lambda: others).find_refusals(openai)

    expected = {}
    for key in KEYS:
        if of_key := [one[key] for one in said if key in one]:
            expected[key] = KeyRefusal(401, min(one.since for one in of_key), sum(one.calls for one in of_key))
    assert [refusals(number) for number in range(len(said))] == [expected] * len(said)


def test_what_a_process_reports_is_bounded_and_has_no_key():
    keys = [f"sk-{number:06}-secret-{number:06}" for number in range(3 * MAX_REPORTED_KEYS)]
    since = datetime(2026, 1, 1, tzinfo=UTC)
    reported = report_refused_keys(routing_of(provider(*keys), dict.fromkeys(keys, KeyRefusal(401, since, 1))))
    assert reported == [
        {"provider": "openai", "key": credential_hint(key), "status": 401, "since": since, "calls": 1}
        for key in keys[:MAX_REPORTED_KEYS]
    ]
    encoded = BSON.encode({"refused_keys": reported})
    assert len(encoded) < 16 * 1024
    assert b"secret" not in encoded
