"""Which limits a user has, and how much of each is used, wherever that is told."""

from __future__ import annotations

import json

import pytest

from handlers.api.policies import UNKNOWN
from limits.policies.policy import Budget, Limits, Policy, SharedLimits, SharedPolicy
from tests.handlers.dataplane.test_call_usage import OPUS, OPUS_MICRO_DOLLARS, call, whole
from tests.handlers.dataplane.test_policies import hold, own

ME = "/api/v2/aibridge/users/me"


@pytest.mark.gen_test
async def test_while_the_policies_are_not_known_no_limit_is(running, monkeypatch):
    monkeypatch.setattr(running.bridge.policies.followed, "value", None)
    for path in (f"{ME}/usage", f"{ME}/policy"):
        response = await running.request("GET", path, running.headers)
        told = (response.status, response.header("Retry-After"), json.loads(response.body))
        assert told == (503, "1", {"message": UNKNOWN}), path


@pytest.mark.gen_test
async def test_of_a_budget_that_another_one_replaces_nothing_is_used(running):
    hold(running, SharedPolicy(limits=SharedLimits(each_member=Limits(budget=Budget(5, "day")))))
    hold(running, Policy(limits=Limits(budget=Budget(3, "day"))), own(running))
    running.upstream.play(whole(OPUS))
    assert (await call(running, OPUS)).status == 200
    await running.ended(1)
    for path in (f"{ME}/usage", f"{ME}/policy"):
        _, found = await running.get(path)
        told = [(one["source"]["level"], one["maximum"], one["used"], one["holds"]) for one in found["limits"]]
        assert told == [("everyone", 5, 0, False), ("user", 3, OPUS_MICRO_DOLLARS / 1e6, True)], path
