"""The audit trail says who read whose calls: for every resource with texts, and everybody except the user and readers."""

from __future__ import annotations

import pytest

from storage.accounts.users import Role
from tests.derived import derive_listed
from tests.handlers.api.recorded.conftest import calls
from tests.handlers.api.recorded.test_live import Source, listen
from tests.handlers.conversations import MESSAGES
from tests.storage.records import NOON

__all__ = ["calls", "listen"]

API = "/api/v2/aibridge"


async def reads(running):
    """What the trail says was read: (reader, whose call, detail but for times), in any order."""
    await running.bridge.access.trail.flush()
    _, page = await running.get(f"{API}/audit")
    entries = [entry for entry in page["results"] if entry["action"] == "calls.read"]
    assert {entry["client_ip"] for entry in entries} <= {"127.0.0.1"}
    said = [{name: value for name, value in entry["detail"].items() if name != "last_at"} for entry in entries]
    names = [(entry["actor"]["username"], entry["subject"]["username"]) for entry in entries]
    return sorted(zip(names, said, strict=True), key=str_of)


def str_of(read):
    names, detail = read
    return [*names, *sorted(map(str, detail.items()))]


@pytest.mark.gen_test
async def test_each_way_to_read_what_others_wrote_is_an_entry_and_ones_own_calls_are_none(running, call):
    # each way to read what somebody wrote is an entry
    grace, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    first = await call(MESSAGES, grace)
    await call(MESSAGES, grace)
    await derive_listed(running.bridge.database)
    (_, page) = await running.get(f"{API}/sessions", grace)
    session = page["results"][0]["id"]
    for path in ("interceptions", f"interceptions/{first}", f"sessions/{session}", "interceptions/export", "stats"):
        assert (await running.request("GET", f"{API}/{path}", auditor)).status == 200
    assert await reads(running) == sorted(
        [
            (("audrey", "grace"), {"way": "list", "count": 2}),
            (("audrey", "grace"), {"way": "detail", "interception_id": first, "count": 1}),
            (("audrey", "grace"), {"way": "session", "session_id": session, "count": 2}),
            (("audrey", "grace"), {"way": "export", "count": 2}),
        ],
        key=str_of,
    )
    await running.afresh("audit")
    # ones own calls and figures alone and heads are no entries
    grace, reader = await running.user("grace"), await running.user("rhea", Role.READER)
    id_ = await call(MESSAGES, grace)
    for method, headers in (("GET", grace), ("GET", reader), ("HEAD", running.headers)):
        for path in ("interceptions", f"interceptions/{id_}", "interceptions/export"):
            assert (await running.request(method, f"{API}/{path}", headers)).status == 200
    assert await reads(running) == []


@pytest.mark.gen_test
async def test_calls_that_are_told_as_they_happen_are_entries(running, listen, calls):
    await running.user("grace")
    grace = await running.bridge.identities.find_user("grace")
    source = await listen()
    assert isinstance(source, Source)
    await calls.start(1, initiator_id=grace.id, started_at=NOON)
    await calls.start(2, initiator_id=running.identity.user.id)
    await source.heard(2)
    assert await reads(running) == [(("ada", "grace"), {"way": "live", "count": 1})]
