from uuid import UUID

import pytest

from storage.queries.facets import Facet, find_facet
from tests.derived import derive
from tests.storage.rollup_checks import MIDNIGHT, Call, write

ADA, BOB = UUID(int=0xADA), UUID(int=0xB0B)
TAGS = ("project", "apollo"), ("env", "ci")
CALLS = Call(1, initiator=ADA, tags=TAGS), Call(2, client="Zed", initiator=BOB), Call(3, initiator=ADA, tags=TAGS[:1])


@pytest.mark.gen_test
async def test_names_are_read_from_an_index_alone(database):
    await write(database, *(call.end() for call in CALLS))
    await derive(database, now=lambda: MIDNIGHT)
    await database._database.command("profile", 2)
    for named in Facet:
        await find_facet(database, named, "", visible_to=None)
        await find_facet(database, named, "", visible_to=ADA)
    await database._database.command("profile", 0)
    requested = {"ns": database.rollups.full_name, "command.aggregate": "rollups"}
    work = await database._database["system.profile"].find(requested).sort("ts", 1).to_list(None)
    plans = [(query["planSummary"].split(" ")[0], query["docsExamined"]) for query in work]
    # Names of tags of one user are few: these are looked at.
    assert plans == [("IXSCAN", 0), ("IXSCAN", 0)] * 3 + [("DISTINCT_SCAN", 0), ("IXSCAN", 2)]
