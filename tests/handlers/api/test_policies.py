"""Policies by HTTP: set, changed and removed, and what they mean for a user."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from handlers.api.policies import MAX_POLICY_BYTES
from handlers.operations.handler import TOO_LARGE
from handlers.problems import POLICIES_UNKNOWN
from limits.policies.policy import Budget, Policy, PolicyLimits, SharedLimits, SharedPolicy
from storage.queries.accounts import audit_page
from tests.handlers.dataplane.test_call_usage import OPUS, OPUS_MICRO_DOLLARS, whole
from tests.handlers.dataplane.test_policies import hold, own

POLICIES = "/api/v2/aibridge/policies"
INVALID_BODY = "The request body has invalid values."
BUDGET = {"usd": "50.00", "period": "month"}
SHARED = {
    "models": {"allow": ["claude-*", {"provider": "openai", "model": "gpt-5*"}]},
    "limits": {"each_member": {"budget": BUDGET}, "together": {"rate": {"requests": 100, "window": "20s"}}},
    "byok": "deny",
}
OWN = {"limits": {"concurrency": 4, "budget": BUDGET | {"reserve": True}}, "max_tokens": 4096}


@pytest.fixture
def paths(running, io_loop):
    """The path of a policy of each level, and its kind."""

    async def prepare():
        await running.bridge.groups.add("research")
        token, _ = await running.bridge.identities.create_token("ada")
        return {
            f"{POLICIES}/everyone": SHARED,
            f"{POLICIES}/groups/Research": SHARED,
            f"{POLICIES}/users/Ada": OWN,
            f"{POLICIES}/tokens/{token.id}": OWN,
        }

    return io_loop.run_sync(prepare)


async def test_a_policy_is_set_read_changed_and_removed_by_one_owner_at_a_time(running, send, paths):
    # a policy is set read changed and removed at each level
    for path, policy in paths.items():
        assert await running.get(path) == (200, {})
        response = await send("PUT", path, policy)
        assert (response.status, json.loads(response.body)) == (200, policy)
        assert response.header("ETag") == (await send("GET", path)).header("ETag")
        assert await running.get(path) == (200, policy)
        response = await send("PATCH", path, {"max_tokens": 9, "byok": None, "models": {"deny": ["*-preview"]}})
        changed = {name: value for name, value in policy.items() if name != "byok"} | {"max_tokens": 9}
        changed["models"] = policy.get("models", {}) | {"deny": ["*-preview"]}
        assert (response.status, json.loads(response.body)) == (200, changed)
    status, listed = await running.get(POLICIES)
    assert (status, listed["count"]) == (200, 4)
    assert [(one["level"], one["name"]) for one in listed["results"]][:2] == [("everyone", ""), ("group", "research")]
    shared = (
        "models claude-*, gpt-5* of openai; not *-preview; each $50.00 a month; together 100 calls in 20s; "
        "at most 9 output tokens"
    )
    own = "not *-preview; $50.00 a month, 4 calls at a time; at most 9 output tokens"
    assert [one["says"] for one in listed["results"]] == [shared, shared, own, own]
    for path in paths:
        assert (await send("DELETE", path)).status == 204
        assert (await send("DELETE", path)).status == 204
        assert await running.get(path) == (200, {})
    assert await running.get(POLICIES) == (200, {"count": 0, "results": []})
    assert len(running.bridge.policies.book) == 0
    await running.afresh("policies")
    # of two owners who change the same policy one is told so
    path = f"{POLICIES}/everyone"
    seen = (await send("GET", path)).header("ETag")
    first = await send("PUT", path, SHARED, **{"If-Match": seen})
    second = await send("PATCH", path, {"max_tokens": 5}, **{"If-Match": seen})
    assert (first.status, second.status) == (200, 412)
    assert json.loads(second.body) == {"message": "The policy of everyone was changed meanwhile; read it again."}
    assert (await send("DELETE", path, **{"If-Match": seen})).status == 412
    assert json.loads((await send("GET", path)).body) == SHARED
    assert (await send("DELETE", path, **{"If-Match": first.header("ETag")})).status == 204
    assert (await send("PUT", path, SHARED, **{"If-Match": first.header("ETag")})).status == 412
    await running.afresh("policies")
    # money is kept and told as it was written
    path = f"{POLICIES}/users/ada"
    await send("PUT", path, {"limits": {"budget": {"usd": 0.25, "period": "day"}}})
    document = await running.bridge.database.policies.find_one({})
    assert document["policy"] == {"limits": {"budget": {"usd": 0.25, "period": "day"}}}
    assert await running.get(path) == (200, {"limits": {"budget": {"usd": 0.25, "period": "day"}}})


async def test_what_is_wrong_with_a_policy_or_its_subject_is_named(send, running):
    # what there is not has no policy
    for path, message in {
        "groups/nobody": 'There is no group named "nobody".',
        "users/nobody": 'There is no user named "nobody".',
        "tokens/abcdefghij": 'No token with the id "abcdefghij" (the part before the hyphen).',
    }.items():
        for method, body in (("GET", None), ("PUT", OWN), ("PATCH", OWN), ("DELETE", None)):
            response = await send(method, f"{POLICIES}/{path}", body if "groups" not in path else {})
            assert (response.status, json.loads(response.body)) == (404, {"message": message}), method
    await running.afresh("policies")
    # an explanation of what there is not is refused
    for requested, field in (("provider=opnai", "provider"), ("token=abcdefghij", "token"), ("sort=x", "sort")):
        response = await send("GET", f"/api/v2/aibridge/users/me/policy?{requested}")
        assert (response.status, json.loads(response.body)["validations"][0]["field"]) == (400, field)
    assert (await send("GET", "/api/v2/aibridge/users/nobody/policy")).status == 404
    token = running.token.partition("-")[0]
    await send("PUT", f"{POLICIES}/tokens/{token}", {"max_tokens": 5})
    _, result = await running.get(f"/api/v2/aibridge/users/me/policy?token={token}")
    assert result["policies"] == [{"level": "token", "name": token}]
    await running.afresh("policies")
    # what is wrong is named and nothing is changed
    path = f"{POLICIES}/everyone"
    await send("PUT", path, SHARED)
    for method, body, field, detail in (
        ("PUT", {"model": {}}, "model", "unknown field; allowed are models, limits, max_tokens, byok, recording, managed_settings"),
        ("PUT", OWN, "limits.concurrency", "unknown field; allowed are each_member, together"),
        ("PATCH", {"limits": {"together": {"rate": {"requests": -1}}}}, "limits.together.rate.requests", "must be a whole number, 0 or more"),
        ("PATCH", {"models": {"allow": []}}, "models.allow", 'must name a pattern: an empty list would allow nothing; to refuse every model, deny "*"'),
        ("PUT", {"models": {"deny": [{"provider": "opnai"}]}}, "models.deny[0].provider", "there is no provider of this name, so it would match nothing; there are anthropic, keyless, no-key, openai, own-server"),
    ):  # fmt: skip
        response = await send(method, path, body)
        assert (response.status, json.loads(response.body)) == (
            400,
            {"message": INVALID_BODY, "validations": [{"field": field, "detail": detail}]},
        )
    response = await send("PUT", path, {"models": {"deny": ["a" * MAX_POLICY_BYTES]}})
    assert (response.status, json.loads(response.body)) == (413, {"message": TOO_LARGE.format(MAX_POLICY_BYTES)})
    assert await running.get(path) == (200, SHARED)


async def test_each_change_is_in_the_audit_trail_with_what_it_was_before(running, send, paths):
    for path in paths:
        await send("PATCH", path, {"max_tokens": 5})
        await send("PATCH", path, {"max_tokens": 5})
    await send("DELETE", next(iter(paths)))
    entries = await audit_page(running.bridge.database, limit=5)
    token = next(path for path in paths if "tokens" in path).rpartition("/")[2]
    before, after = "{}", '{"max_tokens":5}'
    expected = [(f"token {token}", "ada"), ("user ada", "ada"), ("group research", None), ("everyone", None)]
    assert [
        (
            one["action"],
            {name: value for name, value in one["detail"].items() if name != "group_id"},
            one["subject"] and one["subject"]["username"],
        )
        for one in entries
    ] == [
        ("policy.removed", {"policy": "everyone", "policy_before": after, "policy_after": before}, None),
        *[
            ("policy.changed", {"policy": policy, "policy_before": before, "policy_after": after}, subject)
            for policy, subject in expected
        ],
    ]
    group = await running.bridge.groups.find("research")
    assert [one["detail"].get("group_id") for one in entries] == [*[None] * 3, group.id, None]
    status, trail = await running.get("/api/v2/aibridge/audit")
    assert (status, trail["results"][0]["detail"]["policy"]) == (200, "everyone")


def without_times(limits):
    return [
        (one["source"]["level"], one["part"], one["kind"], one["of"], one["maximum"], one["used"], one["remaining"])
        for one in limits
    ]


@pytest.mark.bridge(user_rate_limit=7, rate_window=timedelta(minutes=1), user_budget_usd=Decimal(9), rate_limit=3)
async def test_an_explanation_has_every_rule_its_source_and_what_is_used(running, send):
    await running.bridge.groups.add("research")
    await running.bridge.groups.add_members("research", ["ada"])
    await send("PUT", f"{POLICIES}/everyone", {"limits": {"each_member": {"budget": BUDGET}}, "max_tokens": 9000})
    await send("PUT", f"{POLICIES}/groups/research", SHARED)
    await send("PUT", f"{POLICIES}/users/ada", OWN)
    status, result = await running.get("/api/v2/aibridge/users/me/policy?model=gpt-4o")
    assert (status, result["user"]["username"], result["model"]) == (200, "ada", "gpt-4o")
    research = {"level": "group", "name": "research"}
    ada = {"level": "user", "name": "ada"}
    assert result["policies"] == [{"level": "everyone", "name": ""}, research, ada]
    assert result["decisions"][0] == {
        "provider": "anthropic",
        "allowed": False,
        "rule": "group research allows claude-*, gpt-5* of openai",
    }
    assert (result["max_tokens"], result["own_key_denied_by"]) == ({"source": ada, "maximum": 4096}, research)
    assert result["models"] == [
        {"source": research, "allow": SHARED["models"]["allow"], "deny": None, "unpriced": None}
    ]
    assert without_times(result["limits"]) == [
        ("settings", None, "rate", "user", 7, 0, 7),
        ("settings", None, "budget", "user", 9, 0, 9),
        ("everyone", "each_member", "budget", "user", 50, 0, 50),
        ("group", "each_member", "budget", "user", 50, 0, 50),
        ("group", "together", "rate", "group", 100, 0, 100),
        ("user", None, "concurrency", "user", 4, 0, 4),
        ("user", None, "budget", "user", 50, 0, 50),
    ]
    assert [one["replaced_by"] for one in result["limits"]] == [None, None, ada, ada, None, None, None]
    _, result = await running.get("/api/v2/aibridge/users/ada/policy?model=claude-opus&provider=anthropic")
    assert result["decisions"] == [{"provider": "anthropic", "allowed": True, "rule": None}]


ME = "/api/v2/aibridge/users/me"


async def test_while_the_policies_are_not_known_no_limit_is(running, monkeypatch):
    monkeypatch.setattr(running.bridge.policies.followed, "value", None)
    for path in (f"{ME}/usage", f"{ME}/policy", "/api/v2/aibridge/budgets"):
        response = await running.request("GET", path, running.headers)
        told = (response.status, response.header("Retry-After"), json.loads(response.body))
        assert told == (503, "1", {"message": POLICIES_UNKNOWN}), path


async def test_of_a_budget_that_another_one_replaces_nothing_is_used(running):
    hold(running, SharedPolicy(limits=SharedLimits(each_member=PolicyLimits(budget=Budget(5, "day")))))
    hold(running, Policy(limits=PolicyLimits(budget=Budget(3, "day"))), own(running))
    running.upstream.play(whole(OPUS))
    assert (await running.call(OPUS)).status == 200
    await running.ended(1)
    for path in (f"{ME}/usage", f"{ME}/policy"):
        _, found = await running.get(path)
        told = [(one["source"]["level"], one["maximum"], one["used"], one["holds"]) for one in found["limits"]]
        assert told == [("everyone", 5, 0, False), ("user", 3, OPUS_MICRO_DOLLARS / 1e6, True)], path
