"""The audit trail as owners and auditors read it."""

from ipaddress import ip_network
from uuid import uuid4

import pytest

PATH = "/api/v2/aibridge/audit"
INVALID = "Query parameters have invalid values."


async def trail(running, number):
    """The last entries without their ids and times, oldest first."""
    status, page = await running.get(f"{PATH}?limit={number}")
    assert status == 200
    for entry in page["results"]:
        assert set(entry) == {"id", "at", "actor", "action", "subject", "detail", "client_ip"}
    return [{key: entry[key] for key in entry if key not in {"id", "at"}} for entry in reversed(page["results"])]


async def test_each_change_by_http_is_an_entry(running, change):
    identities = running.bridge.identities
    await change("POST", "/users", {"username": "grace", "role": "member", "name": "Grace H."})
    grace = await identities.find_user("grace")
    await change("PATCH", "/users/grace", {"role": "auditor", "name": "Grace"})
    _, made = await change("POST", "/users/grace/tokens", {"name": "laptop", "expires": "90d"})
    await change("POST", "/users/grace/tokens", {})
    own = {"Authorization": f"Bearer {made['token']}"}
    await change("DELETE", f"/tokens/{made['id']}", headers=own)
    _, other = await change("POST", "/users/grace/tokens", {})
    await change("DELETE", "/users/grace")
    ada = {"id": str(running.identity.user.id), "username": "ada", "token_id": running.identity.token_id}
    by_ada = {"actor": ada, "client_ip": "127.0.0.1"}
    subject = {"id": str(grace.id), "username": "grace"}
    entries = await trail(running, 7)
    unnamed = entries[3]["detail"]["token_id"]
    assert entries == [
        entry | {"subject": subject}
        for entry in (
            by_ada | {"action": "user.added", "detail": {"role": "member", "name": "Grace H."}},
            by_ada
            | {
                "action": "user.changed",
                "detail": {
                    "role": "auditor",
                    "role_before": "member",
                    "name": "Grace",
                    "name_before": "Grace H.",
                },
            },
            by_ada
            | {
                "action": "token.created",
                "detail": {"token_id": made["id"], "name": "laptop", "expires_at": made["expires_at"]},
            },
            by_ada | {"action": "token.created", "detail": {"token_id": unnamed, "name": "", "expires_at": None}},
            {
                "actor": subject | {"token_id": made["id"]},
                "client_ip": "127.0.0.1",
                "action": "token.revoked",
                "detail": {"token_id": made["id"], "name": "laptop"},
            },
            by_ada | {"action": "token.created", "detail": {"token_id": other["id"], "name": "", "expires_at": None}},
            by_ada | {"action": "user.removed", "detail": {"revoked_tokens": 2}},
        )
    ]


@pytest.mark.bridge(trusted_proxies=[ip_network("127.0.0.0/8")])
async def test_the_client_is_known_behind_a_proxy_that_is_trusted(running, change):
    headers = running.headers | {"X-Forwarded-For": "192.0.2.7"}
    await change("POST", "/users", {"username": "bob", "role": "member"}, headers)
    assert (await trail(running, 1))[0]["client_ip"] == "192.0.2.7"


async def test_the_trail_comes_in_pages(running):
    for name in ("bob", "grace", "zoe"):
        await running.user(name)
    _, whole = await running.get(PATH)
    paged, after = [], ""
    while True:
        _, page = await running.get(f"{PATH}?limit=3{after}")
        if not page["results"]:
            break
        paged += page["results"]
        after = f"&after_id={paged[-1]['id']}"
    assert (len(paged), paged) == (8, whole["results"])
    await running.afresh()
    validation = {"field": "after_id", "detail": "no entry with this id"}
    assert await running.get(f"{PATH}?after_id={uuid4()}") == (400, {"message": INVALID, "validations": [validation]})


async def test_entries_are_asked_for_by_time_kind_and_user(running, change):
    await change("POST", "/users", {"username": "grace", "role": "member"})
    await change("POST", "/users/grace/tokens", {"name": "laptop"})

    async def found(query):
        status, page = await running.get(f"{PATH}?{query}")
        assert status == 200, page
        return [entry["action"] for entry in page["results"]]

    assert await found("user=grace") == ["token.created", "user.added"]
    assert (
        await found("user=grace&action=token")
        == await found("user=grace&action=token.created,policy")
        == ["token.created"]
    )
    assert await found("user=grace&from=2100-01-01T00:00:00Z") == []
    assert await found("user=grace&to=2100-01-01T00:00:00Z&action=user.added") == ["user.added"]
    assert await found("user=grace&range=last-month") == []
    assert await found("user=grace&range=7d&tz=Europe/Berlin&action=user.added") == ["user.added"]
    wrong = "from=2100-01-01T00:00:00Z&to=2000-01-01T00:00:00Z&action=cake"
    status, refused = await running.get(f"{PATH}?{wrong}")
    assert (status, refused["message"]) == (400, INVALID)
    (action, times) = refused["validations"]
    assert times == {"field": "to", "detail": "must be after from"}
    assert action["detail"].startswith("has 'cake'; it may have user, group, token, policy")
