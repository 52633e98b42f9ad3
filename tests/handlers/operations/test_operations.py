"""Every operation asks who is asking, before it reads anything else of the request."""

import json
import re

from handlers.operations.catalogue import OPERATIONS
from handlers.operations.operation import SERVICE
from storage.accounts.users import Role

PREFIX = "/api/v2/aibridge/"
EVERYBODY = {
    *("GET demo-company", "GET errors", "GET interceptions", "GET interceptions/export"),
    *("GET interceptions/{id}", "GET models", "GET clients", "GET tags", "GET providers", "GET providers/configured"),
    *("GET refusals", "GET sessions", "GET sessions/export", "GET sessions/{id}", "GET sessions/{id}/timeline"),
    *("GET spend/export", "GET stats", "GET users/me", "GET vocabulary", "POST limits/what-if"),
    *("GET views", "POST views", "GET views/{id}", "PATCH views/{id}", "DELETE views/{id}"),
    *("POST device/lookup", "POST device/answer", "DELETE tokens/{id}", "POST tokens/{id}/replace"),
}
OF_FIGURES = {
    *("GET budgets", "GET groups", "GET groups/{group}", "GET groups/{group}/members", "GET limits"),
    *("GET users", "GET users/{name}", "GET users/{name}/usage"),
}
OF_AUDITORS = {
    *("GET audit", "GET providers/{name}", "GET prices", "GET prices/models", "GET prices/recosts"),
    *("GET prices/recosts/{id}", "POST spend/reconciliation", "GET groups/{group}/tokens", "GET tokens"),
    *(
        "GET users/{name}/policy",
        "GET users/{name}/reads",
        "GET users/{name}/sessions",
        "GET users/{name}/tokens",
        "GET policies",
        "GET desk/files",
    ),
    *(f"GET policies/{one}" for one in ("everyone", "groups/{group}", "users/{user}", "tokens/{token}")),
}


def test_each_role_may_do_this_and_owners_alone_the_rest():
    roles = {f"{one.method} {one.address.removeprefix(PREFIX)}": one.who.roles for one in OPERATIONS}
    may = {role: {name for name, allowed in roles.items() if role in allowed} for role in Role}
    assert may[Role.MEMBER] == EVERYBODY
    assert may[Role.READER] == EVERYBODY | OF_FIGURES
    assert may[Role.AUDITOR] == EVERYBODY | OF_FIGURES | OF_AUDITORS
    assert may[Role.OWNER] == roles.keys()


async def test_who_may_not_ask_is_told_who_may_and_nobody_without_a_token_is_told_anything(running):
    callers = {role: await running.user(role.value, role) for role in Role if role is not Role.OWNER}
    await running.bridge.groups.add("ci")
    _, token = await running.bridge.identities.create_token("groups/ci")
    service = {"Authorization": f"Bearer {token}"}
    refused = 0
    for one in OPERATIONS:
        path = re.sub(r"\{\w+\}", "nobody", one.address)
        assert (await running.request(one.method, path, {})).status == 401, path
        for role in callers.keys() - one.who.roles:
            response = await running.request(one.method, path, callers[role], b"{")
            assert (response.status, json.loads(response.body)) == (403, {"message": one.refusal}), (path, role)
            refused += 1
        if one.is_for_people:
            response = await running.request(one.method, path, service, b"{")
            assert (response.status, json.loads(response.body)) == (403, {"message": SERVICE}), path
    assert refused > len(OPERATIONS) / 2
    assert {one.refusal for one in OPERATIONS} >= {
        "Only owners may add a webhook.",
        "Only owners and auditors may list the tokens of another user.",
        "Only owners, auditors and readers may read another user.",
    }
