"""Owners look at the demo company below `/demo-company/`: they read it alone, and change nothing anywhere."""

import json
from datetime import UTC, datetime

import pytest

from handlers.openapi.document import openapi_document
from handlers.operations.handler import ONLY_READ
from storage.accounts.users import Role
from storage.demo.store import DemoStore
from tests.handlers.contract import CONTROL

DEMO = f"/demo-company{CONTROL}"
REAL = "zenobia"  # nobody at the demo company is called so
NOT_THERE = ("demo-company", "sign-in", "device/", "users/me/session")
IDS = {"provider": "openai", "name": "ada@example.com", "group": "platform", "model": "gpt-5.5"}


@pytest.fixture
def store(io_loop, running):
    store = DemoStore(running.bridge.database, now=running.bridge.now, days=3)
    yield store
    io_loop.run_sync(store.clear)


def operations():
    """Method and path of each resource of the control plane, with something in the place of its parameters."""
    paths = json.loads(json.dumps(openapi_document("0"), default=str))["paths"]
    for path, methods in paths.items():
        if path.startswith(CONTROL) and "{provider}/" not in path:
            rest = path.removeprefix(f"{CONTROL}/")
            words = [IDS.get(word.strip("{}"), word.strip("{}")) if "{" in word else word for word in rest.split("/")]
            yield from (
                (method.upper(), "/".join(words))
                for method in methods
                if method in {"get", "post", "put", "patch", "delete"}
            )


async def test_owners_alone_read_there_what_is_of_the_company_alone_and_change_nothing(running, store):
    path = f"{DEMO}/users"
    assert (await running.get(path))[0] == 404
    owner = await running.user(REAL, Role.OWNER)
    await running.request(
        "POST", f"{CONTROL}/groups", owner | {"Content-Type": "application/json"}, b'{"name": "zenobias"}'
    )
    assert await store.fill(await store.begin())
    # only owners see it
    assert (await running.get(path, {}))[0] == 401
    for role in (Role.MEMBER, Role.READER, Role.AUDITOR):
        status, answer = await running.get(path, await running.user(role.value, role))
        assert (status, answer["message"]) == (403, "Only owners may look at the demo company.")
    status, users = await running.get(path)
    assert (status, users["count"]) == (200, 25)
    # models cost there what the company pays
    _, models = await running.get(f"{DEMO}/prices/models")
    costs = {one["model"]: one["input"] for one in models["results"]}
    assert costs["gpt-5-mini"] == 0.2
    assert None not in costs.values()
    # what is read there is of the company alone
    _, me = await running.get(f"{DEMO}/users/me", owner)
    assert (me["username"], me["role"]) == ("grace@example.com", "auditor")
    statuses = {}
    for method, path in operations():
        if method == "GET":
            answer = await running.request("GET", f"{DEMO}/{path}", owner)
            statuses[path] = answer.status
            assert REAL.encode() not in answer.body, path
            assert b"own-server" not in answer.body, path  # a provider of the bridge
    refused = {path.partition("/")[0] for path, status in statuses.items() if status == 403}
    assert refused == {"webhooks", "demo-company"}  # of owners, and of the bridge itself
    assert set(statuses.values()) <= {200, 400, 403, 404}
    shown = {path for path, status in statuses.items() if status == 200}
    assert {
        "users",
        "groups",
        "policies",
        "interceptions",
        "sessions",
        "stats",
        "limits",
        "refusals",
        "errors",
    } <= shown
    assert {path for path in statuses if path.startswith(NOT_THERE) and path in shown} == set()
    _, limits = await running.get(f"{DEMO}/users/ada@example.com/usage", owner)
    (budget,) = [one for one in limits["limits"] if one["kind"] == "budget"]
    assert budget["used"] == pytest.approx(await spent_by(store, "platform"))
    assert budget["used"] < budget["maximum"]
    _, real = await running.get(f"{CONTROL}/interceptions", owner)
    assert real["count"] == 0
    # nothing is changed there
    before = await contents(running.bridge.database), await contents(store.records)
    assert (await running.request("PUT", f"{DEMO}/policies/everyone", {}, b"{}")).status == 401
    for method, path in operations():
        if method != "GET" and path != "limits/what-if":
            answer = await running.request(method, f"{DEMO}/{path}", running.headers, b"{}")
            if path.startswith(NOT_THERE):
                assert answer.status in {403, 404}, (method, path)
            else:
                assert (answer.status, json.loads(answer.body)) == (403, {"message": ONLY_READ}), (method, path)
    assert (await running.request("POST", f"{DEMO}/limits/what-if", running.headers, b"{}")).status == 400
    assert (await contents(running.bridge.database), await contents(store.records)) == before
    # it is there until it is removed
    await store.remove()
    assert (await running.get(f"{DEMO}/users")) == (
        404,
        {"message": "There is no demo company. An owner can fill it in."},
    )


async def spent_by(store, group):
    """What a group spent this month, in dollars."""
    records, month = store.records, datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    id_ = (await records.groups.find_one({"name": group}))["_id"]
    calls = records.interceptions.find({"group_ids": id_, "started_at": {"$gte": month}, "cost": {"$ne": None}})
    return float(sum([call["cost"]["usd"].to_decimal() async for call in calls]))


async def contents(database):
    """The documents of what may be changed by the API."""
    names = ("users", "groups", "tokens", "policies", "prices", "providers", "webhooks", "views", "recosts", "demo")
    return {name: await getattr(database, name).find().to_list(None) for name in names}


async def test_the_page_is_there_too(running):
    for path in ("/demo-company/", "/demo-company/dashboard/js/main.js"):
        answer = await running.request("GET", path, {})
        assert (answer.status, "Content-Security-Policy" in dict(answer.headers)) == (200, True)
