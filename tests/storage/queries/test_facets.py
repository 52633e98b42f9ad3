from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest

from storage.queries.facets import Facet, find_facet
from tests.derived import derive
from tests.storage.rollup_checks import MIDNIGHT, Call, write

ADA, BOB = UUID(int=0xADA), UUID(int=0xB0B)
CALLS = [
    Call(1, model="gpt-5", client="Codex", initiator=ADA, tags=(("project", "apollo"), ("env", "ci"))),
    Call(2, model="gpt-5-mini", client="Codex", initiator=BOB, tags=(("project", "gemini"),)),
    Call(3, model="GPT", client="Zed", initiator=BOB, second=5 * 86_400),
    Call(4, model="$gpt.*", provider_name="own", initiator=ADA),
    Call(5, model="gpt-5", client="Codex", initiator=ADA, second=90_000),
    Call(6, model="ünï", client="Codex", initiator=ADA, tags=(("project", "apollo"), ("x-team", "a"))),
    Call(7, model="gq", client="Codex", initiator=BOB),
]


async def record(database, *, counted):
    """Keep the calls, the first ones counted."""
    for some in (CALLS[:counted], CALLS[counted:]):
        await write(database, *(call.start for call in some), *(call.end() for call in some))
        if counted and some == CALLS[:counted]:
            await derive(database, now=lambda: MIDNIGHT)
    await write(database, Call(8, model="in flight").start)
    return partial(find_facet, database)


@pytest.mark.gen_test
async def test_names_are_read_from_an_index_alone(database):
    names = await record(database, counted=7)
    await database._database.command("profile", 2)
    for named in Facet:
        await names(named, "", visible_to=None)
        await names(named, "", visible_to=ADA)
    await database._database.command("profile", 0)
    requested = {"ns": database.rollups.full_name, "command.aggregate": "rollups"}
    work = await database._database["system.profile"].find(requested).sort("ts", 1).to_list(None)
    plans = [(query["planSummary"].split(" ")[0], query["docsExamined"]) for query in work]
    assert plans == [("IXSCAN", 0), ("IXSCAN", 0)] * 3 + [("DISTINCT_SCAN", 0), ("IXSCAN", 3)]
