"""What Claude Code that signed in below a provider is told of its user's budgets and models."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from limits.policies.policy import Budget, Models, Policy, PolicyLimits
from tests.derived import derive
from tests.handlers.api.sign_in.test_desk import BASE, sign_in
from tests.handlers.dataplane.test_call_usage import OPUS, OPUS_MICRO_DOLLARS, whole
from tests.handlers.dataplane.test_policies import hold, own, rows

COUNTED = replace(OPUS, body=b'{"input_tokens": 5}')
FAMILY = "anthropic-ratelimit-"
FAILED = b"HTTP/1.1 500 Odd\r\nAnthropic-Ratelimit-Tokens-Limit: 9\r\nContent-Length: 0\r\n\r\n"
OF_THE_PROVIDER = b"Anthropic-Ratelimit-Unified-Status: allowed\r\nanthropic-ratelimit-tokens-remaining: 5\r\n"


def told(response):
    """The headers of the family, without the instants; those are the next first of a month, in UTC."""
    found = {
        name.lower().removeprefix(FAMILY): value for name, value in response.headers if name.lower().startswith(FAMILY)
    }
    for name in ("unified-reset", "unified-overage-reset"):
        if name in found:
            end, now = datetime.fromtimestamp(int(found.pop(name)), UTC), datetime.now(UTC)
            assert (end.day, end.hour, end.minute, end.second) == (1, 0, 0, 0)
            assert 0 < (end - now).total_seconds() <= 31 * 86_400
    return {name.removeprefix("unified-"): value for name, value in found.items()}


def budget_of(running, part):
    """Have a budget of which one call spends this part."""
    usd = f"{int(OPUS_MICRO_DOLLARS / part) / 1_000_000:.6f}"
    hold(running, Policy(limits=PolicyLimits(budget=Budget(usd, "month"))), own(running))
    return usd


async def headers_at_desk(running):
    _, where = await running.get(f"{BASE}/.well-known/oauth-authorization-server", {})
    return {"Authorization": f"Bearer {await sign_in(running, where)}", "Content-Type": "application/json"}


async def test_a_client_is_warned_of_its_budget_and_told_when_it_is_spent(running):
    headers = await headers_at_desk(running)

    async def make_call(headers):
        running.upstream.scripts[:] = [[whole(OPUS, OF_THE_PROVIDER)]]
        return await running.call(OPUS, headers)

    async def usage():
        status, usage = await running.get(f"{BASE}/api/oauth/usage", headers)
        assert status == 200
        money = usage["extra_usage"]
        assert (money.pop("is_enabled"), money.pop("currency")) == (True, "USD")
        return money, usage["limits"]

    def spent(cents):
        cents = pytest.approx(cents, abs=0.0001)  # a limit counts whole micro-dollars
        period = {"limit": None, "used_credits": cents, "utilization": None}
        return {"monthly_limit": None, "used_credits": cents, "utilization": None, "daily": period, "weekly": period}

    assert await usage() == (spent(0), [])
    without = await make_call(headers)
    assert (without.status, told(without)) == (200, {})
    await running.ended(1)
    await derive(running.bridge.database)
    assert await usage() == (spent(OPUS_MICRO_DOLLARS / 10_000), [])
    budget_of(running, 0.1)
    first = await make_call(headers)
    told_first = {"representative-claim": "overage", "status": "allowed", "overage-status": "allowed"}
    assert told(first) == told_first | {"overage-utilization": "0.00"}
    for part, share, threshold in ((0.7, "0.70", None), (0.8, "0.80", "0.75"), (0.96, "0.96", "0.95")):
        budget_of(running, part)
        running.upstream.scripts[:] = [[FAILED], [whole(COUNTED, OF_THE_PROVIDER)]]
        assert told(await running.call(OPUS, headers)) == {}
        counted = await running.request(
            "POST", f"{BASE}/v1/messages/count_tokens", headers, OPUS.request_body(stream=False)
        )
        status = "allowed_warning" if threshold else "allowed"
        expected = told_first | {"status": status, "overage-status": status, "overage-utilization": share}
        assert told(counted) == expected | ({"overage-surpassed-threshold": threshold} if threshold else {}), part
        money, (limit,) = await usage()
        assert money["used_credits"] == OPUS_MICRO_DOLLARS / 10_000
        assert money["utilization"] == limit["percent"] == pytest.approx(part * 100, abs=1)
        severity = {None: "normal", "0.75": "warning", "0.95": "critical"}[threshold]
        resets = int(counted.header(f"{FAMILY}unified-overage-reset") or 0)
        assert datetime.fromisoformat(limit["resets_at"]).timestamp() == resets
        assert (limit["kind"], limit["group"], limit["severity"], limit["is_active"]) == (
            *("spend", "monthly"),
            *(severity, True),
        )
    usd = budget_of(running, 1)
    refused = await running.call(OPUS, headers)
    assert (refused.status, refused.header("x-should-retry")) == (429, "false")
    assert 0 < int(refused.header("Retry-After") or 0) <= 31 * 86_400
    assert told(refused) == {
        "status": "rejected",
        "overage-utilization": "1",
        "overage-surpassed-threshold": "1",
        "overage-period": "monthly",
        "overage-disabled-reason": "org_spend_cap_reached",
    }
    error = json.loads(refused.body)["error"]
    assert error["type"] == "billing_error"
    message = f"AI budget of US${usd} exceeded. Please contact an administrator for more details. It starts again at 20"
    assert error["message"].startswith(message)
    assert error["message"].endswith("-01 00:00 UTC.")
    assert (await rows(running))[0] == ("policy_budget", 429, "user ada", None)
    # another token of the same user is told what it always is, and gets the headers of the provider
    other = await running.call(OPUS)
    assert (other.status, told(other)) == (403, {})
    budget_of(running, 0.1)
    assert told(await make_call(running.headers)) == {"status": "allowed", "tokens-remaining": "5"}


@pytest.mark.parametrize("reserves", [True, False])
async def test_tokens_are_counted_also_when_the_budget_is_spent(running, reserves):
    hold(running, Policy(limits=PolicyLimits(budget=Budget(0, "month", reserve=reserves))), own(running))
    assert (await running.call(OPUS)).status == 403
    running.upstream.play(whole(COUNTED))
    path, body = f"{BASE}/v1/messages/count_tokens", OPUS.request_body(stream=False)
    assert (await running.request("POST", path, running.headers, body)).status == 200


async def test_a_client_is_told_of_the_models_that_it_may_use(running):
    headers = await headers_at_desk(running)
    names = ("claude-opus-4-8", "claude-haiku-4-5")
    listed = {"data": [{"id": name, "type": "model"} for name in names], "has_more": False}
    body = json.dumps(listed, indent=1).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "

    async def models(headers, body=body):
        running.upstream.scripts[:] = [[head + b"%d\r\n\r\n" % len(body) + body]]
        response = await running.request("GET", f"{BASE}/v1/models?limit=1000", headers)
        assert (response.status, response.header("Content-Type")) == (200, "application/json")
        return response.body

    assert await models(headers) == body
    hold(running, Policy(models=Models(deny=["*opus*"])), own(running))
    assert json.loads(await models(headers)) == listed | {"data": listed["data"][1:]}
    # what cannot be read, and what another token gets, is what the provider says
    assert await models(headers, b'{"data": [1]}') == b'{"data": [1]}'
    assert await models(running.headers) == body
