"""How near users are to every limit, and what is spent of budgets."""

import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec import structs

from handlers.api.budgets import BudgetUse
from handlers.api.policies import store_of
from intercept.refusals import Rule
from intercept.times import format_time
from limits.limit import BudgetPeriod, Limit, LimitKind, LimitState, Of
from limits.policies.compiled import Level
from limits.policies.reading import read_policy
from runtime.alerts.watch import budget_alerts
from storage.accounts.users import Role
from storage.policies.documents import kind_of
from tests.cases import for_each
from tests.derived import derive
from tests.handlers.api.test_spend import record
from tests.handlers.dataplane.test_call_usage import OPUS, TOKENS_OF, whole

API = "/api/v2/aibridge"


async def set_policy(running, level, reference, policy):
    made = read_policy(policy, kind_of(level))
    await store_of(running.bridge).change(level, reference, lambda _: made)


def rows(limits):
    return [(one["source"]["level"], one["kind"], one["of"], one["maximum"], one["used"]) for one in limits]


@pytest.mark.bridge(
    rate_limit=2, rate_window=timedelta(hours=1), user_token_limit=1_000_000, user_budget_usd=Decimal(5)
)
async def test_who_asks_sees_what_is_used_of_each_limit(running):
    bridge = running.bridge
    running.upstream.play(whole(OPUS))
    await set_policy(running, Level.USER, "ada", {"limits": {"concurrency": 3}})
    token, _ = await bridge.identities.create_token("ada", name="laptop")
    await set_policy(running, Level.TOKEN, token.id, {"limits": {"rate": {"requests": 9, "window": "1m"}}})
    revoked, _ = await bridge.identities.create_token("ada")
    await bridge.identities.revoke_token(revoked.id)
    for _ in range(2):
        assert (await running.call(OPUS)).status == 200
    assert (await running.call(OPUS)).status == 429
    status, usage = await running.get(f"{API}/users/me/usage")
    assert (status, usage["user"]["username"], usage["scope"], usage["state"]) == (200, "ada", "process", "ok")
    assert rows(usage["limits"]) == [
        ("settings", "tokens", "user", 1_000_000, 2 * TOKENS_OF[OPUS.path]),
        ("settings", "budget", "user", 5, usage["limits"][1]["used"]),
        ("user", "concurrency", "user", 3, 0),
    ]
    assert 0 < usage["limits"][1]["used"] < 5
    assert usage["limits"][1]["resets_at"].endswith("-01T00:00:00.000Z")
    used, laptop = sorted(usage["tokens"], key=lambda one: one["name"])
    assert (used["id"], rows(used["limits"])) == (running.identity.token_id, [("settings", "rate", "token", 2, 2)])
    assert used["limits"][0]["next_free_at"] > usage["at"]
    assert (laptop["name"], laptop["last_used_at"]) == ("laptop", None)
    assert rows(laptop["limits"]) == [("settings", "rate", "token", 2, 0), ("token", "rate", "token", 9, 0)]


async def test_a_time_range_has_what_was_called_in_it(running):
    bridge = running.bridge
    running.upstream.play(whole(OPUS))
    assert (await running.call(OPUS)).status == 200
    assert await bridge.recorder.flush(5)
    await derive(bridge.database, now=bridge.now)
    now = bridge.now()
    path = f"{API}/users/me/usage"
    for parameters in (
        "",
        f"?from={now:%Y-%m-%dT%H}:59:59Z",
        f"?from={now:%Y-%m-%d}T00:00:00Z&to={now + timedelta(days=1):%Y-%m-%d}T00:00:00Z",
        "?range=today",
        "?range=7d&tz=Europe/Berlin",
    ):
        status, usage = await running.get(path + parameters)
        total = usage["total"]
        assert (status, total["interceptions"], total["tokens"]) == (200, 1, sum(total["token_usage"].values()))
        assert total["tokens"] >= TOKENS_OF[OPUS.path]
    _, usual = await running.get(path)
    hour = now.replace(minute=0, second=0, microsecond=0)
    assert usual["from"] == format_time(hour - timedelta(hours=23))
    assert usual["to"] == format_time(hour + timedelta(hours=1))
    status, before = await running.get(f"{path}?to={hour - timedelta(hours=1):%Y-%m-%dT%H}:00:00Z")
    assert before["total"]["interceptions"] == 0
    assert before["spend_usd"] == usual["spend_usd"] > 0


async def test_members_see_themselves_and_who_sees_everyone_sees_all(running):
    bob, eve, rita = (
        await running.user("bob"),
        await running.user("eve", Role.AUDITOR),
        await running.user("rita", Role.READER),
    )
    for path in ("users/me", "users/BOB"):
        status, usage = await running.get(f"{API}/{path}/usage", bob)
        assert (status, usage["limits"], len(usage["tokens"])) == (200, [], 1)
    assert (await running.get(f"{API}/users/ada/usage", bob))[0] == 403
    for who, number in ((running.headers, 1), (eve, 1)):
        status, usage = await running.get(f"{API}/users/bob/usage", who)
        assert (status, usage["user"]["username"], len(usage["tokens"])) == (200, "bob", number)
    status, usage = await running.get(f"{API}/users/bob/usage", rita)
    assert (status, usage["user"]["username"], usage["tokens"]) == (200, "bob", None)
    assert len((await running.get(f"{API}/users/me/usage", rita))[1]["tokens"]) == 1


PATH = "/api/v2/aibridge/"
NOON = datetime(2026, 12, 19, 12, tzinfo=UTC)


DAY_NS = 86_400 * 10**9


def budget(usd, period):
    return {"budget": {"usd": usd, "period": period}}


@pytest.mark.bridge(user_budget_usd=Decimal(40), user_budget_period=BudgetPeriod.WEEK)
async def test_budgets_are_listed_those_first_of_which_most_is_spent(running):
    async def put(whose, limits):
        body = json.dumps({"limits": limits}).encode()
        assert (await running.request("PUT", f"{PATH}policies/{whose}", running.headers, body)).status == 200

    async def budgets(query="", headers=None):
        response = await running.request("GET", f"{PATH}budgets{query}", headers or running.headers)
        return response.status, json.loads(response.body)

    await put("everyone", {"together": budget("0.01", "month")})
    await put("users/ada", budget("0.0001", "day"))
    recorded = await record(running)
    await put(f"tokens/{recorded['api_key_id']}", budget("5", "day"))
    status, listed = await budgets()
    cost = recorded["cost"]["usd"]
    spent = math.ceil(cost * 1_000_000) / 1_000_000  # limits count whole micro-dollars
    shown = [(one["of"], one["name"], one["source"]["level"], one["used_usd"]) for one in listed["results"]]
    assert (status, listed["count"], shown) == (
        200,
        4,
        [
            ("user", "ada", "user", spent),
            ("group", "", "everyone", spent),
            ("user", "ada", "settings", spent),
            ("token", recorded["api_key_id"], "token", 0),
        ],
    )
    assert {one["pace_usd"] for one in listed["results"]} == {round(cost / 7, 6)}
    assert [one["used_up_at"] is None for one in listed["results"]] == [False, True, True, True]
    _, page = await budgets("?limit=1&offset=2")
    assert (page["count"], [one["source"]["level"] for one in page["results"]]) == (4, ["settings"])
    _, seen = await budgets(headers=await running.user("rita", Role.READER))
    assert [one["of"] for one in seen["results"]] == ["user", "group", "user"]
    assert (await budgets(headers=await running.user("bob")))[0] == 403


@for_each(
    ("used", "pace", "used_up_at"),
    (40, 20, "2026-12-22T12:00:00.000Z"),
    (40, 5, None),  # it starts again before
    (40, 0, None),
    (100, 5, "2026-12-19T12:00:00.000Z"),
    (0, 1e-9, None),  # later than any date
)
def test_a_budget_is_used_up_at_the_pace_of_the_last_days_or_not_before_its_period_ends(used, pace, used_up_at):
    limit = Limit(LimitKind.BUDGET, Rule.POLICY_BUDGET, Of.USER, "member:1", 100_000_000)
    state = LimitState(limit, used * 1_000_000, (100 - used) * 1_000_000, 0, 10 * DAY_NS)
    shown = BudgetUse.of_state(state, "ada", pace, NOON, None)
    assert (shown.used_up_at, shown.resets_at) == (used_up_at, "2026-12-29T12:00:00.000Z")


async def test_alerts_tell_of_shares_of_budgets_and_of_those_used_up_before_their_end():
    def shown(used, pace, period, *, shadow=False):
        limit = Limit(LimitKind.BUDGET, Rule.POLICY_BUDGET, Of.USER, "member:1", 100_000_000, period=period)
        limit = structs.replace(limit, shadow=shadow)
        return BudgetUse.of_state(LimitState(limit, used * 1_000_000, 0, 0, 10 * DAY_NS), "ada", pace, NOON, None)

    week = BudgetPeriod.WEEK
    soon, later, spent = shown(40, 20, week), shown(40, 5, week), shown(100, 20, week)
    daily, shadow = shown(50, 80, BudgetPeriod.DAY), shown(90, 20, week, shadow=True)

    async def budgets():
        return [later, soon, spent, daily, shadow]

    forecast, *shares = await budget_alerts(budgets)()
    assert (forecast.type, forecast.data["name"], forecast.data["used_up_at"]) == (
        "budget.forecast",
        "ada",
        soon.used_up_at,
    )
    assert forecast.key == "forecast:policy_budget:member:1:week:2026-12-29T12:00:00.000Z:100.0"
    assert [(one.type, one.data["share"], one.data["period"]) for one in shares] == [
        *(("budget.threshold", share, "week") for share in (50, 80, 100)),
        ("budget.threshold", 50, "day"),
    ]
    assert shares[2].key == "budget:policy_budget:member:1:week:2026-12-29T12:00:00.000Z:100.0:100"
