"""Every budget with what is spent of it, by HTTP, and when it will be used up."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec import structs

from handlers.api.budgets import BudgetUse
from intercept.refusals import Rule
from limits.limit import BudgetPeriod, Limit, LimitKind, LimitState, Of
from runtime.alerts.watch import budgets_running_out
from storage.accounts.users import Role
from tests.cases import for_each
from tests.handlers.api.test_spend import record

PATH = "/api/v2/aibridge/"
NOON = datetime(2026, 12, 19, 12, tzinfo=UTC)


DAY_NS = 86_400 * 10**9


def budget(usd, period):
    return {"budget": {"usd": usd, "period": period}}


@pytest.mark.bridge(user_budget_usd=Decimal(40), user_budget_period=BudgetPeriod.WEEK)
@pytest.mark.gen_test
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
    [
        (40, 20, "2026-12-22T12:00:00.000Z"),
        (40, 5, None),  # it starts again before
        (40, 0, None),
        (100, 5, "2026-12-19T12:00:00.000Z"),
        (0, 1e-9, None),  # later than any date
    ],
)
def test_a_budget_is_used_up_at_the_pace_of_the_last_days_or_not_before_its_period_ends(used, pace, used_up_at):
    limit = Limit(LimitKind.BUDGET, Rule.POLICY_BUDGET, Of.USER, "member:1", 100_000_000)
    state = LimitState(limit, used * 1_000_000, (100 - used) * 1_000_000, 0, 10 * DAY_NS)
    shown = BudgetUse.of_state(state, "ada", pace, NOON, None)
    assert (shown.used_up_at, shown.resets_at) == (used_up_at, "2026-12-29T12:00:00.000Z")


@pytest.mark.gen_test
async def test_an_alert_tells_of_a_budget_that_will_be_used_up_before_its_end():
    def shown(used, pace, period, *, shadow=False):
        limit = Limit(LimitKind.BUDGET, Rule.POLICY_BUDGET, Of.USER, "member:1", 100_000_000, period=period)
        limit = structs.replace(limit, shadow=shadow)
        return BudgetUse.of_state(LimitState(limit, used * 1_000_000, 0, 0, 10 * DAY_NS), "ada", pace, NOON, None)

    week = BudgetPeriod.WEEK
    soon, later, spent = shown(40, 20, week), shown(40, 5, week), shown(100, 20, week)
    daily, shadow = shown(40, 80, BudgetPeriod.DAY), shown(40, 20, week, shadow=True)

    async def budgets():
        return [later, soon, spent, daily, shadow]

    (alert,) = await budgets_running_out(budgets)()
    assert (alert.type, alert.data["name"], alert.data["used_up_at"]) == ("budget.forecast", "ada", soon.used_up_at)
    assert alert.key == "forecast:policy_budget:member:1:week:2026-12-29T12:00:00.000Z:100.0"
