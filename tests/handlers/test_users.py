"""Who is asking."""

from __future__ import annotations

import pytest

from storage.users import Role

PATH = "/api/v2/aibridge/users/me"


@pytest.mark.gen_test
async def test_everybody_is_told_who_they_are(running):
    ada = running.identity.user
    created_at = ada.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    expected = {"id": str(ada.id), "username": "ada", "name": "ada", "role": "owner", "created_at": created_at}
    assert await running.get(PATH) == (200, expected)
    for role in (Role.MEMBER, Role.AUDITOR):
        status, user = await running.get(PATH, await running.user(f"user-{role}", role))
        assert (status, user["username"], user["role"]) == (200, f"user-{role}", role.value)
    assert (await running.get(PATH, {}))[0] == 401


@pytest.mark.gen_test
async def test_it_takes_no_parameters(running):
    validation = {"field": "x", "detail": "unknown query parameter; allowed are none"}
    message = "Query parameters have invalid values."
    assert await running.get(f"{PATH}?x=1") == (400, {"message": message, "validations": [validation]})
