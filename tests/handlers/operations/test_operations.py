"""Every operation asks who is asking, before it reads anything else of the request."""

from __future__ import annotations

import json
import re

import pytest

from handlers.operations.catalogue import OPERATIONS
from handlers.operations.operation import SERVICE
from storage.accounts.users import Role


@pytest.mark.gen_test
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
