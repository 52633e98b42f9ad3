"""Which providers a call may go to, and in which order."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from limits.policies.policy import ModelPattern, Models, Policy
from storage.prices.own_prices import OwnPrice
from tests.handlers.conversations import CHAT, MESSAGES
from tests.handlers.dataplane.fallback.test_tries import (
    LIMITED,
    OK,
    PATH,
    REQUEST,
    again,
    bridge_settings,
    others,
    play,
    recorded,
    reply,
    send,
    tries,
    upstreams,
)
from tests.handlers.dataplane.test_policies import hold
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Availability

__all__ = ["again", "bridge_settings", "others", "upstreams"]


async def test_an_own_key_stored_things_and_forms_under_way_go_to_the_named_provider_alone(
    running, upstreams, again, monkeypatch
):
    # a users own key goes to no other provider
    play(upstreams, reply(503), OK)
    response = await running.request("POST", PATH, running.own_key, REQUEST)
    assert response.status == 503
    assert not upstreams[1].requests
    await running.ended(1)
    await again()
    # what one provider keeps or nobody can read goes to that one alone
    kept = json.dumps(MESSAGES.request | {"container": "container_1"}).encode()
    for calls, (body, headers) in enumerate(
        [(kept, {}), (gzip.compress(REQUEST, mtime=0), {"Content-Encoding": "gzip"})], start=1
    ):
        play(upstreams, reply(503), OK)
        assert (await send(running, body, headers)).status == 503, headers
        assert not upstreams[1].requests, headers
        await running.ended(calls)
    await again()
    # a form goes to no other provider as it is sent while it arrives
    providers = running.bridge.routing.table.providers
    monkeypatch.setitem(providers, "openai", replace(providers["openai"], fallback=("spare",)))
    monkeypatch.setitem(providers, "spare", replace(providers["spare"], type=ProviderType.OPENAI))
    form = b'--b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\nx\r\n'
    body = form % (b"model", b"") + form % (b"file", b'; filename="a.wav"') + b"--b--\r\n"
    for calls, (path, sent, kind, status) in enumerate(
        [
            ("chat/completions", CHAT.request_body(stream=False), "application/json", 200),
            ("audio/transcriptions", body, "multipart/form-data; boundary=b", 503),
        ],
        start=1,
    ):
        play(upstreams, reply(503), OK)
        response = await send(running, sent, {"Content-Type": kind}, "/api/v2/aibridge/openai/v1/" + path)
        assert (response.status, len(upstreams[1].requests)) == (status, 1), path
        await running.ended(calls)


async def test_a_provider_that_cannot_take_the_call_is_passed_over(running, upstreams, monkeypatch):
    table = running.bridge.routing.table
    spare, pools = table.providers["spare"], table.key_pools
    for calls, (case, change) in enumerate(
        {
            "disabled": {"availability": Availability.DISABLED},
            "of each user's own": {"type": ProviderType.COPILOT},
            "without that path": {"type": ProviderType.OPENAI},
            "without a key": {"keyless": False},
        }.items(),
        start=1,
    ):
        play(upstreams, LIMITED, OK, OK)
        with monkeypatch.context() as patch:
            patch.setitem(table.providers, "spare", replace(spare, **change))
            if case == "without a key":
                patch.delitem(pools, "spare")
            assert (await send(running)).header("X-AI-Bridge-Provider") == "last", case
        assert not upstreams[1].requests, case
        await running.ended(calls)


async def test_a_provider_whose_use_a_policy_denies_is_not_asked(running, upstreams, again):
    # a provider that a policy denies is not asked
    hold(running, Policy(models=Models(deny=[ModelPattern(provider="spare", model="*")])))
    play(upstreams, LIMITED, OK, OK)
    assert (await send(running)).header("X-AI-Bridge-Provider") == "last"
    assert not upstreams[1].requests
    await running.ended(1)
    await again()
    # a provider that denies models is not asked where they cannot be read
    hold(running, Policy(models=Models(deny=[ModelPattern(provider="spare", model="dear-*")])))
    play(upstreams, LIMITED, OK, OK)
    body = json.dumps(MESSAGES.request | {"models": {"first": "dear-1"}}).encode()
    assert (await send(running, body)).header("X-AI-Bridge-Provider") == "last"
    assert not upstreams[1].requests
    await running.ended(1)
    await again()
    # who may not use the named provider gets no other
    hold(running, Policy(models=Models(deny=[ModelPattern(provider="anthropic", model="*")])))
    play(upstreams, OK, OK, OK)
    response = await send(running)
    assert (response.status, [len(upstream.requests) for upstream in upstreams]) == (403, [0, 0, 0])
    await again()
    # a provider without a price is not asked where a policy denies that
    hold(running, Policy(models=Models(unpriced="deny")))
    one = Decimal(1)
    since = datetime(2026, 1, 1, tzinfo=UTC)
    priced = [OwnPrice(name, "unlisted", since, one, one) for name in ("anthropic", "last")]
    running.bridge.pricing.set_own(priced)
    play(upstreams, LIMITED, OK, OK)
    body = json.dumps(MESSAGES.request | {"model": "unlisted"}).encode()
    assert (await send(running, body)).header("X-AI-Bridge-Provider") == "last"
    assert not upstreams[1].requests
    assert (await recorded(running))["provider_name"] == "last"


@pytest.mark.bridge(weights=(2, 1, 0))
async def test_with_weights_each_session_keeps_its_provider(running, upstreams):
    play(upstreams, OK, OK, OK)
    went = {}
    for number in range(24):
        for _ in range(2):
            response = await send(
                running, headers={"X-Claude-Code-Session-Id": f"s-{number}", "User-Agent": "claude-cli/2"}
            )
            went.setdefault(number, set()).add(response.header("X-AI-Bridge-Provider"))
    assert all(len(providers) == 1 for providers in went.values())
    shares = Counter(next(iter(providers)) for providers in went.values())
    assert shares.keys() == {None, "spare"}
    assert len(upstreams[2].requests) == 0
    for one in await running.ended(48):
        assert one["requested_provider_name"] == "anthropic"
        assert one["tries"] == []
    totals = Counter(one["provider_name"] for one in await running.ended(48))
    assert totals == {"anthropic": 2 * shares[None], "spare": 2 * shares["spare"]}


@pytest.mark.bridge(weights=(1, 1000, 0))
async def test_a_call_that_was_sent_elsewhere_falls_back_to_the_named_provider(running, upstreams):
    play(upstreams, OK, reply(503), OK)
    assert (await send(running)).header("X-AI-Bridge-Provider") is None
    one = await recorded(running)
    assert (one["provider_name"], tries(one)) == ("anthropic", [("spare", 503, None), ("anthropic", 200, None)])
