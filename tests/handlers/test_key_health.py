"""A wrong key of the bridge is said for what it is, once, and no longer than it lasts."""

from __future__ import annotations

import pytest

from intercept.times import format_time
from tests.handlers.dataplane.test_key_failover import KEYS, OK, UNAUTHORIZED, ask, play
from tests.handlers.operation.test_metrics import samples

REFUSED = r"provider key refused: provider=anthropic key=sk-f\.\.\.6789 status=401; look at the setting anthropic-key"
CONFIGURED = "/api/v2/aibridge/providers/configured"


async def anthropic(running):
    """What the API says of the provider, whom everybody may ask."""
    _, listed = await running.get(CONFIGURED, await running.user("grace"))
    return next(one for one in listed if one["name"] == "anthropic")["keys"]


@pytest.mark.bridge(anthropic_key=KEYS[:1])
@pytest.mark.expects_log(REFUSED)
@pytest.mark.gen_test
async def test_a_refused_key_is_named_everywhere_until_a_call_with_it_succeeds(running):
    play(running, UNAUTHORIZED)
    for _ in range(3):
        assert (await ask(running)).status == 401
    since = format_time(running.bridge.key_pools["anthropic"].refusals[KEYS[0]].since)
    entry = {"hint": "sk-f...6789", "setting": "anthropic-key", "cooldowns": 0}
    assert await anthropic(running) == [entry | {"refused": {"status": 401, "since": since, "calls": 3}}]
    status, ready = await running.get("/readyz", {})
    told = f"anthropic: key 1 of anthropic-key refused (401) since {since}; 3 calls"
    assert (status, ready["status"], ready["providers"]) == (200, "ready", told)
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
@pytest.mark.gen_test
async def test_a_refused_key_is_named_also_where_another_one_answers(running):
    play(running, UNAUTHORIZED, OK)
    assert (await ask(running)).status == 200
    first, second = await anthropic(running)
    assert (first["cooldowns"], first["refused"]["calls"], second["cooldowns"], second["refused"]) == (1, 1, 0, None)
    await running.ended(1)


@pytest.mark.bridge(anthropic_key=KEYS[:1])
@pytest.mark.gen_test
async def test_a_refused_key_of_a_client_is_no_fault_of_ours(running):
    play(running, UNAUTHORIZED)
    own = {"X-Coder-AI-Governance-Token": running.token, "X-Api-Key": "sk-own"}
    assert (await ask(running, own)).status == 401
    assert (await running.get("/readyz", {}))[1]["providers"] == "ok"
    await running.ended(1)
