"""Budgets of policies are read and set as spend limits of Anthropic's Admin API."""

import json
from urllib.parse import urlencode

import pytest

from storage.accounts.users import Role
from tests.derived import derive
from tests.handlers.api.sign_in.test_desk import BASE, CONTROL, set_policy
from tests.handlers.dataplane.test_call_usage import OPUS, OPUS_MICRO_DOLLARS, whole

LIMITS = f"{BASE}/v1/organizations/spend_limits"
JSON = {"Content-Type": "application/json"}
EVERYONE = {"type": "organization"}


class Limits:
    def __init__(self, running):
        self.running = running
        self.headers = {"X-Api-Key": running.token}

    async def ask(self, method="GET", path="", body=None, **query):
        target = f"{LIMITS}{path}{'?' if query else ''}{urlencode(query, doseq=True)}"
        sent = b"" if body is None else json.dumps(body).encode()
        answer = await self.running.request(method, target, self.headers | (JSON if sent else {}), sent)
        assert answer.header("Request-Id")
        return answer.status, json.loads(answer.body)

    async def set(self, scope, amount, **more):
        return await self.ask("POST", body={"scope": scope, "amount": amount, **more})

    async def refused(self, status, kind, *arguments, **more):
        got, answer = await self.ask(*arguments, **more)
        assert (got, answer["type"], answer["error"]["type"]) == (status, "error", kind)
        assert answer["request_id"]
        return answer["error"]["message"]


@pytest.fixture
def limits(running):
    return Limits(running)


async def test_a_limit_is_the_budget_of_a_policy_and_is_set_read_and_deleted(running, limits):
    group = await running.bridge.groups.add("research")
    await running.bridge.groups.add_members("research", ["ada"])
    ada = str(running.identity.user.id)
    await set_policy(running, "users/ada", {"max_tokens": 9, "limits": {"concurrency": 3}})
    everyone = {"each_member": {"budget": {"usd": "0.5", "period": "day", "shadow": True}}}
    await set_policy(running, "everyone", {"limits": everyone})
    assert await limits.ask() == (200, {"data": [], "has_more": False, "first_id": None, "last_id": None})
    status, first = await limits.set({"type": "user", "user_id": "ada"}, "1000")
    assert status == 200
    assert first.pop("created_at") == first.pop("updated_at")
    assert first == {
        "type": "spend_limit",
        "id": f"spl_users_{ada}",
        "scope": {"type": "user", "user_id": ada},
        "amount": "1000",
        "currency": "USD",
        "period": "monthly",
    }
    assert (await running.get(f"{CONTROL}/policies/users/ada"))[1] == {
        "max_tokens": 9,
        "limits": {"concurrency": 3, "budget": {"usd": "10", "period": "month"}},
    }
    of_group = await limits.set({"type": "rbac_group", "rbac_group_id": str(group.id)}, "2005", period="weekly")
    assert of_group[1]["scope"] == {"type": "rbac_group", "rbac_group_id": str(group.id)}
    assert (await running.get(f"{CONTROL}/policies/groups/research"))[1] == {
        "limits": {"each_member": {"budget": {"usd": "20.05", "period": "week"}}}
    }
    of_all = (await limits.set(EVERYONE, "0", period="daily"))[1]
    ids = [of_all["id"], of_group[1]["id"], first["id"]]
    _, listed = await limits.ask()
    assert ([one["id"] for one in listed["data"]], listed["has_more"]) == (ids, False)
    _, page = await limits.ask(limit=2)
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (ids[:2], True)
    assert (page["first_id"], page["last_id"]) == (ids[0], ids[1])
    _, page = await limits.ask(limit=2, after_id=ids[1])
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (ids[2:], False)
    _, page = await limits.ask(limit=1, before_id=ids[2])
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (ids[1:2], True)
    _, page = await limits.ask(scope_type="rbac_group")
    assert [one["amount"] for one in page["data"]] == ["2005"]
    # the same period again changes it; another one would be a second limit
    assert (await limits.set(EVERYONE, "70", period="daily"))[1]["id"] == ids[0]
    message = await limits.refused(400, "invalid_request_error", "POST", body={"scope": EVERYONE, "amount": "70"})
    assert message == "period: the organization has a daily limit, and may have only one: delete it first"
    assert (await limits.ask(path=f"/{ids[0]}"))[1]["amount"] == "70"
    for id_ in (ids[0], ids[2]):
        assert await limits.ask("DELETE", f"/{id_}") == (200, {"type": "spend_limit_deleted", "id": id_})
        for method in ("GET", "DELETE"):
            await limits.refused(404, "not_found_error", method, f"/{id_}")
    assert (await running.get(f"{CONTROL}/policies/everyone"))[1] == {}
    left = {"max_tokens": 9, "limits": {"concurrency": 3}}
    assert (await running.get(f"{CONTROL}/policies/users/ada"))[1] == left

    _, audit = await limits.ask(path="/audit")
    # the policies with a budget that only counts, or with none, are no limits
    assert [(one["action"], one["target_id"]) for one in audit["data"]] == [
        *(("spend_limit.delete", id_) for id_ in (ids[2], ids[0])),
        *(("spend_limit.upsert", id_) for id_ in (ids[0], ids[0], ids[1], ids[2])),
    ]
    assert {one["actor"] for one in audit["data"]} == {"ada"}
    assert (audit["has_more"], audit["data"][0]["after"], audit["data"][-1]["before"]) == (False, None, None)
    changed = audit["data"][2]
    assert changed["before"] == {"scope": EVERYONE, "amount": "0", "period": "daily", "currency": "USD"}
    assert changed["after"] == changed["before"] | {"amount": "70"}
    _, older = await limits.ask(path="/audit", limit=1, after_id=changed["id"])
    assert (older["data"], older["has_more"]) == (audit["data"][3:4], True)


async def test_what_holds_for_users_and_is_spent(running, limits):
    await running.user("grace@example.com")
    running.upstream.play(whole(OPUS))
    assert (await running.call(OPUS)).status == 200
    await running.ended(1)
    await derive(running.bridge.database)
    set_ = (await limits.set(EVERYONE, "5000", period="weekly"))[1]
    _, found = await limits.ask(path="/effective", **{"period[]": "weekly"})
    ada, grace = found["data"]
    assert (ada["amount"], ada["source"], ada["spend_limit_id"]) == ("5000", EVERYONE, set_["id"])
    assert (ada["period_to_date_spend"], grace["period_to_date_spend"]) == (str(OPUS_MICRO_DOLLARS // 10_000), "0")
    assert (grace["actor"]["email_address"], grace["actor"]["deleted"]) == ("grace@example.com", False)
    two = {"user_ids[]": ["ada", grace["scope"]["user_id"]], "period[]": ["daily", "weekly"]}
    _, found = await limits.ask(path="/effective", limit=1, **two)
    assert [(one["actor"]["name"], one["period"], one["amount"]) for one in found["data"]] == [
        ("ada", "daily", None),
        ("ada", "weekly", "5000"),
    ]
    _, found = await limits.ask(path="/effective", limit=1, page=found["next_page"], **two)
    assert ({one["actor"]["user_id"] for one in found["data"]}, found["next_page"]) == (
        set(two["user_ids[]"][1:]),
        None,
    )
    _, found = await limits.ask(path="/effective", **{"user_ids[]": "GRACE@example.com"})
    assert [one["period"] for one in found["data"]] == ["daily", "weekly", "monthly"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"amount": "1"}, "scope: is required"),
        ({"scope": {"type": "user"}, "amount": "1"}, "scope: must be "),
        ({"scope": {"type": "user", "user_id": "a", "rbac_group_id": "b"}, "amount": "1"}, "scope: must be "),
        ({"scope": EVERYONE, "amount": 100}, "amount: must be whole cents as text"),
        ({"scope": EVERYONE, "amount": "1.5"}, "amount: must be whole cents as text"),
        ({"scope": EVERYONE, "amount": "100000000001"}, "amount: must be whole cents as text"),
        ({"scope": EVERYONE, "amount": None}, "amount: must be whole cents as text"),
        ({"scope": EVERYONE, "amount": "1", "period": "yearly"}, "period: must be one of daily, weekly, monthly"),
        ({"scope": EVERYONE, "amount": "1", "currency": "EUR"}, "currency: must be one of USD"),
        ({"scope": EVERYONE, "amount": "1", "pooled_budget": None}, "pooled_budget: unknown field"),
    ],
)
async def test_what_is_no_limit_is_refused(limits, body, message):
    assert (await limits.refused(400, "invalid_request_error", "POST", body=body)).startswith(message)


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("", {"limit": 0}, "Pagination limit must be in range"),
        ("", {"after_id": "spl_tokens_x"}, "after_id: is no id of a spend limit"),
        ("", {"after_id": "spl_everyone", "before_id": "spl_everyone"}, "after_id: cannot be used together"),
        ("/effective", {"page": "x"}, "page: must be next_page"),
        ("/effective", {"user_ids[]": [str(number) for number in range(101)]}, "user_ids[]: must be at most 100"),
    ],
)
async def test_what_is_no_question_is_refused(limits, path, query, message):
    assert (await limits.refused(400, "invalid_request_error", "GET", path, **query)).startswith(message)


async def test_owners_change_limits_auditors_read_them_and_others_neither(running, limits):
    new = {"scope": EVERYONE, "amount": "1"}
    limits.headers = await running.user("audrey", Role.AUDITOR)
    assert (await limits.ask())[0] == 200
    message = await limits.refused(403, "permission_error", "POST", body=new)
    assert message == "Only owners may set a spend limit."
    limits.headers = await running.user("grace")
    for path in ("", "/effective", "/audit", "/spl_everyone"):
        await limits.refused(403, "permission_error", path=path)
    limits.headers = {}
    await limits.refused(401, "authentication_error", "POST", body=new)
    limits.headers = {"X-Api-Key": running.token}
    for scope in ({"type": "user", "user_id": "nobody"}, {"type": "rbac_group", "rbac_group_id": "nobody"}):
        await limits.refused(404, "not_found_error", "POST", body={"scope": scope, "amount": "1"})
    openai = LIMITS.replace("anthropic", "openai")
    assert (await running.get(openai, limits.headers))[0] == 404
